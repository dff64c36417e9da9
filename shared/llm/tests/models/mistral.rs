//! What only Mistral does, against a scripted server.

use std::sync::Arc;

use llm::{Arguments, ChatModel, ChatRequest, Message, OpaquePart, Provider, StopReason, ToolCall};
use serde_json::{Value, json};

use crate::server::{Reply, Server, model};
use crate::{ask, request};

const KEY: &str = "canary-0123456789";

fn mistral(server: &Server) -> Arc<dyn ChatModel> {
    let provider = Provider::Mistral {
        api_key: KEY.into(),
        base_url: server.url("/v1").parse().unwrap(),
    };
    model("mistral-test", provider)
}

fn delta(delta: Value) -> Value {
    json!({"id": "c", "choices": [{"index": 0, "delta": delta, "finish_reason": null}]})
}

fn finish(reason: &str) -> Value {
    json!({"id": "c", "choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": reason}]})
}

fn said(text: &str) -> Reply {
    Reply::data([delta(json!({"content": text})), finish("stop")]).done()
}

fn call(id: &str, arguments: &str) -> ToolCall {
    ToolCall {
        id: id.into(),
        name: "search_knowledge".into(),
        arguments: Arguments::parse(arguments),
    }
}

fn is_short(id: &Value) -> bool {
    let id = id.as_str().unwrap();
    id.len() == 9 && id.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

#[tokio::test]
async fn the_request_says_everything_in_mistrals_words() {
    let server = Server::start([said("x")]).await;
    let own = call("D681PevKs", r#"{"query":"oil"}"#);
    let foreign = call("toolu_01A", "{oops");
    let thinking =
        json!({"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}], "closed": true});
    let mut request = request("How often?");
    request.max_output_tokens = Some(64);
    request.temperature = Some(0.2);
    request.messages.extend([
        Message::Assistant {
            text: "Looking.".into(),
            tool_calls: vec![own.clone(), foreign.clone()],
            opaque: vec![
                OpaquePart {
                    provider: "mistral".into(),
                    data: thinking.clone(),
                },
                OpaquePart {
                    provider: "gemini".into(),
                    data: json!("not yours"),
                },
            ],
        },
        Message::tool_result(&own, r#"{"passages":[]}"#),
        Message::tool_error(&foreign, "not JSON"),
        // A person may speak before the model did; the API takes that only after the model.
        Message::user("Go on."),
        Message::assistant(""),
    ]);
    ask(&*mistral(&server), request).await.unwrap();

    let received = server.only_request();
    assert_eq!(received.line, "POST /v1/chat/completions HTTP/1.1");
    assert_eq!(
        received.header("authorization"),
        Some("Bearer canary-0123456789")
    );
    let folded = received.body["messages"][2]["tool_calls"][1]["id"].clone();
    assert!(is_short(&folded), "{folded}");
    assert_eq!(
        received.body,
        json!({
            "model": "mistral-test",
            "stream": true,
            "max_tokens": 64,
            "temperature": 0.2,
            "tools": [{"type": "function", "function": {
                "name": "search_knowledge",
                "description": "Searches the documents.",
                "parameters": {"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]},
            }}],
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "How often?"},
                {"role": "assistant", "content": [thinking, {"type": "text", "text": "Looking."}], "tool_calls": [
                    {"id": "D681PevKs", "type": "function", "function": {"name": "search_knowledge", "arguments": "{\"query\":\"oil\"}"}},
                    {"id": folded, "type": "function", "function": {"name": "search_knowledge", "arguments": "{\"malformed_arguments\":\"{oops\"}"}},
                ]},
                {"role": "tool", "tool_call_id": "D681PevKs", "name": "search_knowledge", "content": "{\"passages\":[]}"},
                {"role": "tool", "tool_call_id": folded, "name": "search_knowledge", "content": "Error: not JSON"},
                {"role": "assistant", "content": "Understood."},
                {"role": "user", "content": "Go on."},
            ],
        })
    );
}

#[tokio::test]
async fn what_the_model_began_is_gone_on_with() {
    let server = Server::start([said("2,000 hours.")]).await;
    let request = ChatRequest {
        messages: vec![Message::user("How often?"), Message::assistant("Every ")],
        ..ChatRequest::default()
    };
    ask(&*mistral(&server), request).await.unwrap();
    assert_eq!(
        server.only_request().body["messages"],
        json!([
            {"role": "user", "content": "How often?"},
            {"role": "assistant", "content": "Every ", "prefix": true},
        ])
    );
}

#[tokio::test]
async fn a_document_beside_tools_is_asked_for_by_any_of_them() {
    let server = Server::start([said("{}")]).await;
    let mut request = request("x");
    request.response_format = Some(llm::JsonSchema {
        name: "answer".into(),
        schema: json!({"type": "object"}),
        strict: true,
    });
    ask(&*mistral(&server), request).await.unwrap();
    let body = server.only_request().body;
    assert_eq!(body["tool_choice"], "any");
    assert_eq!(body["tools"][1]["function"]["name"], "final_answer");
    assert_eq!(body["response_format"], Value::Null);
    assert_eq!(body["stream_options"], Value::Null);
}

#[tokio::test]
async fn reasoning_is_kept_apart_and_sent_back() {
    let thought =
        |text: &str| json!({"type": "thinking", "thinking": [{"type": "text", "text": text}]});
    let reply = Reply::data([
        delta(json!({"role": "assistant", "content": [thought("Oil ")]})),
        delta(json!({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "ages."}], "signature": "c2ln"}]})),
        delta(json!({"content": [{"type": "text", "text": "Every "}]})),
        delta(json!({"content": "2,000 hours."})),
        finish("stop"),
    ])
    .done();
    let server = Server::start([reply, said("x")]).await;
    let model = mistral(&server);
    let mut request = request("How often?");
    let reply = ask(&*model, request.clone()).await.unwrap();
    assert_eq!(reply.text, "Every 2,000 hours.");
    let kept = json!({
        "type": "thinking", "thinking": [{"type": "text", "text": "Oil ages."}],
        "closed": true, "signature": "c2ln",
    });
    assert_eq!(reply.opaque.len(), 1);
    assert_eq!(reply.opaque[0].provider, "mistral");
    assert_eq!(reply.opaque[0].data, kept);

    request.messages.push(reply.into_message());
    request.messages.push(Message::user("And the belt?"));
    ask(&*model, request).await.unwrap();
    assert_eq!(
        server.received()[1].body["messages"][2],
        json!({"role": "assistant", "content": [kept, {"type": "text", "text": "Every 2,000 hours."}]})
    );
}

