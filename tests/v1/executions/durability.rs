//! A host that is killed in the middle of a run, and the next one over the same data.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::Router;
use axum::routing::any;
use llm::Message;
use llm::scripted::{Gate, Scripted, Turn};
use outbound::Policy;
use serde_json::{Value, json};
use tokio::process::{Child, Command};

use super::{agent, start, trace};
use crate::support::stream::whole;
use crate::support::{Setup, World, ended, eventually, text};

/// Where the host that is killed finds its data, and a port that its tools may call.
const FOLDER: &str = "JOURNEYS_DATA_FOLDER";
const SERVICE: &str = "JOURNEYS_SERVICE_PORT";
/// A file in the folder: a line for each model call of the host that is killed.
const CALLS: &str = "model-calls";
/// A file in the folder: where that host answers, and what a caller needs.
const READY: &str = "ready";

/// The model of every host: notes something, asks the service, and answers.
fn turn(request: &llm::ChatRequest) -> Turn {
    let step = request
        .messages
        .iter()
        .filter(|one| matches!(one, Message::Assistant { .. }))
        .count();
    match step {
        0 => Turn::calls([("remember", json!({ "text": "Begun." }))]),
        1 => Turn::calls([("get_order", json!({}))]),
        _ => Turn::text("Shipped."),
    }
}

fn setup(folder: &Path, port: u16, model: Scripted) -> Setup {
    let outbound = Policy::public().allow_loopback_ports([port]);
    Setup {
        model,
        outbound,
        data: Some(folder.to_owned()),
        ..Setup::default()
    }
}

/// The host that is killed: it runs in a process of its own, and never lets the model finish the
/// step at which it is to die.
#[tokio::test]
#[ignore = "the process that other tests start and kill"]
async fn a_host_that_will_be_killed() {
    let (Ok(folder), Ok(port)) = (std::env::var(FOLDER), std::env::var(SERVICE)) else {
        return;
    };
    let (folder, port) = (PathBuf::from(folder), port.parse().expect("a port"));
    let (calls, gate) = (folder.join(CALLS), Gate::new());
    let model = Scripted::computed(move |request, call| {
        let mut file = OpenOptions::new()
            .append(true)
            .create(true)
            .open(&calls)
            .expect("a file");
        writeln!(file, "call {call}").expect("is written");
        let dies_here = call == 2;
        if dies_here {
            turn(request).gated_after(0, &gate)
        } else {
            turn(request)
        }
    });
    let world = World::with(setup(&folder, port, model)).await;
    let admin = world.founder("ada").await;
    let tool = json!({
        "name": "get_order", "description": "Asks the shop.", "parameters": { "type": "object" },
        "action": { "kind": "http", "method": "POST", "url": format!("http://127.0.0.1:{port}/") },
    });
    let tool = admin.create("/v1/tools", &tool).await;
    let guide = agent(&admin, &["remember", &text(&tool["id"])]).await;
    let execution = start(&admin, &guide).await;
    let ready = json!({ "org": admin.org(), "execution": execution, "agent": guide["id"] });
    std::fs::write(folder.join("unfinished"), ready.to_string()).expect("is written");
    std::fs::rename(folder.join("unfinished"), folder.join(READY)).expect("is renamed");
    std::future::pending::<()>().await;
}

/// A service that counts its calls.
async fn service() -> (u16, Arc<AtomicU32>) {
    let calls = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&calls);
    let handler = move || async move {
        counted.fetch_add(1, Ordering::SeqCst);
        "shipped"
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(
        async move { axum::serve(listener, Router::new().route("/", any(handler))).await },
    );
    (port, calls)
}

