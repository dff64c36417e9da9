//! The scripted model keeps to the protocol that it is there to test.

use std::time::Duration;

use futures::StreamExt;
use llm::scripted::{Gate, Scripted, Turn};
use llm::{Arguments, ChatModel, ModelError, StopReason, Usage};
use serde_json::json;

use crate::{ask, items, request};

#[tokio::test]
async fn turns_are_played_in_order_and_requests_recorded() {
    let model = Scripted::new([
        Turn::calls([
            ("search_knowledge", json!({"query": "oil"})),
            ("broken", json!("{oops")),
        ])
        .with_id_prefix("s1_"),
        Turn::text("Every 2,000 hours.").with_usage(Usage {
            input_tokens: 7,
            ..Usage::default()
        }),
    ]);
    let first = ask(&model, request("one")).await.unwrap();
    assert_eq!(first.stop_reason, StopReason::ToolCalls);
    assert_eq!(first.tool_calls[0].id, "s1_call_0");
    assert_eq!(
        first.tool_calls[1].arguments,
        Arguments::Malformed("{oops".into())
    );
    let second = ask(&model, request("two")).await.unwrap();
    assert_eq!(second.text, "Every 2,000 hours.");
    assert_eq!(second.usage.unwrap().input_tokens, 7);
    assert_eq!(model.turns_left(), 0);
    assert_eq!(
        ask(&model, request("three")).await.unwrap_err().code(),
        "invalid_request"
    );
    assert_eq!(model.calls(), 3);
    assert_eq!(model.requests()[1], request("two"));
}

#[tokio::test]
async fn replies_fail_where_they_are_told_to() {
    let lost = ModelError::ConnectionLost { received_any: true };
    let model = Scripted::new([
        Turn::fail(ModelError::RateLimited { retry_after: None }),
        Turn::text("one two three").cut_after(2, lost.clone()),
    ]);
    assert_eq!(
        ask(&model, request("x")).await.unwrap_err().code(),
        "rate_limited"
    );
    let found = items(&model, request("x")).await;
    assert_eq!(found.len(), 3);
    assert_eq!(found[2], Err(lost));
}

#[tokio::test]
async fn a_gate_holds_a_reply_until_it_is_opened() {
    let gate = Gate::new();
    let model = Scripted::new([Turn::text("one two").gated_after(1, &gate)]);
    let mut stream = model.stream(request("x")).await.unwrap();
    // Who answers, which no position counts, and the first word.
    for _ in 0..2 {
        assert!(stream.next().await.unwrap().is_ok());
    }
    let reader = tokio::spawn(async move { stream.collect::<Vec<_>>().await });
    gate.arrived().await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert!(!reader.is_finished());
    gate.open();
    let rest = reader.await.unwrap();
    assert_eq!(rest.len(), 3);
}

#[tokio::test]
async fn computed_turns_serve_runs_in_parallel() {
    let model = Scripted::computed(|request, _| match request.messages.len() {
        1 => Turn::calls([("search_knowledge", json!({"query": "x"}))]),
        _ => Turn::text("done"),
    });
    let replies = futures::future::join_all((0..16).map(|_| ask(&model, request("x")))).await;
    assert!(
        replies
            .iter()
            .all(|reply| reply.as_ref().unwrap().tool_calls.len() == 1)
    );
    assert_eq!(model.calls(), 16);
}
