//! `GET /v1/executions/{execution_id}/results/{sha256}`: what a tool returned, whole, where a model
//! was shown a part of it.

use axum::Router;
use axum::routing::get;
use kernel::digest::sha256_hex;
use llm::Message;
use llm::scripted::{Scripted, Turn};
use outbound::Policy;
use serde_json::{Value, json};

use crate::support::{Api, Setup, World, ended, text};

/// The most bytes of a tool's answer that a model is shown.
const SHOWN: usize = 32 * 1024;

/// A service whose answer has 300,000 bytes, of letters that have two each.
async fn service() -> (u16, String) {
    let body: String = "é".repeat(150_000);
    let answer = body.clone();
    let router = Router::new().route("/", get(|| async move { answer }));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move { axum::serve(listener, router).await });
    (port, body)
}

async fn run(admin: &Api, agent: &Value) -> String {
    let body = json!({ "agent_id": agent["id"], "input": "Read it." });
    let execution = text(&admin.create("/v1/executions", &body).await["id"]);
    let done = ended(admin, &execution).await;
    assert_eq!(done["state"], "completed", "{done}");
    execution
}

#[tokio::test]
async fn a_result_too_large_for_a_model_is_cut_for_it_and_kept_whole() {
    let (port, body) = service().await;
    let model = Scripted::new([
        Turn::calls([("read_report", json!({}))]),
        Turn::text("It is long."),
        Turn::text("I read nothing."),
    ]);
    let world = World::with(Setup {
        model: model.clone(),
        outbound: Policy::public().allow_loopback_ports([port]),
        ..Setup::default()
    })
    .await;
    let (admin, other) = (world.founder("ada").await, world.founder("bob").await);
    let tool = json!({
        "name": "read_report", "description": "Reads it.", "parameters": { "type": "object" },
        "action": { "kind": "http", "method": "GET", "url": format!("http://127.0.0.1:{port}/") },
    });
    let tool = admin.create("/v1/tools", &tool).await;
    let agent = json!({ "name": "Guide", "instructions": "Answer.", "tools": [tool["id"]] });
    let agent = admin.create("/v1/agents", &agent).await;
    let execution = run(&admin, &agent).await;
    let expected = json!({ "status": 200, "body": body }).to_string();

    let asked = model.requests();
    let Some(Message::ToolResult {
        content, is_error, ..
    }) = asked[1].messages.last()
    else {
        panic!("{:?}", asked[1].messages.last());
    };
    assert!(!is_error);
    assert!(
        content.len() <= SHOWN && content.len() > SHOWN - 100,
        "{}",
        content.len()
    );
    let note = format!("cut: the answer has {} bytes", expected.len());
    assert!(
        content.contains(&note),
        "{}",
        &content[content.len() - 100..]
    );
    let (shown, _) = content.rsplit_once("\n…").expect("a note");
    assert!(expected.starts_with(shown));

    let trace = admin
        .list(&format!("/v1/executions/{execution}/trace"))
        .await;
    let outcome = trace
        .iter()
        .map(|effect| &effect["outcome"])
        .find(|outcome| outcome["whole"].is_object())
        .expect("a result that was cut");
    let sha256 = sha256_hex(expected.as_bytes());
    assert_eq!(
        outcome["whole"],
        json!({ "bytes": expected.len(), "sha256": sha256 })
    );
    assert_eq!(outcome["content"], json!(content));

    let path = format!("/v1/executions/{execution}/results/{sha256}");
    let whole = admin.get(&path).await;
    assert_eq!(whole.status, 200, "{whole}");
    assert_eq!(whole.body, expected.as_bytes());
    assert_eq!(
        whole.header("content-type"),
        Some("text/plain; charset=utf-8")
    );
    assert_eq!(whole.header("x-content-type-options"), Some("nosniff"));

    // It is part of this run alone, of this org alone.
    let theirs = other.get(&path).await;
    theirs.problem(404, "not_found");
    let nowhere = path.replace(&sha256, &"0".repeat(64));
    admin.get(&nowhere).await.problem(404, "not_found");
    for unknown in ["x", "..%2f..%2ffiles", &sha256.to_uppercase()] {
        let answer = admin.get(&path.replace(&sha256, unknown)).await;
        assert_eq!(answer.status, 404, "{unknown}: {answer}");
    }
    let second = run(&admin, &agent).await;
    let elsewhere = path.replace(&execution, &second);
    admin.get(&elsewhere).await.problem(404, "not_found");
}

#[tokio::test]
async fn a_result_that_a_model_is_shown_whole_is_kept_nowhere_else() {
    let model = Scripted::new([
        Turn::calls([("remember", json!({ "text": "Short." }))]),
        Turn::text("Done."),
    ]);
    let world = World::with_model(&model).await;
    let admin = world.founder("ada").await;
    let agent = json!({ "name": "Guide", "instructions": "Answer.", "tools": ["remember"] });
    let agent = admin.create("/v1/agents", &agent).await;
    let execution = run(&admin, &agent).await;
    let trace = admin
        .list(&format!("/v1/executions/{execution}/trace"))
        .await;
    let call = trace
        .iter()
        .find(|one| one["request"]["kind"] == "tool")
        .expect("a call");
    assert_eq!(call["outcome"]["whole"], Value::Null);
    let sha256 = sha256_hex(text(&call["outcome"]["content"]).as_bytes());
    let path = format!("/v1/executions/{execution}/results/{sha256}");
    admin.get(&path).await.problem(404, "not_found");
}
