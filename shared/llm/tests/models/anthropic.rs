//! Anthropic's Messages API, against a scripted server.

use std::sync::Arc;
use std::time::Duration;

use llm::{
    Arguments, ChatModel, ChatRequest, JsonSchema, Message, ModelError, OpaquePart, Provider,
    StopReason, ToolCall, Usage,
};
use serde_json::{Value, json};

use crate::server::{Reply, Server, model};
use crate::{ask, items, request};

const KEY: &str = "sk-ant-canary-0123456789";

fn anthropic(server: &Server) -> Arc<dyn ChatModel> {
    model(
        "claude-test",
        Provider::Anthropic {
            api_key: KEY.into(),
            base_url: server.url("").parse().unwrap(),
        },
    )
}

fn events(documents: impl IntoIterator<Item = Value>) -> Reply {
    Reply::sse(documents.into_iter().map(|document| {
        let name = document["type"].as_str().unwrap().to_owned();
        format!("event: {name}\ndata: {document}\n\n")
    }))
}

fn start() -> Value {
    json!({"type": "message_start", "message": {"id": "msg_1", "role": "assistant", "content": [], "usage": {
        "input_tokens": 20, "cache_creation_input_tokens": 5, "cache_read_input_tokens": 100, "output_tokens": 1,
    }}})
}

fn block(index: u64, content_block: Value) -> Value {
    json!({"type": "content_block_start", "index": index, "content_block": content_block})
}

fn delta(index: u64, delta: Value) -> Value {
    json!({"type": "content_block_delta", "index": index, "delta": delta})
}

fn text(index: u64, text: &str) -> Value {
    delta(index, json!({"type": "text_delta", "text": text}))
}

fn stop(index: u64) -> Value {
    json!({"type": "content_block_stop", "index": index})
}

fn end(reason: &str) -> [Value; 2] {
    [
        json!({"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": null}, "usage": {"output_tokens": 42, "output_tokens_details": {"thinking_tokens": 30}}}),
        json!({"type": "message_stop"}),
    ]
}

fn whole(blocks: impl IntoIterator<Item = Value>, reason: &str) -> Reply {
    let mut all = vec![start(), json!({"type": "ping"})];
    all.extend(blocks);
    all.extend(end(reason));
    events(all)
}

#[tokio::test]
async fn text_streams_and_usage_is_counted() {
    let blocks = [
        block(0, json!({"type": "text", "text": ""})),
        text(0, "Every "),
        text(0, "2 000 Stunden – 🛢."),
        stop(0),
        json!({"type": "something_new", "data": 1}),
    ];
    let reply = whole(blocks, "end_turn");
    let server = Server::start([reply.clone(), reply.in_packets_of(11)]).await;
    for _ in 0..2 {
        let reply = ask(&*anthropic(&server), request("How often?"))
            .await
            .unwrap();
        assert_eq!(reply.text, "Every 2 000 Stunden – 🛢.");
        assert_eq!(reply.stop_reason, StopReason::EndTurn);
        assert_eq!(
            reply.usage,
            Some(Usage {
                input_tokens: 125,
                cached_input_tokens: 100,
                cache_write_tokens: 5,
                output_tokens: 42,
                reasoning_tokens: 30,
            })
        );
    }
}

#[tokio::test]
async fn the_request_says_everything_in_anthropics_words() {
    let server = Server::start([whole(
        [block(0, json!({"type": "text", "text": "{}"})), stop(0)],
        "end_turn",
    )])
    .await;
    let call = ToolCall {
        id: "call:1".into(),
        name: "search_knowledge".into(),
        arguments: Arguments::parse(r#"{"query":"oil"}"#),
    };
    let broken = ToolCall {
        id: "call_2".into(),
        arguments: Arguments::Malformed("{oops".into()),
        ..call.clone()
    };
    let thinking = json!({"type": "thinking", "thinking": "Hm.", "signature": "sig"});
    let part = |provider: &str, data: Value| OpaquePart {
        provider: provider.into(),
        data,
    };
    let mut request = request("How often?");
    request.temperature = Some(0.2);
    request.response_format = Some(JsonSchema {
        name: "answer".into(),
        schema: json!({"type": "object"}),
        strict: true,
    });
    request.messages.extend([
        Message::Assistant {
            text: " ".into(),
            tool_calls: vec![call.clone(), broken.clone()],
            opaque: vec![
                part("anthropic", thinking.clone()),
                part("bedrock", json!("not yours")),
            ],
        },
        Message::tool_result(&call, "{\"passages\":[]}"),
        Message::tool_error(&broken, "not JSON"),
        Message::user("Go on."),
    ]);
    ask(&*anthropic(&server), request).await.unwrap();

    let received = server.only_request();
    assert_eq!(received.line, "POST /v1/messages HTTP/1.1");
    assert_eq!(received.header("x-api-key"), Some(KEY));
    assert_eq!(received.header("anthropic-version"), Some("2023-06-01"));
    assert_eq!(received.header("authorization"), None);
    let cached = json!({"type": "ephemeral"});
    assert_eq!(
        received.body,
        json!({
            "model": "claude-test",
            "max_tokens": 8192,
            "stream": true,
            "temperature": 0.2,
            "output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}},
            "system": [{"type": "text", "text": "Be brief.", "cache_control": cached}],
            "tools": [{
                "name": "search_knowledge",
                "description": "Searches the documents.",
                "input_schema": {"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]},
            }],
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "How often?"}]},
                {"role": "assistant", "content": [
                    thinking,
                    {"type": "tool_use", "id": "call_1", "name": "search_knowledge", "input": {"query": "oil"}},
                    {"type": "tool_use", "id": "call_2", "name": "search_knowledge", "input": {"malformed_arguments": "{oops"}},
                ]},
                {"role": "user", "content": [
                    {"type": "tool_result", "tool_use_id": "call_1", "content": "{\"passages\":[]}"},
                    {"type": "tool_result", "tool_use_id": "call_2", "content": "not JSON", "is_error": true},
                    {"type": "text", "text": "Go on.", "cache_control": cached},
                ]},
            ],
        })
    );
}

