//! Answering: once, whatever arrives twice, and against pause, cancellation and expiry.

use std::collections::BTreeSet;
use std::time::Duration;

use domain::approval::{ApprovalPolicy, ApprovalSubject};
use futures::future::join_all;
use http::StatusCode;
use serde_json::{Value, json};
use work::JobState;

use super::{Office, answer, answer_path, execution, job, shown};
use crate::support::asked::{may_remember, question};
use crate::support::instance::Instance;
use crate::support::{World, ended, eventually, stream, tenant, text};

fn interrupted() -> ApprovalSubject {
    ApprovalSubject::UnknownOutcome {
        tool: "refund".to_owned(),
        arguments: json!({ "order": 7 }),
        idempotency_key: "exe-1-1".to_owned(),
    }
}

#[tokio::test]
async fn nothing_runs_while_people_are_asked_and_an_answer_lets_the_execution_go_on() {
    let world = World::start().await;
    let office = Office::open(&world, "ada").await;
    let asked = office.may_it(&world).await;
    let before = job(&world, &asked).await;
    assert_eq!((before.state, before.attempts), (JobState::Parked, 0));

    let pending = shown(&office.admin, &asked.only().id).await;
    assert_eq!(pending["state"], "pending");
    assert_eq!(pending["subject"]["arguments"]["text"], "Oil is changed.");
    let body = json!({ "decision": "approve", "reason": "As agreed." });
    let answered = answer(&office.admin, &asked, &body).await;
    assert_eq!(answered.header("etag"), Some("\"2\""));
    let answered = answered.ok();
    assert_eq!(answered["state"], "answered");
    assert_eq!(answered["answer"]["decision"], "approve");
    assert_eq!(answered["answer"]["reason"], "As agreed.");
    assert_eq!(answered["answer"]["via"], "api");
    let me = office.admin.get("/v1/users/me").await.ok();
    assert_eq!(answered["answer"]["by"]["id"], me["id"]);
    assert_eq!(shown(&office.admin, &asked.only().id).await, answered);

    let id = asked.execution.id.to_string();
    assert_eq!(ended(&office.admin, &id).await["state"], "completed");
    let seen = stream::whole(&office.admin, &id).await;
    let ids: Vec<u64> = seen.iter().map(|one| one.id).collect();
    assert_eq!(ids, (1..=ids.len() as u64).collect::<Vec<_>>());
    assert_eq!(seen[0].kind, "CUSTOM");
    assert_eq!(seen[0].data["name"], "approval_answered");
    assert_eq!(
        seen[0].data["value"],
        json!({ "approval_id": asked.only().id, "decision": "approve", "tool": "remember" })
    );
}

#[tokio::test]
async fn of_a_hundred_different_answers_at_once_one_stands() {
    let world = World::start().await;
    let office = Office::open(&world, "ada").await;
    let asked = office.may_it(&world).await;
    let answers = join_all((0..100).map(|number| {
        let (admin, path) = (office.admin.clone(), answer_path(&asked));
        let decision = if number % 2 == 0 { "approve" } else { "reject" };
        let body = json!({ "decision": decision, "reason": format!("Answer {number}") });
        async move { (number, admin.post(&path, &body).await) }
    }))
    .await;
    let stands = shown(&office.admin, &asked.only().id).await;
    let (won, lost): (Vec<_>, Vec<_>) = answers
        .iter()
        .partition(|(_, answer)| answer.status == StatusCode::OK);
    let [(number, winner)] = won.as_slice() else {
        panic!("{} answers stand", won.len());
    };
    assert_eq!(winner.json(), stands);
    assert_eq!(stands["answer"]["reason"], format!("Answer {number}"));
    assert_eq!(stands["version"], 2);
    for (_, answer) in &lost {
        assert_eq!(answer.problem(409, "approval_answered")["current"], stands);
    }
    ended(&office.admin, &asked.execution.id.to_string()).await;
    crate::v1::audit::settled(&world, &office.admin).await;
    for (kind, subject) in [
        ("approval.answered", asked.only().id.to_string()),
        ("execution.resumed", asked.execution.id.to_string()),
    ] {
        assert_eq!(office.events(kind, &subject).await.len(), 1, "{kind}");
    }
}