#[tokio::test]
async fn calls_come_whole_and_sometimes_without_an_id() {
    let reply = Reply::data([delta(json!({"tool_calls": [
        {"id": "D681PevKs", "index": 0, "function": {"name": "search_knowledge", "arguments": "{\"query\": \"oil\"}"}},
        {"id": "null", "index": 1, "function": {"name": "remember", "arguments": {"content": "x"}}},
    ]})), finish("tool_calls")])
    .done();
    let server = Server::start([reply]).await;
    let reply = ask(&*mistral(&server), request("x")).await.unwrap();
    assert_eq!(reply.stop_reason, StopReason::ToolCalls);
    assert_eq!(reply.tool_calls[0].id, "D681PevKs");
    assert_eq!(reply.tool_calls[1].id, "call_1");
    assert_eq!(
        reply.tool_calls[1].arguments,
        Arguments::parse(r#"{"content":"x"}"#)
    );
}

#[tokio::test]
async fn odd_ends_have_their_types() {
    let text = || delta(json!({"content": "He"}));
    let server = Server::start([
        Reply::data([finish("error")]).done(),
        Reply::data([text(), finish("error")]).done(),
        Reply::data([text()]).done(),
        Reply::data([json!({"error": {"message": "busy", "code": 503}})]),
    ])
    .await;
    let model = mistral(&server);
    for code in [
        "unavailable",
        "interrupted",
        "malformed_reply",
        "overloaded",
    ] {
        let error = ask(&*model, request("x")).await.unwrap_err();
        assert_eq!(error.code(), code, "{error}");
    }
}

#[tokio::test]
async fn errors_have_their_types_and_hold_no_key() {
    let error = |kind: &str, message: &str, code: &str| json!({"object": "error", "message": message, "type": kind, "param": null, "code": code});
    let server = Server::start([
        Reply::json(401, json!({"detail": format!("Unauthorized: {KEY}")})),
        Reply::json(400, error("invalid_model", "Invalid model: x", "1500")),
        Reply::json(400, error("invalid_request_message_order", "Unexpected role", "3230")),
        Reply::json(
            400,
            error("invalid_request_error", "Prompt contains 40000 tokens, too large for model with 32768 maximum context length", "3051"),
        ),
        Reply::json(422, json!({"object": "error", "message": {"detail": [{"loc": ["body", "seed"], "msg": "Extra inputs are not permitted"}]}})),
        Reply::json(429, error("service_tier_capacity_exceeded", "Service tier capacity exceeded", "3505")),
    ])
    .await;
    let model = mistral(&server);
    for (code, words) in [
        ("unauthorized", "key"),
        ("unknown_model", "mistral-test"),
        ("invalid_request", "Unexpected role"),
        ("context_too_long", "maximum context"),
        ("invalid_request", "body.seed: Extra inputs"),
        ("rate_limited", "limiting"),
    ] {
        let error = ask(&*model, request("x")).await.unwrap_err();
        assert_eq!(error.code(), code, "{error}");
        assert!(error.to_string().contains(words), "{error}");
        assert!(!format!("{error} {error:?}").contains("canary"), "{error}");
    }
}
