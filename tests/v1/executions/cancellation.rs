//! `POST /v1/executions/{execution_id}/cancel`.

use llm::scripted::{Gate, Scripted, Turn};
use outbound::Policy;
use serde_json::{Value, json};

use super::{agent, run, start, trace};
use crate::support::bare::Bare;
use crate::support::stream::{kinds, whole};
use crate::support::tables::Side;
use crate::support::{Answer, Api, World, ended, eventually, tenant, text, within};

async fn cancel(api: &Api, execution: &str) -> Answer {
    api.post(&format!("/v1/executions/{execution}/cancel"), &json!({}))
        .await
}

#[tokio::test]
async fn a_run_that_is_cancelled_while_the_model_speaks_does_nothing_more_but_pay() {
    let gate = Gate::new();
    let model = Scripted::new([
        Turn::calls([("remember", json!({ "text": "Too late" }))]).gated_after(1, &gate),
        Turn::text("Too late."),
    ]);
    let world = World::with_model(&model).await;
    let admin = world.founder("ada").await;
    let guide = agent(&admin, &["remember"]).await;
    let execution = start(&admin, &guide).await;
    within("the model speaks", gate.arrived()).await;
    let cancelled = cancel(&admin, &execution).await.ok();
    assert_eq!(
        (&cancelled["state"], &cancelled["answer"]),
        (&json!("cancelled"), &Value::Null)
    );
    assert!(cancelled["finished_at"].is_string());
    let (before, events) = (
        trace(&admin, &cancelled).await,
        whole(&admin, &execution).await,
    );

    gate.open();
    // The worker notices: its job is over.
    let tenant = tenant(&admin);
    let job = text(&cancelled["job"]).parse().expect("a job's id");
    eventually("the job ends", async || {
        let job = work::JobStore::load(world.store(), tenant.org(), job)
            .await
            .expect("an answer");
        job.filter(|job| job.state.is_terminal())
    })
    .await;
    // What the model had said by then is paid for, and shown; nothing follows from it.
    let after = admin.get(&format!("/v1/executions/{execution}")).await.ok();
    assert_eq!(after["usage"]["model_calls"], 1);
    for unchanged in ["state", "answer", "finished_at", "steps", "last_sequence"] {
        assert_eq!(after[unchanged], cancelled[unchanged], "{unchanged}");
    }
    assert!(before[0]["outcome"].is_null());
    let settled = trace(&admin, &cancelled).await;
    assert_eq!(settled.len(), 1);
    assert_eq!(settled[0]["outcome"]["tool_calls"][0]["name"], "remember");
    assert_eq!(whole(&admin, &execution).await, events);
    let memories = format!("/v1/agents/{}/memory", text(&guide["id"]));
    assert_eq!(admin.list(&memories).await.len(), 0);
    assert_eq!(model.calls(), 1);
    assert_eq!(kinds(&events).last(), Some(&"RUN_ERROR"));
    assert_eq!(events.last().expect("an end").data["code"], "cancelled");
    let ends = events
        .iter()
        .filter(|event| event.kind.starts_with("RUN_") && event.kind != "RUN_STARTED");
    assert_eq!(ends.count(), 1);
}

#[tokio::test]
async fn to_cancel_again_or_too_late_changes_nothing() {
    let gate = Gate::new();
    let model = Scripted::new([Turn::text("A.").gated_after(0, &gate), Turn::text("B.")]);
    let world = World::with_model(&model).await;
    let admin = world.founder("ada").await;
    let guide = agent(&admin, &[]).await;
    let execution = start(&admin, &guide).await;
    within("the model speaks", gate.arrived()).await;
    let first = cancel(&admin, &execution).await;
    for _ in 0..3 {
        let again = cancel(&admin, &execution).await;
        assert_eq!(
            (again.status, again.body),
            (first.status, first.body.clone())
        );
    }
    let completed = run(&admin, &guide).await;
    assert_eq!(completed["state"], "completed");
    assert_eq!(
        cancel(&admin, &text(&completed["id"])).await.ok(),
        completed
    );
}

#[tokio::test]
async fn of_ten_cancellations_at_once_one_is_an_event() {
    let gate = Gate::new();
    let model = Scripted::new([Turn::text("A.").gated_after(0, &gate)]);
    let world = World::with_model(&model).await;
    let admin = world.founder("ada").await;
    let guide = agent(&admin, &[]).await;
    let execution = start(&admin, &guide).await;
    within("the model speaks", gate.arrived()).await;
    let all = futures::future::join_all((0..10).map(|_| cancel(&admin, &execution))).await;
    assert!(all.iter().all(|answer| answer.ok() == all[0].json()));
    let body = json!({ "subject": execution, "type": "execution.cancelled" });
    let found = eventually("it is sealed", async || {
        let found = admin.post("/v1/audit/search", &body).await.ok();
        let items = found["items"].as_array().expect("a list").clone();
        (!items.is_empty()).then_some(items)
    })
    .await;
    assert_eq!(found.len(), 1);
    let stats = format!("/v1/agents/{}/stats", text(&guide["id"]));
    eventually("it is counted", async || {
        let stats = admin.get(&stats).await.ok();
        (stats["executions_cancelled"] == 1).then_some(())
    })
    .await;
}