#[tokio::test]
async fn the_same_answer_of_the_same_person_is_answered_as_the_first_was() {
    let world = World::start().await;
    let office = Office::open(&world, "ada").await;
    let bob = world.join(&office.admin, "bob", "admin").await;
    let asked = office.may_it(&world).await;
    let body = json!({ "decision": "reject", "reason": "Too much." });
    let all = join_all((0..20).map(|_| answer(&office.admin, &asked, &body))).await;
    let first = all[0].ok();
    for again in &all {
        assert_eq!(again.ok(), first);
    }
    assert_eq!(first["version"], 2);
    let others = [
        json!({ "decision": "reject" }),
        json!({ "decision": "approve", "reason": "Too much." }),
    ];
    for other in others {
        let refused = answer(&office.admin, &asked, &other).await;
        assert_eq!(refused.problem(409, "approval_answered")["current"], first);
    }
    let refused = answer(&bob, &asked, &body).await;
    assert_eq!(refused.problem(409, "approval_answered")["current"], first);
    assert_eq!(answer(&office.admin, &asked, &body).await.ok(), first);
}

#[tokio::test]
async fn all_that_one_step_asks_can_be_answered_at_once_and_the_last_lets_it_go_on() {
    let world = World::start().await;
    let office = Office::open(&world, "ada").await;
    let policy = ApprovalPolicy::default();
    let asked = office.ask(&world, &policy, vec![may_remember(); 16]).await;
    let (last, others) = asked.approvals.split_last().expect("many");
    let answers = join_all(others.iter().map(|approval| {
        let (admin, path) = (
            office.admin.clone(),
            format!("/v1/approvals/{}/answer", approval.id),
        );
        async move { admin.post(&path, &json!({ "decision": "approve" })).await }
    }))
    .await;
    for answer in &answers {
        assert_eq!(answer.ok()["state"], "answered");
    }
    let waits = execution(&office.admin, &asked).await;
    assert_eq!(waits["state"], "awaiting_input");
    assert_eq!(waits["waiting"]["approvals"], json!([last.id]));
    assert_eq!(job(&world, &asked).await.state, JobState::Parked);

    let path = format!("/v1/approvals/{}/answer", last.id);
    let body = json!({ "decision": "reject" });
    office.admin.post(&path, &body).await.ok();
    let id = asked.execution.id.to_string();
    assert_eq!(ended(&office.admin, &id).await["state"], "completed");
    let seen = stream::whole(&office.admin, &id).await;
    let told: BTreeSet<String> = seen
        .iter()
        .filter(|one| one.data["name"] == "approval_answered")
        .map(|one| text(&one.data["value"]["approval_id"]))
        .collect();
    assert_eq!(told.len(), 16);
    crate::v1::audit::settled(&world, &office.admin).await;
    assert_eq!(office.events("execution.resumed", &id).await.len(), 1);
}

#[tokio::test]
async fn each_kind_of_question_takes_its_own_answers() {
    let world = World::start().await;
    let office = Office::open(&world, "ada").await;
    let policy = ApprovalPolicy::default();
    for (subject, bad, good) in [
        (
            may_remember(),
            vec![
                (json!({ "decision": "reply", "text": "7" }), "/decision"),
                (json!({ "decision": "approve", "text": "7" }), "/text"),
            ],
            json!({ "decision": "approve" }),
        ),
        (
            question(),
            vec![
                (json!({ "decision": "approve" }), "/decision"),
                (json!({ "decision": "reply" }), "/text"),
                (
                    json!({ "decision": "reply", "text": "7", "arguments": {} }),
                    "/arguments",
                ),
            ],
            json!({ "decision": "reply", "text": "At most 100." }),
        ),
        (
            interrupted(),
            vec![
                (json!({ "decision": "approve" }), "/decision"),
                (json!({ "decision": "succeeded" }), "/text"),
                (json!({ "decision": "retry", "text": "7" }), "/text"),
            ],
            json!({ "decision": "succeeded", "text": "Paid back." }),
        ),
    ] {
        let asked = office.ask(&world, &policy, vec![subject]).await;
        for (body, field) in bad {
            answer(&office.admin, &asked, &body).await.names(field);
        }
        let pending = shown(&office.admin, &asked.only().id).await;
        assert_eq!(pending["version"], 1);
        let answered = answer(&office.admin, &asked, &good).await.ok();
        assert_eq!(answered["answer"]["decision"], good["decision"]);
        assert_eq!(answered["answer"]["text"], good["text"]);
    }
}

