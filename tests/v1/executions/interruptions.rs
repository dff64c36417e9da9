//! Workers that die or run out of time in the middle of a step, by a clock that a journey moves.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::Router;
use axum::routing::any;
use llm::Message;
use llm::scripted::{Scripted, Turn};
use outbound::Policy;
use serde_json::{Value, json};
use tokio::sync::Notify;
use work::JobState;

use super::{agent, results, start, trace};
use crate::support::bare::Bare;
use crate::support::{Api, tenant, text, within};

/// The time of the longest invocation.
const LONG: Duration = Duration::from_secs(900);

/// A service that takes its first call and never answers it.
struct Silent {
    port: u16,
    calls: Arc<AtomicU32>,
    called: Arc<Notify>,
}

impl Silent {
    async fn start() -> Self {
        let (calls, called) = (Arc::new(AtomicU32::new(0)), Arc::new(Notify::new()));
        let (counted, noted) = (Arc::clone(&calls), Arc::clone(&called));
        let handler = move || async move {
            let first = counted.fetch_add(1, Ordering::SeqCst) == 0;
            noted.notify_one();
            if first {
                std::future::pending::<()>().await;
            }
            "shipped"
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let router = Router::new().route("/", any(handler));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self {
            port,
            calls,
            called,
        }
    }

    async fn tool(&self, admin: &Api, idempotent: bool) -> String {
        let body = json!({
            "name": "send_order", "description": "Sends it.", "parameters": { "type": "object" },
            "idempotent": idempotent,
            "action": {
                "kind": "http", "method": "POST", "url": format!("http://127.0.0.1:{}/", self.port),
            },
        });
        text(&admin.create("/v1/tools", &body).await["id"])
    }
}

fn sends_an_order() -> Scripted {
    Scripted::computed(|request, _| match request.messages.len() {
        1 => Turn::calls([("send_order", json!({}))]),
        _ => Turn::text("Done."),
    })
}

/// Kills the worker while the service is called, and has another go on; if people are asked what
/// became of the call, they say this. What the tool call gave, and how often the service was called.
async fn killed_during_the_call(idempotent: bool, said: &Value) -> (String, bool, u32) {
    let (bare, service) = (Bare::start().await, Silent::start().await);
    let admin = bare.founder("ada").await;
    let tool = service.tool(&admin, idempotent).await;
    let guide = agent(&admin, &[&tool]).await;
    let execution = start(&admin, &guide).await;
    let model = sends_an_order();
    let runner = bare.agents(
        &model,
        Policy::public().allow_loopback_ports([service.port]),
    );
    let job = bare.job_of(tenant(&admin).org()).await;
    tokio::select! {
        () = bare.ring(&runner, &job, LONG) => panic!("it does not end"),
        () = within("the service is called", service.called.notified()) => {}
    }
    bare.bury_worker().await;
    bare.ring(&runner, &job, LONG).await;
    let path = format!("/v1/executions/{execution}");
    let mut ended = admin.get(&path).await.ok();
    if !idempotent {
        assert_eq!(ended["state"], "awaiting_input");
        assert_eq!(bare.job(&job).await.state, work::JobState::Parked);
        let interrupted = trace(&admin, &ended).await.pop().expect("the call");
        assert_eq!(interrupted["unknown"], true, "{interrupted}");
        let asked = admin.list("/v1/approvals?state=pending").await;
        assert_eq!(asked.len(), 1);
        assert_eq!(asked[0]["subject"]["kind"], "unknown_outcome");
        let key = &asked[0]["subject"]["idempotency_key"];
        assert_eq!(key, &json!(format!("{execution}-1-1")));
        let answer = format!("/v1/approvals/{}/answer", text(&asked[0]["id"]));
        admin.post(&answer, said).await.ok();
        bare.ring(&runner, &job, LONG).await;
        ended = admin.get(&path).await.ok();
    }
    assert_eq!((&ended["state"], model.calls()), (&json!("completed"), 2));
    let mut results = results(&admin, &ended).await;
    assert_eq!(results.len(), 1);
    let (content, is_error) = results.remove(0);
    (content, is_error, service.calls.load(Ordering::SeqCst))
}

#[tokio::test]
async fn a_tool_call_whose_outcome_is_unknown_is_shown_and_people_are_asked() {
    let failed = json!({ "decision": "reject", "reason": "It never arrived." });
    let (content, is_error, calls) = killed_during_the_call(false, &failed).await;
    assert!(
        is_error && content.contains("It never arrived."),
        "{content}"
    );
    assert_eq!(calls, 1);

    let succeeded = json!({ "decision": "succeeded", "text": "Order 7 was sent." });
    let (content, is_error, calls) = killed_during_the_call(false, &succeeded).await;
    assert!(!is_error && content.contains("Order 7"), "{content}");
    assert_eq!(calls, 1);

    let (content, is_error, calls) =
        killed_during_the_call(false, &json!({ "decision": "retry" })).await;
    assert!(!is_error && content.contains("shipped"), "{content}");
    assert_eq!(calls, 2);
}

#[tokio::test]
async fn a_tool_that_takes_a_key_is_called_again_under_the_same() {
    let (content, is_error, calls) = killed_during_the_call(true, &Value::Null).await;
    assert!(!is_error && content.contains("shipped"), "{content}");
    assert_eq!(calls, 2);
}

#[tokio::test]
async fn a_worker_near_its_deadline_hands_the_run_on_and_nothing_is_done_twice() {
    let bare = Bare::start().await;
    let admin = bare.founder("ada").await;
    let guide = agent(&admin, &["remember"]).await;
    let execution = start(&admin, &guide).await;
    let clock = bare.clock.clone();
    // Every model call takes most of what an invocation has.
    let model = Scripted::computed(move |request, call| {
        clock.advance(Duration::from_secs(20));
        let turns = request
            .messages
            .iter()
            .filter(|one| matches!(one, Message::Assistant { .. }));
        match turns.count() {
            3 => Turn::text("Done."),
            _ => Turn::calls([("remember", json!({ "text": format!("Note {call}") }))]),
        }
    });
    let runner = bare.agents(&model, Policy::public());
    let job = bare.job_of(tenant(&admin).org()).await;
    let mut invocations = 0;
    while !bare.job(&job).await.state.is_terminal() {
        bare.ring(&runner, &job, Duration::from_secs(35)).await;
        invocations += 1;
        assert!(invocations < 10);
    }
    assert!(invocations > 1, "one worker did it all");
    let ended = admin.get(&format!("/v1/executions/{execution}")).await.ok();
    assert_eq!(
        (&ended["state"], &ended["steps"]),
        (&json!("completed"), &json!(4))
    );
    assert_eq!(
        (model.calls(), bare.job(&job).await.state),
        (4, JobState::Done)
    );
    let trace = trace(&admin, &ended).await;
    assert!(
        trace.iter().all(|effect| effect["attempts"] == 1),
        "{trace:?}"
    );
    let memories = admin
        .list(&format!("/v1/agents/{}/memory", text(&guide["id"])))
        .await;
    let notes: Vec<&Value> = memories.iter().map(|memory| &memory["text"]).collect();
    assert_eq!(notes, ["Note 2", "Note 1", "Note 0"]);
}

#[tokio::test]
async fn a_worker_that_comes_back_from_the_dead_writes_nothing() {
    let bare = Bare::start().await;
    let admin = bare.founder("ada").await;
    let guide = agent(&admin, &[]).await;
    let execution = start(&admin, &guide).await;
    let gate = llm::scripted::Gate::new();
    let late = Scripted::new([Turn::text("Late.").gated_after(1, &gate)]);
    let prompt = Scripted::new([Turn::text("In time.")]);
    let first = bare.agents(&late, Policy::public());
    let second = bare.agents(&prompt, Policy::public());
    let job = bare.job_of(tenant(&admin).org()).await;
    let sleeping = bare.invoke(&first, &job, LONG);
    let meanwhile = async {
        within("the first worker is under way", gate.arrived()).await;
        bare.bury_worker().await;
        bare.ring(&second, &job, LONG).await;
        gate.open();
    };
    within("both end", async { tokio::join!(sleeping, meanwhile) }).await;
    let ended = admin.get(&format!("/v1/executions/{execution}")).await.ok();
    assert_eq!(ended["answer"], "In time.");
    assert_eq!(bare.job(&job).await.state, JobState::Done);
    let events = crate::support::stream::whole(&admin, &execution).await;
    let ends = events
        .iter()
        .filter(|event| event.kind == "RUN_FINISHED")
        .count();
    assert_eq!(ends, 1);
    assert!(
        !json!(events.iter().map(|event| &event.data).collect::<Vec<_>>())
            .to_string()
            .contains("Late")
    );
}
