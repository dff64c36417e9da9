//! Turns that wait for something else than their turn, or whose time is over.

use std::time::Duration;

use llm::scripted::{Gate, Scripted, Turn};
use outbound::Policy;
use serde_json::json;

use super::Talk;
use crate::support::bare::Bare;
use crate::support::{World, eventually, tenant, text};
use crate::v1::fairness::places;

#[tokio::test]
async fn a_waiting_turn_that_is_cancelled_is_passed_over_and_not_told_of() {
    let talk = Talk::start().await;
    let open = talk.held("hold one").await;
    let (second, third) = (talk.turn("two", None).await, talk.turn("three", None).await);
    let cancelled = talk.apply("cancel", &second).await;
    assert_eq!(cancelled["state"], "cancelled");
    assert_eq!(talk.now().await["waiting"], json!([third]));
    talk.gate.open();
    assert_eq!(talk.idle().await["history"], json!([open, third]));
    let told = talk.told_in("three");
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(!told.contains(&"user: two".to_owned()));
}

#[tokio::test]
async fn the_next_turn_waits_while_the_open_one_is_paused() {
    let talk = Talk::start().await;
    let open = talk.held("hold one").await;
    let next = talk.turn("two", None).await;
    talk.apply("pause", &open).await;
    talk.gate.open();
    let org = tenant(&talk.admin).org();
    eventually("the place is given up", async || {
        places(talk.world.store(), org)
            .await
            .is_empty()
            .then_some(())
    })
    .await;
    assert_eq!(talk.execution(&next).await["state"], "queued");
    assert_eq!(talk.now().await["active"], open);
    talk.apply("resume", &open).await;
    assert_eq!(talk.idle().await["history"], json!([open, next]));
    assert_eq!(talk.ended(&next).await["state"], "completed");
}

#[tokio::test]
async fn a_waiting_turn_that_was_paused_holds_up_those_behind_it_until_it_is_resumed() {
    let talk = Talk::start().await;
    let open = talk.held("hold one").await;
    let (second, third) = (talk.turn("two", None).await, talk.turn("three", None).await);
    talk.apply("pause", &second).await;
    talk.gate.open();
    talk.ended(&open).await;
    let now = talk.now().await;
    assert_eq!(
        (&now["active"], &now["waiting"]),
        (&json!(second), &json!([third]))
    );
    let org = tenant(&talk.admin).org();
    assert_eq!(places(talk.world.store(), org).await, Vec::<String>::new());
    talk.apply("resume", &second).await;
    assert_eq!(talk.idle().await["history"], json!([open, second, third]));
}

#[tokio::test]
async fn a_turn_that_is_resumed_before_its_time_takes_no_place() {
    let talk = Talk::start().await;
    let open = talk.held("hold one").await;
    let next = talk.turn("two", None).await;
    talk.apply("pause", &next).await;
    assert_eq!(talk.apply("resume", &next).await["state"], "queued");
    let org = tenant(&talk.admin).org();
    let held = places(talk.world.store(), org).await;
    assert_eq!(held, std::slice::from_ref(&open));
    talk.gate.open();
    assert_eq!(talk.idle().await["history"], json!([open, next]));
    assert_eq!(talk.ended(&next).await["state"], "completed");
    assert_eq!(places(talk.world.store(), org).await, Vec::<String>::new());
}

#[tokio::test]
async fn what_an_interrupted_turn_had_asked_is_withdrawn() {
    let gate = Gate::new();
    let model = Scripted::computed(|request, _| match request.messages.len() {
        1 => Turn::calls([("ask_human", json!({ "question": "Which oil?" }))]),
        _ => Turn::text("Any."),
    });
    let world = World::with_model(&model).await;
    let admin = world.founder("ada").await;
    let talk = Talk::of(world, admin, model, gate, &["ask_human"]).await;
    let open = talk.turn("one", None).await;
    let asked = eventually("people are asked", async || {
        talk.admin.list("/v1/approvals?state=pending").await.pop()
    })
    .await;
    // The next waits as long as nobody answers.
    let second = talk.turn("two", None).await;
    assert_eq!(talk.execution(&second).await["state"], "queued");
    let third = talk.turn("three", Some("interrupt")).await;
    assert_eq!(talk.execution(&open).await["state"], "cancelled");
    let path = format!("/v1/approvals/{}", text(&asked["id"]));
    assert_eq!(talk.admin.get(&path).await.ok()["state"], "withdrawn");
    let late = json!({ "decision": "reply", "text": "The blue one." });
    let answer = talk.admin.post(&format!("{path}/answer"), &late).await;
    answer.any_problem();
    assert_eq!(talk.idle().await["history"], json!([open, third, second]));
}

/// The longest time of an invocation.
const LONG: Duration = Duration::from_secs(900);

#[tokio::test]
async fn a_waiting_turn_whose_time_is_over_leaves_the_conversation() {
    let bare = Bare::start().await;
    let admin = bare.machine("ada").await;
    let body = json!({ "name": "Guide", "instructions": "Answer." });
    let agent = text(&admin.create("/v1/agents", &body).await["id"]);
    let body = json!({ "agent_id": agent });
    let id = text(&admin.create("/v1/conversations", &body).await["id"]);
    let path = format!("/v1/conversations/{id}");
    let ask = async |input: &str| {
        let body = json!({ "agent_id": agent, "input": input, "conversation_id": id });
        text(&admin.create("/v1/executions", &body).await["id"])
    };
    let open = ask("one").await;
    let pause = format!("/v1/executions/{open}/pause");
    admin.post(&pause, &json!({})).await.ok();
    let late = ask("two").await;
    bare.clock.advance(Duration::from_secs(12 * 3_600));
    let next = ask("three").await;
    bare.clock.advance(Duration::from_secs(13 * 3_600));
    sweeper::sweep(&bare.store, bare.store.now())
        .await
        .expect("a whole sweep");
    let expired = admin.get(&format!("/v1/executions/{late}")).await.ok();
    assert_eq!(
        (&expired["state"], &expired["failure"]["code"]),
        (&json!("expired"), &json!("queue_deadline_exceeded"))
    );
    let now = admin.get(&path).await.ok();
    assert_eq!(
        (&now["active"], &now["waiting"]),
        (&json!(open), &json!([next]))
    );

    // The open one goes on, and then the next.
    let resume = format!("/v1/executions/{open}/resume");
    admin.post(&resume, &json!({})).await.ok();
    let model = Scripted::computed(|_, _| Turn::text("Yes."));
    let runner = bare.agents(&model, Policy::public());
    let org = tenant(&admin).org();
    for turn in [&open, &next] {
        let execution = admin.get(&format!("/v1/executions/{turn}")).await.ok();
        let job = text(&execution["job"]).parse().expect("a job's id");
        let job = work::JobStore::load(&bare.store, org, job).await;
        let job = job.expect("an answer").expect("is there");
        bare.ring(&runner, &job, LONG).await;
        let ended = admin.get(&format!("/v1/executions/{turn}")).await.ok();
        assert_eq!(ended["state"], "completed");
    }
    let done = admin.get(&path).await.ok();
    assert_eq!(done["history"], json!([open, next]));
    assert_eq!(model.requests()[1].messages.len(), 3);
}