/// Starts the host that will be killed.
fn victim(folder: &Path, port: u16) -> Child {
    let program = std::env::current_exe().expect("this program");
    Command::new(program)
        .args([
            "--ignored",
            "--exact",
            "v1::executions::durability::a_host_that_will_be_killed",
        ])
        .env(FOLDER, folder)
        .env(SERVICE, port.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("another process")
}

fn lines(path: &Path) -> usize {
    std::fs::read_to_string(path).map_or(0, |text| text.lines().count())
}

#[tokio::test]
async fn a_run_whose_host_was_killed_goes_on_without_repeating_a_recorded_call() {
    let data = tempfile::tempdir().expect("a folder");
    let folder = data.path();
    let (port, service_calls) = service().await;
    let mut host = victim(folder, port);
    // The model speaks for the third time: two of its calls and two tool calls are recorded.
    eventually("the third step is under way", async || {
        (lines(&folder.join(CALLS)) == 3 && folder.join(READY).exists()).then_some(())
    })
    .await;
    host.kill().await.expect("is killed");
    let killed = tokio::time::Instant::now();
    assert_eq!(service_calls.load(Ordering::SeqCst), 1);

    let ready = std::fs::read_to_string(folder.join(READY)).expect("is there");
    let ready: Value = serde_json::from_str(&ready).expect("JSON");
    let model = Scripted::computed(|request, _| turn(request));
    let world = World::with(setup(folder, port, model.clone())).await;
    let admin = world.person("ada").for_org(text(&ready["org"]));
    // What was acknowledged is there at once.
    assert_eq!(admin.list("/v1/agents").await.len(), 1);
    assert_eq!(admin.list("/v1/tools").await.len(), 1);
    let execution = text(&ready["execution"]);
    let end = ended(&admin, &execution).await;
    assert_eq!(
        (&end["state"], &end["answer"]),
        (&json!("completed"), &json!("Shipped."))
    );
    assert_eq!(end["steps"], 3);
    // Nobody waited for the dead worker's lease of ten seconds, renewed when a quarter was over.
    assert!(killed.elapsed() < Duration::from_millis(7_500));

    // The third call alone was made again, and it saw what the first two had brought.
    assert_eq!(
        (model.calls(), service_calls.load(Ordering::SeqCst)),
        (1, 1)
    );
    let asked = &model.requests()[0].messages;
    assert_eq!(asked.len(), 5);
    let effects = trace(&admin, &end).await;
    let attempts: Vec<&Value> = effects.iter().map(|effect| &effect["attempts"]).collect();
    assert_eq!(attempts, [1, 1, 1, 1, 2]);
    let memories = format!("/v1/agents/{}/memory", text(&ready["agent"]));
    assert_eq!(admin.list(&memories).await.len(), 1);
    let events = whole(&admin, &execution).await;
    let ids: Vec<u64> = events.iter().map(|event| event.id).collect();
    assert_eq!(ids, (1..=ids.len() as u64).collect::<Vec<_>>());
    let ends = events
        .iter()
        .filter(|event| matches!(event.kind.as_str(), "RUN_FINISHED" | "RUN_ERROR"));
    assert_eq!(ends.count(), 1);
    // The log was read on as well: nothing is missing, nothing is there twice.
    eventually("the chain holds the end", async || {
        let verified = admin.get("/v1/audit/verify").await.ok();
        assert_eq!(verified["intact"], true, "{verified}");
        let found = admin
            .post("/v1/audit/search", &json!({ "subject": execution }))
            .await
            .ok();
        let found = found["items"].as_array().expect("a list").len();
        assert!(found <= 3);
        (found == 3).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_host_that_is_shut_down_leaves_the_rest_to_the_next() {
    let data = tempfile::tempdir().expect("a folder");
    let gate = Gate::new();
    let model = Scripted::computed(move |request, call| match call {
        0 => turn(request),
        _ => turn(request).gated_after(0, &gate),
    });
    let world = World::with(setup(data.path(), 1, model.clone())).await;
    let admin = world.founder("ada").await;
    let guide = agent(&admin, &["remember"]).await;
    let execution = start(&admin, &guide).await;
    eventually("the second step is under way", async || {
        (model.calls() == 2).then_some(())
    })
    .await;
    let org = admin.org().to_owned();
    let asked = tokio::time::Instant::now();
    world.host.shutdown().await;
    assert!(asked.elapsed() < Duration::from_secs(10));

    let model = Scripted::computed(|_, _| Turn::text("Shipped."));
    let world = World::with(setup(data.path(), 1, model.clone())).await;
    let admin = world.person("ada").for_org(org);
    let end = ended(&admin, &execution).await;
    assert_eq!(
        (&end["state"], &end["steps"]),
        (&json!("completed"), &json!(2))
    );
    assert_eq!(model.calls(), 1);
}
