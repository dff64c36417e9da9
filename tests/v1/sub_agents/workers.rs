//! Workers of callers and of the called: what they do while they wait, and when they die.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::Router;
use axum::routing::any;
use llm::ChatRequest;
use llm::scripted::{Gate, Scripted, Turn};
use outbound::Policy;
use serde_json::json;
use tokio::sync::Notify;
use work::{Job, JobState, JobStore as _};

use super::{
    TASK, assert_gapless, called_by, calls, get, hire, input, relayed, results, start, turns,
};
use crate::support::bare::Bare;
use crate::support::stream::whole;
use crate::support::{Api, tenant, text, within};

/// The time of the longest invocation.
const LONG: Duration = Duration::from_secs(900);

/// A model that has the agent `helper` do the task, wherever it is asked anything else, and does it
/// like this.
fn delegating(
    helper: &str,
    task: impl Fn(&ChatRequest, usize) -> Turn + Send + Sync + 'static,
) -> Scripted {
    let helper = helper.to_owned();
    Scripted::computed(
        move |request, number| match (input(request), turns(request)) {
            (TASK, _) => task(request, number),
            (_, 0) => calls(&helper, TASK),
            _ => Turn::text("It is 500 Nm."),
        },
    )
}

/// The job that drives an execution.
async fn job_of(bare: &Bare, admin: &Api, execution: &str) -> Job {
    let tenant = tenant(admin);
    let id = execution.parse().expect("an id");
    let execution = bare.store.executions(tenant).get(id).await;
    let job = execution.expect("an answer").expect("an execution").job;
    let job = bare.store.load(tenant.org(), job).await;
    job.expect("an answer").expect("a job")
}

#[tokio::test]
async fn a_caller_waits_at_no_cost_and_keeps_its_place() {
    let bare = Bare::start().await;
    let admin = bare.founder("ada").await;
    let helper = hire(&admin, "Helper", &[], &json!({})).await;
    let alone = json!({ "limits": { "max_concurrent": 1 } });
    let chief = hire(&admin, "Chief", &[&helper], &alone).await;
    let model = delegating(&helper, |_, _| Turn::text("500 Nm."));
    let runner = bare.agents(&model, Policy::public());

    let first = start(&admin, &chief).await;
    let job = job_of(&bare, &admin, &first).await;
    bare.ring(&runner, &job, LONG).await;
    let waiting = job_of(&bare, &admin, &first).await;
    assert_eq!((waiting.state, model.calls()), (JobState::Parked, 1));
    assert_eq!(get(&admin, &first).await["state"], "running");
    // Nothing is done however often somebody rings.
    for _ in 0..3 {
        bare.ring(&runner, &waiting, LONG).await;
    }
    let still = job_of(&bare, &admin, &first).await;
    assert_eq!(
        (still.state, still.attempts, model.calls()),
        (JobState::Parked, waiting.attempts, 1)
    );
    // Its place is its own: another run of the chief waits in line.
    let second = start(&admin, &chief).await;
    let in_line = job_of(&bare, &admin, &second).await;
    bare.ring(&runner, &in_line, LONG).await;
    assert_eq!(get(&admin, &second).await["state"], "queued");
    assert_eq!(model.calls(), 1);

    let child = called_by(&admin, &first).await.expect("a run");
    let of_child = job_of(&bare, &admin, &text(&child["id"])).await;
    bare.ring(&runner, &of_child, LONG).await;
    // The end of the helper wakes the chief, and the end of the chief the next in line.
    assert_eq!(job_of(&bare, &admin, &first).await.state, JobState::Ready);
    bare.ring(&runner, &job, LONG).await;
    assert_eq!(get(&admin, &first).await["state"], "completed");
    assert_eq!(model.calls(), 3);
    let next = job_of(&bare, &admin, &second).await;
    assert_eq!(next.state, JobState::Ready);
    bare.ring(&runner, &next, LONG).await;
    assert_eq!(get(&admin, &second).await["state"], "running");
}