#[tokio::test]
async fn arguments_can_be_edited_as_the_tool_and_the_policy_allow() {
    let world = World::start().await;
    let office = Office::open(&world, "ada").await;
    let policy = ApprovalPolicy::default();
    let asked = office.ask(&world, &policy, vec![may_remember()]).await;
    let edit = |arguments: Value| json!({ "decision": "approve", "arguments": arguments });
    for (arguments, field) in [
        (json!({ "text": 7 }), "/arguments/text"),
        (json!({ "text": "" }), "/arguments/text"),
        (json!({}), "/arguments"),
        (json!({ "text": "Oil.", "colour": "red" }), "/arguments"),
        (json!("Oil."), "/arguments"),
        (json!({ "text": "x".repeat(70_000) }), "/arguments"),
    ] {
        let refused = answer(&office.admin, &asked, &edit(arguments)).await;
        refused.names(field);
        assert!(refused.body.len() < 3_000, "{refused}");
    }
    let edited = edit(json!({ "text": "Oil is changed every 500 hours." }));
    let answered = answer(&office.admin, &asked, &edited).await.ok();
    assert_eq!(answered["answer"]["arguments"], edited["arguments"]);
    assert_eq!(answered["subject"]["arguments"]["text"], "Oil is changed.");

    let fixed = ApprovalPolicy {
        may_edit: false,
        ..policy
    };
    let asked = office.ask(&world, &fixed, vec![may_remember()]).await;
    let refused = answer(&office.admin, &asked, &edited).await;
    refused.names("/arguments");
}

#[tokio::test]
async fn arguments_of_a_registered_tool_are_held_to_its_schema_as_long_as_it_is_there() {
    let world = World::start().await;
    let office = Office::open(&world, "ada").await;
    let admin = &office.admin;
    let tool = crate::support::fixture::tool("find_parcel");
    let tool = text(&admin.create("/v1/tools", &tool).await["id"]);
    let agent = format!("/v1/agents/{}", office.agent);
    let tools = json!({ "tools": [tool] });
    admin.patch(&agent, &tools).await.ok();
    let call = || ApprovalSubject::ToolCall {
        tool: "find_parcel".to_owned(),
        arguments: json!({ "order_id": "7" }),
    };
    let policy = ApprovalPolicy::default();
    let (one, other) = (
        office.ask(&world, &policy, vec![call()]).await,
        office.ask(&world, &policy, vec![call()]).await,
    );
    let edit = |order: Value| json!({ "decision": "approve", "arguments": { "order_id": order } });
    answer(admin, &one, &edit(json!(8)))
        .await
        .names("/arguments/order_id");
    answer(admin, &one, &edit(json!("8"))).await.ok();
    // The agent that runs is the one of its version, whatever becomes of the agent.
    admin.patch(&agent, &json!({ "tools": [] })).await.ok();
    answer(admin, &other, &edit(json!(8)))
        .await
        .names("/arguments/order_id");
    admin.delete(&format!("/v1/tools/{tool}")).await.gone();
    answer(admin, &other, &edit(json!("8")))
        .await
        .problem(409, "tool_gone");
    let as_it_is = json!({ "decision": "approve" });
    answer(admin, &other, &as_it_is).await.ok();
}

#[tokio::test]
async fn what_is_answered_while_paused_counts_when_the_execution_is_resumed() {
    let world = World::start().await;
    let office = Office::open(&world, "ada").await;
    let policy = ApprovalPolicy::default();
    let asked = office
        .ask(&world, &policy, vec![may_remember(), question()])
        .await;
    let executions = world.store().executions(tenant(&office.admin));
    let waiting = executions.get(asked.execution.id).await;
    let waiting = waiting.expect("an answer").expect("is there");
    let cause = crate::support::asked::cause();
    executions.pause(&cause, &waiting).await.expect("is paused");
    for (approval, body) in asked.approvals.iter().zip([
        json!({ "decision": "approve" }),
        json!({ "decision": "reply", "text": "At most 100." }),
    ]) {
        let path = format!("/v1/approvals/{}/answer", approval.id);
        office.admin.post(&path, &body).await.ok();
        let paused = execution(&office.admin, &asked).await;
        assert_eq!(paused["state"], "paused");
        let left = paused["waiting"]["approvals"].as_array();
        let left: Vec<String> = left.into_iter().flatten().map(text).collect();
        assert!(!left.contains(&approval.id.to_string()), "{paused}");
    }
    assert_eq!(job(&world, &asked).await.state, JobState::Parked);
    let paused = executions.get(asked.execution.id).await;
    let paused = paused.expect("an answer").expect("is there");
    executions
        .resume(&cause, &paused)
        .await
        .expect("is resumed");
    let id = asked.execution.id.to_string();
    assert_eq!(ended(&office.admin, &id).await["state"], "completed");
}

#[tokio::test]
async fn an_answer_after_the_end_of_the_execution_comes_too_late() {
    let world = World::start().await;
    let office = Office::open(&world, "ada").await;
    let asked = office.may_it(&world).await;
    let cancel = format!("/v1/executions/{}/cancel", asked.execution.id);
    office.admin.post(&cancel, &json!({})).await.ok();
    let body = json!({ "decision": "approve" });
    let refused = answer(&office.admin, &asked, &body).await;
    let problem = refused.problem(409, "approval_withdrawn");
    assert_eq!(problem["current"]["state"], "withdrawn");
    assert_eq!(execution(&office.admin, &asked).await["state"], "cancelled");
}

