//! Which runs may run at the same time, and that no org holds up another.

mod backlog;
mod limits;

use futures::StreamExt as _;
use kernel::OrgId;
use llm::scripted::{Gate, Scripted, Turn};
use llm::{ChatRequest, Message};
use serde_json::{Value, json};
use store::Store;
use store::config::DEFAULT_RUNS_PER_ORG;

use crate::support::{Api, eventually, text};

/// How many executions of an org run at the same time.
const PLACES: usize = DEFAULT_RUNS_PER_ORG as usize;

type Row = std::collections::HashMap<String, aws_sdk_dynamodb::types::AttributeValue>;

/// The rows that say who of an org runs and who waits for a place.
async fn admission(store: &Store, org: OrgId, agent: Option<&str>) -> Vec<Row> {
    let mut partition = format!("ORG#{org}#ADMISSION");
    if let Some(agent) = agent {
        partition.push_str(&format!("#{agent}"));
    }
    let pages = store
        .clients()
        .dynamo
        .query()
        .table_name(store.config().work.as_str())
        .key_condition_expression("pk = :pk")
        .expression_attribute_values(":pk", aws_sdk_dynamodb::types::AttributeValue::S(partition))
        .consistent_read(true)
        .into_paginator()
        .items()
        .send();
    pages.try_collect().await.expect("an answer")
}

fn attribute<'a>(row: &'a Row, name: &str) -> &'a str {
    let value = row.get(name).and_then(|value| value.as_s().ok());
    value.map_or("", String::as_str)
}

/// The executions that have a place of their org.
pub async fn places(store: &Store, org: OrgId) -> Vec<String> {
    let rows = admission(store, org, None).await;
    let held = rows
        .iter()
        .filter(|row| attribute(row, "sk").starts_with("PLACE#"));
    held.map(|row| attribute(row, "execution").to_owned())
        .collect()
}

/// How many rows there are of places and of those who wait for one.
pub async fn left_behind(store: &Store, org: OrgId) -> usize {
    admission(store, org, None).await.len()
}

/// A model whose replies wait at the gate where the input begins with `hold`.
fn holding(gate: &Gate) -> Scripted {
    let gate = gate.clone();
    Scripted::computed(move |request, _| {
        let turn = Turn::text("Done.");
        if input(request).starts_with("hold") {
            turn.gated_after(0, &gate)
        } else {
            turn
        }
    })
}

fn input(request: &ChatRequest) -> &str {
    let text = request.messages.iter().find_map(|message| match message {
        Message::User { text } => Some(text.as_str()),
        _ => None,
    });
    text.unwrap_or_default()
}

async fn agent(api: &Api, most: Option<u32>) -> String {
    let body = json!({
        "name": "Guide", "instructions": "Answer.", "limits": { "max_concurrent": most },
    });
    text(&api.create("/v1/agents", &body).await["id"])
}

async fn start(api: &Api, agent: &str, input: &str) -> String {
    let body = json!({ "agent_id": agent, "input": input });
    text(&api.create("/v1/executions", &body).await["id"])
}

/// Starts so many executions, some at a time, in order.
async fn flood(api: &Api, agent: &str, count: usize) -> Vec<String> {
    futures::stream::iter(0..count)
        .map(|number| async move { start(api, agent, &format!("hold {number}")).await })
        .buffered(8)
        .collect()
        .await
}

async fn state(api: &Api, execution: &str) -> Value {
    api.get(&format!("/v1/executions/{execution}")).await.ok()
}

/// Waits until the model was called so often.
async fn called(model: &Scripted, times: usize) {
    eventually("the model is called", async || {
        (model.calls() >= times).then_some(())
    })
    .await;
}