#[tokio::test]
async fn a_worker_that_dies_with_the_called_run_costs_nothing_but_time() {
    let bare = Bare::start().await;
    let admin = bare.founder("ada").await;
    let helper = hire(&admin, "Helper", &[], &json!({})).await;
    let chief = hire(&admin, "Chief", &[&helper], &json!({})).await;
    let gate = Gate::new();
    let (at, asked) = (gate.clone(), AtomicU32::new(0));
    let model = delegating(&helper, move |_, _| {
        // Whoever asks first dies before the answer.
        match asked.fetch_add(1, Ordering::SeqCst) {
            0 => Turn::text("500 Nm.").gated_after(1, &at),
            _ => Turn::text("500 Nm."),
        }
    });
    let runner = bare.agents(&model, Policy::public());
    let execution = start(&admin, &chief).await;
    let job = job_of(&bare, &admin, &execution).await;
    bare.ring(&runner, &job, LONG).await;
    let child = text(&called_by(&admin, &execution).await.expect("a run")["id"]);
    let of_child = job_of(&bare, &admin, &child).await;
    tokio::select! {
        () = bare.ring(&runner, &of_child, LONG) => panic!("it does not end"),
        () = within("the helper is at work", gate.arrived()) => {}
    }
    assert_eq!(
        job_of(&bare, &admin, &execution).await.state,
        JobState::Parked
    );
    bare.bury_worker().await;
    bare.ring(&runner, &of_child, LONG).await;
    bare.ring(&runner, &job, LONG).await;
    let done = get(&admin, &execution).await;
    assert_eq!(done["state"], "completed", "{done}");
    let results = results(&admin, &execution).await;
    assert_eq!(
        (results.len(), &results[0].0["answer"]),
        (1, &json!("500 Nm."))
    );
    assert_eq!(admin.list("/v1/executions").await.len(), 2);
    let all = whole(&admin, &execution).await;
    assert_gapless(&all);
    let ends = relayed(&all);
    let ends = ends.iter().filter(|(_, kind, _)| kind == "RUN_FINISHED");
    assert_eq!(ends.count(), 1);
}

#[tokio::test]
async fn a_worker_that_dies_right_after_a_call_does_not_call_again() {
    let bare = Bare::start().await;
    let admin = bare.founder("ada").await;
    let helper = hire(&admin, "Helper", &[], &json!({})).await;
    // A service that never answers its first request.
    let (requests, called) = (Arc::new(AtomicU32::new(0)), Arc::new(Notify::new()));
    let (counted, noted) = (Arc::clone(&requests), Arc::clone(&called));
    let answer = move || async move {
        let first = counted.fetch_add(1, Ordering::SeqCst) == 0;
        noted.notify_one();
        if first {
            std::future::pending::<()>().await;
        }
        "noted"
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let router = Router::new().route("/", any(answer));
    tokio::spawn(async move { axum::serve(listener, router).await });
    let body = json!({
        "name": "note_it", "description": "Notes it.", "parameters": { "type": "object" },
        "idempotent": true,
        "action": { "kind": "http", "method": "POST", "url": format!("http://127.0.0.1:{port}/") },
    });
    let tool = text(&admin.create("/v1/tools", &body).await["id"]);
    let tools = json!({ "tools": ["call_agent", tool] });
    let chief = hire(&admin, "Chief", &[&helper], &tools).await;
    let to = helper.clone();
    let model = Scripted::computed(move |request, _| match (input(request), turns(request)) {
        (TASK, _) => Turn::text("500 Nm."),
        (_, 0) => Turn::calls([
            ("call_agent", json!({ "agent_id": to, "input": TASK })),
            ("note_it", json!({})),
        ]),
        _ => Turn::text("It is 500 Nm."),
    });
    let runner = bare.agents(&model, Policy::public().allow_loopback_ports([port]));
    let execution = start(&admin, &chief).await;
    let job = job_of(&bare, &admin, &execution).await;
    tokio::select! {
        () = bare.ring(&runner, &job, LONG) => panic!("it does not end"),
        () = within("the service is called", called.notified()) => {}
    }
    let child = text(&called_by(&admin, &execution).await.expect("a run")["id"]);
    bare.bury_worker().await;
    // Another worker goes on, and then waits for the run that was called already.
    bare.ring(&runner, &job, LONG).await;
    assert_eq!(
        job_of(&bare, &admin, &execution).await.state,
        JobState::Parked
    );
    assert_eq!(requests.load(Ordering::SeqCst), 2);
    let of_child = job_of(&bare, &admin, &child).await;
    bare.ring(&runner, &of_child, LONG).await;
    bare.ring(&runner, &job, LONG).await;
    assert_eq!(get(&admin, &execution).await["state"], "completed");
    assert_eq!(admin.list("/v1/executions").await.len(), 2);
    assert_eq!(model.calls(), 3);
    assert_gapless(&whole(&admin, &execution).await);
}