#[tokio::test]
async fn a_history_with_calls_declares_their_tools() {
    let server = Server::start([whole(
        [block(0, json!({"type": "text", "text": "x"})), stop(0)],
        "end_turn",
    )])
    .await;
    let call = ToolCall {
        id: "a".into(),
        name: "remember".into(),
        arguments: Arguments::parse("{}"),
    };
    let request = ChatRequest {
        messages: vec![
            Message::user("x"),
            Message::Assistant {
                text: String::new(),
                tool_calls: vec![call.clone()],
                opaque: Vec::new(),
            },
            Message::tool_result(&call, "done"),
        ],
        ..ChatRequest::default()
    };
    ask(&*anthropic(&server), request).await.unwrap();
    let body = server.only_request().body;
    assert_eq!(body["tools"][0]["name"], "remember");
    assert!(!body.to_string().contains("cache_control"));
}

#[tokio::test]
async fn parallel_tool_calls_come_in_fragments() {
    let partial = |index: u64, json: &str| {
        delta(
            index,
            json!({"type": "input_json_delta", "partial_json": json}),
        )
    };
    let tool = |id: &str, name: &str, input: Value| json!({"type": "tool_use", "id": id, "name": name, "input": input});
    let server = Server::start([whole(
        [
            block(0, json!({"type": "text", "text": ""})),
            text(0, "Let me look."),
            stop(0),
            block(1, tool("toolu_a", "search_knowledge", json!({}))),
            partial(1, ""),
            block(2, tool("toolu_b", "remember", json!({}))),
            partial(2, "{\"content\":"),
            partial(1, "{\"query\": \"o"),
            partial(2, " \"x\"}"),
            partial(1, "il\"}"),
            stop(1),
            stop(2),
            block(3, tool("toolu_c", "no_arguments", json!({}))),
            stop(3),
            block(4, tool("toolu_d", "whole", json!({"n": 1}))),
            stop(4),
        ],
        "tool_use",
    )])
    .await;
    let reply = ask(&*anthropic(&server), request("x")).await.unwrap();
    assert_eq!(reply.text, "Let me look.");
    assert_eq!(reply.stop_reason, StopReason::ToolCalls);
    let arguments: Vec<Value> = reply
        .tool_calls
        .iter()
        .map(|call| Value::Object(call.arguments.as_json().unwrap().clone()))
        .collect();
    assert_eq!(
        arguments,
        [
            json!({"query": "oil"}),
            json!({"content": "x"}),
            json!({}),
            json!({"n": 1})
        ]
    );
    assert_eq!(reply.tool_calls[1].id, "toolu_b");
}

#[tokio::test]
async fn malformed_arguments_are_kept_as_they_came() {
    let server = Server::start([whole(
        [
            block(
                0,
                json!({"type": "tool_use", "id": "a", "name": "t", "input": {}}),
            ),
            delta(
                0,
                json!({"type": "input_json_delta", "partial_json": "{\"query\": \"oi"}),
            ),
        ],
        "max_tokens",
    )])
    .await;
    let reply = ask(&*anthropic(&server), request("x")).await.unwrap();
    assert_eq!(reply.stop_reason, StopReason::MaxTokens);
    assert_eq!(
        reply.tool_calls[0].arguments,
        Arguments::Malformed("{\"query\": \"oi".into())
    );
}

#[tokio::test]
async fn signed_reasoning_is_kept_to_be_sent_back() {
    let server = Server::start([whole(
        [
            block(
                0,
                json!({"type": "thinking", "thinking": "", "signature": ""}),
            ),
            delta(0, json!({"type": "thinking_delta", "thinking": "Oil "})),
            delta(0, json!({"type": "thinking_delta", "thinking": "ages."})),
            delta(0, json!({"type": "signature_delta", "signature": "c2ln"})),
            stop(0),
            block(1, json!({"type": "redacted_thinking", "data": "ZGF0YQ"})),
            stop(1),
            block(2, json!({"type": "text", "text": ""})),
            text(2, "Yes."),
            stop(2),
        ],
        "end_turn",
    )])
    .await;
    let reply = ask(&*anthropic(&server), request("x")).await.unwrap();
    assert_eq!(reply.text, "Yes.");
    let parts: Vec<&Value> = reply.opaque.iter().map(|part| &part.data).collect();
    assert_eq!(
        parts,
        [
            &json!({"type": "thinking", "thinking": "Oil ages.", "signature": "c2ln"}),
            &json!({"type": "redacted_thinking", "data": "ZGF0YQ"}),
        ]
    );
    assert!(matches!(reply.into_message(), Message::Assistant { opaque, .. } if opaque.len() == 2));
}