#[tokio::test]
async fn an_answer_and_a_cancellation_at_once_leave_one_story() {
    let world = World::start().await;
    let office = Office::open(&world, "ada").await;
    let mut seen = BTreeSet::new();
    for _ in 0..12 {
        let asked = office.may_it(&world).await;
        let cancel = format!("/v1/executions/{}/cancel", asked.execution.id);
        let body = json!({ "decision": "approve" });
        let nothing = json!({});
        let (answered, cancelled) = tokio::join!(
            answer(&office.admin, &asked, &body),
            office.admin.post(&cancel, &nothing)
        );
        assert!(cancelled.status.is_success(), "{cancelled}");
        let id = asked.execution.id.to_string();
        let state = text(&ended(&office.admin, &id).await["state"]);
        let approval = shown(&office.admin, &asked.only().id).await;
        if answered.status == StatusCode::OK {
            assert_eq!(approval["state"], "answered");
        } else {
            answered.problem(409, "approval_withdrawn");
            assert_eq!(
                (state.as_str(), &approval["state"]),
                ("cancelled", &json!("withdrawn"))
            );
        }
        let entries = stream::whole(&office.admin, &id).await;
        let ends = entries
            .iter()
            .filter(|one| matches!(one.kind.as_str(), "RUN_FINISHED" | "RUN_ERROR"));
        assert_eq!(ends.count(), 1);
        seen.insert(answered.status.as_u16());
    }
    assert!(!seen.is_empty());
}

#[tokio::test]
async fn nobody_answers_after_the_expiry_even_if_nothing_noticed_it_yet() {
    let world = World::start().await;
    let office = Office::open(&world, "ada").await;
    let policy = ApprovalPolicy {
        expires_in_seconds: 600,
        ..ApprovalPolicy::default()
    };
    let (late, early) = (
        office.ask(&world, &policy, vec![may_remember()]).await,
        office.ask(&world, &policy, vec![may_remember()]).await,
    );
    let instance = Instance::beside(&world);
    let body = json!({ "decision": "approve" });
    let credential = office.admin.credential();
    instance.clock.advance(Duration::from_secs(590));
    instance
        .post(credential, &answer_path(&early), &body)
        .await
        .ok();
    instance.clock.advance(Duration::from_secs(10));
    let refused = instance.post(credential, &answer_path(&late), &body).await;
    let problem = refused.problem(409, "approval_expired");
    assert_eq!(problem["current"]["state"], "pending");
    // What was answered in time is answered the same afterwards.
    instance
        .post(credential, &answer_path(&early), &body)
        .await
        .ok();
}

#[tokio::test]
async fn lists_show_what_is_asked_by_state_and_by_execution() {
    let world = World::start().await;
    let office = Office::open(&world, "ada").await;
    let admin = &office.admin;
    let policy = ApprovalPolicy::default();
    let many = office
        .ask(&world, &policy, vec![may_remember(), question()])
        .await;
    let one = office.may_it(&world).await;
    answer(admin, &one, &json!({ "decision": "reject" }))
        .await
        .ok();
    let of = |asked: &super::Asked| -> BTreeSet<String> {
        asked
            .approvals
            .iter()
            .map(|one| one.id.to_string())
            .collect()
    };
    let both: BTreeSet<String> = of(&many).union(&of(&one)).cloned().collect();
    let (first, second) = (many.execution.id, one.execution.id);
    for (query, expected) in [
        (String::new(), both),
        ("state=pending".to_owned(), of(&many)),
        ("state=answered".to_owned(), of(&one)),
        ("state=expired".to_owned(), BTreeSet::new()),
        (format!("execution_id={first}"), of(&many)),
        (format!("execution_id={second}&state=answered"), of(&one)),
        (
            format!("execution_id={second}&state=pending"),
            BTreeSet::new(),
        ),
    ] {
        let path = format!("/v1/approvals?{query}");
        eventually(&format!("the list for `{query}`"), async || {
            let listed = admin.list(&path).await;
            let ids: BTreeSet<String> = listed.iter().map(|one| text(&one["id"])).collect();
            (ids == expected && ids.len() == listed.len()).then_some(())
        })
        .await;
    }
    admin.get("/v1/approvals?state=open").await.names("state");
    admin
        .get("/v1/approvals?execution_id=x")
        .await
        .names("execution_id");
    let other = Office::open(&world, "bob").await;
    let path = format!("/v1/approvals?execution_id={first}");
    assert!(other.admin.list(&path).await.is_empty());
    assert!(other.admin.list("/v1/approvals").await.is_empty());
}
