//! `/v1/executions`.

mod cancellation;
mod durability;
mod failures;
mod http_tools;
mod interruptions;
mod slow_reader;
mod steps;
mod stream;

use serde_json::{Value, json};

use crate::support::{Api, ended, text};

/// An agent with these tools.
async fn agent(admin: &Api, tools: &[&str]) -> Value {
    let body = json!({ "name": "Guide", "instructions": "Answer.", "tools": tools });
    admin.create("/v1/agents", &body).await
}

/// Starts an execution and returns its id.
async fn start(admin: &Api, agent: &Value) -> String {
    let body = json!({ "agent_id": agent["id"], "input": "How often is the oil changed?" });
    text(&admin.create("/v1/executions", &body).await["id"])
}

/// An execution from its start to its end.
async fn run(admin: &Api, agent: &Value) -> Value {
    let execution = start(admin, agent).await;
    ended(admin, &execution).await
}

/// What was called, in order.
async fn trace(admin: &Api, execution: &Value) -> Vec<Value> {
    admin
        .list(&format!("/v1/executions/{}/trace", text(&execution["id"])))
        .await
}

/// What the tool calls of an execution gave back, in order: content, and whether it is an error.
async fn results(admin: &Api, execution: &Value) -> Vec<(String, bool)> {
    let trace = trace(admin, execution).await;
    let calls = trace
        .iter()
        .filter(|effect| effect["request"]["kind"] == "tool");
    calls
        .map(|effect| {
            let outcome = &effect["outcome"];
            (text(&outcome["content"]), outcome["is_error"] == true)
        })
        .collect()
}