#[tokio::test]
async fn stop_reasons_have_their_types() {
    let reasons = [
        ("end_turn", StopReason::EndTurn),
        ("stop_sequence", StopReason::EndTurn),
        ("refusal", StopReason::Refusal),
        ("max_tokens", StopReason::MaxTokens),
        ("model_context_window_exceeded", StopReason::MaxTokens),
        ("invented_tomorrow", StopReason::EndTurn),
    ];
    let server = Server::start(reasons.map(|(reason, _)| {
        whole(
            [block(0, json!({"type": "text", "text": "x"})), stop(0)],
            reason,
        )
    }))
    .await;
    for (reason, expected) in reasons {
        let reply = ask(&*anthropic(&server), request("x")).await.unwrap();
        assert_eq!(reply.stop_reason, expected, "{reason}");
    }
}

#[tokio::test]
async fn a_reply_that_breaks_off_is_never_taken_for_a_whole_one() {
    let begin = || {
        [
            start(),
            block(0, json!({"type": "text", "text": ""})),
            text(0, "Every "),
        ]
    };
    let [last, _] = end("end_turn");
    let server = Server::start([
        events(begin()).cut(),
        events(begin()).closed(),
        events([start()]).closed(),
        events(begin().into_iter().chain([stop(0), last])).closed(),
    ])
    .await;
    let model = anthropic(&server);
    for received_any in [true, true, false] {
        let mut found = items(&*model, request("x")).await;
        let error = found.pop().unwrap().unwrap_err();
        assert_eq!(error, ModelError::ConnectionLost { received_any });
        assert!(found.iter().all(Result::is_ok));
    }
    let reply = ask(&*model, request("x")).await.unwrap();
    assert_eq!(reply.text, "Every ");
}

#[tokio::test]
async fn errors_have_their_types() {
    let body = |kind: &str, message: &str| json!({"type": "error", "error": {"type": kind, "message": message}});
    let server = Server::start([
        Reply::json(401, body("authentication_error", "invalid x-api-key")),
        Reply::json(403, body("permission_error", &format!("Key {KEY} may not"))),
        Reply::json(429, body("rate_limit_error", "Too many")).header("retry-after", "12"),
        Reply::json(529, body("overloaded_error", "Overloaded")),
        Reply::json(500, body("api_error", "Internal server error")),
        Reply::json(
            400,
            body(
                "invalid_request_error",
                "prompt is too long: 210000 tokens > 200000 maximum",
            ),
        ),
        Reply::json(
            400,
            body(
                "invalid_request_error",
                "max_tokens: must be greater than 0",
            ),
        ),
        Reply::json(404, body("not_found_error", "model: claude-x")),
        Reply::json(
            413,
            body("request_too_large", "Request exceeds the maximum size"),
        ),
    ])
    .await;
    let model = anthropic(&server);
    let expected = [
        ("unauthorized", false, None),
        ("forbidden", false, None),
        ("rate_limited", true, Some(Duration::from_secs(12))),
        ("overloaded", true, None),
        ("unavailable", true, None),
        ("context_too_long", false, None),
        ("invalid_request", false, None),
        ("unknown_model", false, None),
        ("context_too_long", false, None),
    ];
    for (code, retry_safe, retry_after) in expected {
        let error = ask(&*model, request("x")).await.unwrap_err();
        assert_eq!(error.code(), code, "{error}");
        assert_eq!(error.is_retry_safe(), retry_safe, "{error}");
        assert_eq!(error.retry_after(), retry_after, "{error}");
        assert!(!format!("{error} {error:?}").contains("canary"), "{error}");
    }
    assert_eq!(
        server.received().len(),
        expected.len(),
        "nothing is sent twice"
    );
}

#[tokio::test]
async fn errors_inside_the_stream_count_too() {
    let error =
        json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}});
    let server = Server::start([
        events([start(), error.clone()]),
        events([
            start(),
            block(0, json!({"type": "text", "text": ""})),
            text(0, "He"),
            error,
        ]),
        events([start(), text(7, "a block that never began")]),
        events([start(), block(0, json!({"type": "tool_use", "id": "a"}))]),
    ])
    .await;
    let model = anthropic(&server);
    for (code, retry_safe) in [
        ("overloaded", true),
        ("interrupted", false),
        ("malformed_reply", false),
        ("malformed_reply", false),
    ] {
        let error = ask(&*model, request("x")).await.unwrap_err();
        assert_eq!(error.code(), code, "{error}");
        assert_eq!(error.is_retry_safe(), retry_safe, "{error}");
    }
}