#[tokio::test]
async fn cancellations_that_race_with_the_end_leave_one_end() {
    // A model that takes its time, or the runs are over before anybody can want them cancelled.
    let pause = std::time::Duration::from_millis(20);
    let model = Scripted::computed(move |_, _| Turn::text("Every 500 hours.").paced(pause));
    let world = World::with_model(&model).await;
    let admin = world.founder("ada").await;
    let guide = agent(&admin, &["remember"]).await;
    let mut states = Vec::new();
    for round in 0..12_u64 {
        let execution = start(&admin, &guide).await;
        tokio::time::sleep(std::time::Duration::from_millis(round * 15)).await;
        let answer = cancel(&admin, &execution).await.ok();
        let end = ended(&admin, &execution).await;
        assert_eq!(answer, end);
        let events = whole(&admin, &execution).await;
        let ends: Vec<&str> = kinds(&events)
            .into_iter()
            .filter(|kind| matches!(*kind, "RUN_FINISHED" | "RUN_ERROR"))
            .collect();
        let expected = if end["state"] == "completed" {
            "RUN_FINISHED"
        } else {
            "RUN_ERROR"
        };
        assert_eq!(ends, [expected], "{end}");
        let ids: Vec<u64> = events.iter().map(|event| event.id).collect();
        assert_eq!(ids, (1..=ids.len() as u64).collect::<Vec<_>>());
        states.push(text(&end["state"]));
    }
    assert!(
        states.iter().any(|state| state == "cancelled"),
        "{states:?}"
    );
}

#[tokio::test]
async fn the_task_of_a_cancelled_run_can_be_given_to_another() {
    let gate = Gate::new();
    let model = Scripted::new([Turn::text("A.").gated_after(0, &gate), Turn::text("B.")]);
    let world = World::with_model(&model).await;
    let admin = world.founder("ada").await;
    let guide = agent(&admin, &[]).await;
    let assignee = json!({ "kind": "agent", "id": guide["id"] });
    let body = json!({ "title": "Find it", "assignee": assignee, "auto_run": true });
    let task = admin.create("/v1/tasks", &body).await;
    within("the model speaks", gate.arrived()).await;
    cancel(&admin, &text(&task["execution"])).await.ok();
    let give = format!("/v1/tasks/{}/assign", text(&task["id"]));
    let again = admin
        .post(&give, &json!({ "agent_id": guide["id"] }))
        .await
        .ok();
    assert_ne!(again["execution"], task["execution"]);
    ended(&admin, &text(&again["execution"])).await;
    let done = admin
        .get(&format!("/v1/tasks/{}", text(&task["id"])))
        .await
        .ok();
    assert_eq!(
        (&done["status"], &done["result"]),
        (&json!("completed"), &json!("B."))
    );
}

/// Cancels a run while a built-in tool writes: before that write is carried out, or when it was and
/// its worker does not know yet. How many memories the agent has then, and what its journal shows.
async fn cancelled_during_a_write(side: Side) -> (usize, Vec<Value>) {
    let bare = Bare::start().await;
    let admin = bare.founder("ada").await;
    let guide = agent(&admin, &["remember"]).await;
    let execution = start(&admin, &guide).await;
    let model = Scripted::new([
        Turn::calls([("remember", json!({ "text": "Oil is changed." }))]),
        Turn::text("Too late."),
    ]);
    let (tables, store) = bare.watched().await;
    let runner = Bare::agents_over(&store, &model, Policy::public());
    let job = bare.job_of(tenant(&admin).org()).await;
    let held = tables.hold("remembered", side);
    let meanwhile = async {
        within("the tool writes", held.arrived()).await;
        let cancelled = cancel(&admin, &execution).await.ok();
        held.open();
        cancelled
    };
    let working = bare.ring(&runner, &job, std::time::Duration::from_secs(900));
    let ((), cancelled) = tokio::join!(working, meanwhile);
    assert_eq!(cancelled["state"], "cancelled");
    let after = admin.get(&format!("/v1/executions/{execution}")).await.ok();
    assert_eq!(after["state"], "cancelled");
    assert!(bare.job(&job).await.state.is_terminal());
    assert_eq!(model.calls(), 1);
    let events = whole(&admin, &execution).await;
    let ids: Vec<u64> = events.iter().map(|event| event.id).collect();
    assert_eq!(ids, (1..=ids.len() as u64).collect::<Vec<_>>());
    assert_eq!(kinds(&events).last(), Some(&"RUN_ERROR"));
    let memories = format!("/v1/agents/{}/memory", text(&guide["id"]));
    let memories = admin.list(&memories).await.len();
    (memories, trace(&admin, &after).await)
}

#[tokio::test]
async fn a_run_that_is_cancelled_while_a_tool_writes_has_written_all_of_it_or_nothing() {
    let (memories, trace) = cancelled_during_a_write(Side::Before).await;
    assert_eq!((memories, trace.len()), (0, 1), "{trace:?}");
    let (memories, trace) = cancelled_during_a_write(Side::After).await;
    assert_eq!((memories, trace.len()), (1, 2), "{trace:?}");
    assert!(text(&trace[1]["outcome"]["content"]).contains("remembered"));
}
