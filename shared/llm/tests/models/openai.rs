//! OpenAI's chat completions, against a scripted server.

use std::time::Duration;

use llm::{
    Arguments, ChatModel, ChatRequest, Delta, JsonSchema, Message, ModelError, Provider,
    StopReason, ToolCall, Usage,
};
use serde_json::{Value, json};

use crate::server::{Reply, Server, model, patient_model};
use crate::{ask, items, request};

const KEY: &str = "sk-canary-0123456789";

fn openai(server: &Server) -> std::sync::Arc<dyn ChatModel> {
    model(
        "gpt-test",
        Provider::OpenAi {
            api_key: Some(KEY.into()),
            base_url: server.url("/v1").parse().unwrap(),
        },
    )
}

fn delta(delta: Value) -> Value {
    json!({"id": "c", "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": delta, "finish_reason": null}]})
}

fn finish(reason: &str) -> Value {
    json!({"id": "c", "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})
}

fn usage() -> Value {
    json!({"id": "c", "choices": [], "usage": {
        "prompt_tokens": 120, "completion_tokens": 30, "total_tokens": 150,
        "prompt_tokens_details": {"cached_tokens": 100},
        "completion_tokens_details": {"reasoning_tokens": 12},
    }})
}

#[tokio::test]
async fn text_streams_and_usage_is_counted() {
    let reply = Reply::data([
        delta(json!({"role": "assistant", "content": ""})),
        delta(json!({"content": "Every "})),
        delta(json!({"content": "2 000 Stunden – 🛢."})),
        finish("stop"),
        usage(),
    ])
    .done();
    // The same reply in packets that end inside lines and inside characters.
    let server = Server::start([reply.clone(), reply.in_packets_of(7)]).await;
    for _ in 0..2 {
        let found = items(&*openai(&server), request("How often?")).await;
        let found: Vec<Delta> = found.into_iter().map(Result::unwrap).collect();
        assert_eq!(
            found,
            [
                Delta::TextDelta {
                    text: "Every ".into()
                },
                Delta::TextDelta {
                    text: "2 000 Stunden – 🛢.".into()
                },
                Delta::Usage {
                    usage: Usage {
                        input_tokens: 120,
                        cached_input_tokens: 100,
                        cache_write_tokens: 0,
                        output_tokens: 30,
                        reasoning_tokens: 12,
                    }
                },
                Delta::Finished {
                    stop_reason: StopReason::EndTurn
                },
            ]
        );
    }
}

#[tokio::test]
async fn the_request_says_everything_in_openais_words() {
    let server =
        Server::start([Reply::data([delta(json!({"content": "{}"})), finish("stop")]).done()])
            .await;
    let call = ToolCall {
        id: "call_1".into(),
        name: "search_knowledge".into(),
        arguments: Arguments::parse(r#"{"query":"oil"}"#),
    };
    let broken = ToolCall {
        id: "call_2".into(),
        arguments: Arguments::Malformed("{oops".into()),
        ..call.clone()
    };
    let mut request = request("How often?");
    request.model = "openai::gpt-other".into();
    request.max_output_tokens = Some(64);
    request.temperature = Some(0.2);
    request.response_format = Some(JsonSchema {
        name: "answer".into(),
        schema: json!({"type": "object"}),
        strict: true,
    });
    request.messages.extend([
        Message::Assistant {
            text: String::new(),
            tool_calls: vec![call.clone(), broken.clone()],
            opaque: Vec::new(),
        },
        Message::tool_result(&call, "{\"passages\":[]}"),
        Message::tool_error(&broken, "the arguments are not JSON"),
    ]);
    ask(&*openai(&server), request).await.unwrap();

    let received = server.only_request();
    assert_eq!(received.line, "POST /v1/chat/completions HTTP/1.1");
    assert_eq!(
        received.header("authorization"),
        Some("Bearer sk-canary-0123456789")
    );
    assert_eq!(
        received.body,
        json!({
            "model": "gpt-other",
            "stream": true,
            "stream_options": {"include_usage": true},
            "max_tokens": 64,
            "temperature": 0.2,
            "response_format": {"type": "json_schema", "json_schema": {"name": "answer", "schema": {"type": "object"}, "strict": true}},
            "tools": [{"type": "function", "function": {
                "name": "search_knowledge",
                "description": "Searches the documents.",
                "parameters": {"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]},
            }}],
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "How often?"},
                {"role": "assistant", "content": null, "tool_calls": [
                    {"id": "call_1", "type": "function", "function": {"name": "search_knowledge", "arguments": "{\"query\":\"oil\"}"}},
                    {"id": "call_2", "type": "function", "function": {"name": "search_knowledge", "arguments": "{\"malformed_arguments\":\"{oops\"}"}},
                ]},
                {"role": "tool", "tool_call_id": "call_1", "content": "{\"passages\":[]}"},
                {"role": "tool", "tool_call_id": "call_2", "content": "Error: the arguments are not JSON"},
            ],
        })
    );
}

#[tokio::test]
async fn parallel_tool_calls_come_in_fragments() {
    let fragment = |index: u64, id: Option<&str>, name: Option<&str>, arguments: &str| {
        delta(json!({"tool_calls": [{
            "index": index, "id": id, "type": "function",
            "function": {"name": name, "arguments": arguments},
        }]}))
    };
    let server = Server::start([Reply::data([
        delta(json!({"content": "Let me look."})),
        fragment(0, Some("call_a"), Some("search_knowledge"), ""),
        fragment(1, Some("call_b"), Some("remember"), "{\"con"),
        fragment(0, None, None, "{\"query\":"),
        fragment(1, None, None, "tent\":\"x\"}"),
        fragment(0, None, None, "\"oil\"}"),
        finish("tool_calls"),
    ])
    .done()])
    .await;
    let reply = ask(&*openai(&server), request("x")).await.unwrap();
    assert_eq!(reply.text, "Let me look.");
    assert_eq!(reply.stop_reason, StopReason::ToolCalls);
    assert_eq!(reply.usage, None);
    let calls: Vec<(&str, &str, Value)> = reply
        .tool_calls
        .iter()
        .map(|call| {
            let arguments = call.arguments.as_json().unwrap().clone();
            (
                call.id.as_str(),
                call.name.as_str(),
                Value::Object(arguments),
            )
        })
        .collect();
    assert_eq!(
        calls,
        [
            ("call_a", "search_knowledge", json!({"query": "oil"})),
            ("call_b", "remember", json!({"content": "x"})),
        ]
    );
}

#[tokio::test]
async fn servers_that_number_calls_badly_are_understood() {
    // Two whole calls under one number; calls without numbers or ids; arguments as an object.
    let whole = |id: Value, index: Value, name: &str, arguments: Value| json!({"id": id, "index": index, "function": {"name": name, "arguments": arguments}});
    let server = Server::start([
        Reply::data([
            delta(json!({"tool_calls": [whole(json!("a"), json!(0), "one", json!("{\"n\":1}"))]})),
            delta(json!({"tool_calls": [whole(json!("b"), json!(0), "two", json!("{\"n\":2}"))]})),
            finish("stop"),
        ])
        .done(),
        Reply::data([
            delta(json!({"tool_calls": [
                whole(Value::Null, Value::Null, "one", json!({"n": 1})),
                whole(Value::Null, Value::Null, "two", json!({"n": 2})),
            ]})),
            finish("tool_calls"),
        ])
        .done(),
    ])
    .await;
    for ids in [["a", "b"], ["call_0", "call_1"]] {
        let reply = ask(&*openai(&server), request("x")).await.unwrap();
        assert_eq!(reply.stop_reason, StopReason::ToolCalls);
        for (position, (call, id)) in reply.tool_calls.iter().zip(ids).enumerate() {
            assert_eq!(call.id, id);
            assert_eq!(call.arguments.as_json().unwrap()["n"], position + 1);
        }
        assert_eq!(reply.tool_calls.len(), 2);
    }
}

#[tokio::test]
async fn malformed_arguments_are_kept_as_they_came() {
    let server = Server::start([Reply::data([
        delta(json!({"tool_calls": [{"index": 0, "id": "a", "function": {"name": "t", "arguments": "{\"query\": \"oil"}}]})),
        finish("length"),
    ])
    .done()])
    .await;
    let reply = ask(&*openai(&server), request("x")).await.unwrap();
    assert_eq!(reply.stop_reason, StopReason::MaxTokens);
    assert_eq!(
        reply.tool_calls[0].arguments,
        Arguments::Malformed("{\"query\": \"oil".into())
    );
}

#[tokio::test]
async fn refusals_and_filters_are_told_apart() {
    let server = Server::start([
        Reply::data([
            delta(json!({"refusal": "I cannot "})),
            delta(json!({"refusal": "help with that."})),
            finish("stop"),
        ])
        .done(),
        Reply::data([delta(json!({"content": "He"})), finish("content_filter")]).done(),
        Reply::json(
            400,
            json!({"error": {"code": "content_filter", "message": "The prompt was filtered."}}),
        ),
    ])
    .await;
    let model = openai(&server);
    let refused = ask(&*model, request("x")).await.unwrap();
    assert_eq!(refused.stop_reason, StopReason::Refusal);
    assert_eq!(refused.text, "I cannot help with that.");
    let filtered = ask(&*model, request("x")).await.unwrap();
    assert_eq!(filtered.stop_reason, StopReason::ContentFilter);
    let error = ask(&*model, request("x")).await.unwrap_err();
    assert_eq!(error.code(), "content_filtered");
}

#[tokio::test]
async fn a_reply_that_breaks_off_is_never_taken_for_a_whole_one() {
    let start = [
        delta(json!({"content": "Every "})),
        delta(json!({"content": "2,000 "})),
    ];
    let server = Server::start([
        Reply::data(start.clone()).cut(),
        Reply::data(start.clone()).closed(),
        Reply::sse(["data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Every \"}}]}\n\ndata: {\"choi"]).closed(),
        Reply::sse::<&str>([]).closed(),
        Reply::sse::<&str>([]).cut(),
    ])
    .await;
    let model = openai(&server);
    for texts in [2, 2, 1] {
        let mut found = items(&*model, request("x")).await;
        let error = found.pop().unwrap().unwrap_err();
        assert_eq!(error, ModelError::ConnectionLost { received_any: true });
        assert!(!error.is_retry_safe() && error.may_have_been_billed());
        assert_eq!(found.len(), texts);
        assert!(found.iter().all(Result::is_ok));
    }
    for _ in 0..2 {
        let error = ask(&*model, request("x")).await.unwrap_err();
        assert_eq!(
            error,
            ModelError::ConnectionLost {
                received_any: false
            }
        );
        assert!(error.is_retry_safe() && error.may_have_been_billed());
    }
}

#[tokio::test]
async fn a_missing_end_marker_is_forgiven_once_the_reason_to_stop_is_there() {
    let server =
        Server::start([
            Reply::data([delta(json!({"content": "Yes."})), finish("stop"), usage()]).closed(),
        ])
        .await;
    let reply = ask(&*openai(&server), request("x")).await.unwrap();
    assert_eq!(reply.text, "Yes.");
    assert_eq!(reply.usage.unwrap().input_tokens, 120);
}

#[tokio::test]
async fn silence_ends_in_a_timeout() {
    let idle = Duration::from_millis(300);
    let server = Server::start([
        Reply::data([delta(json!({"content": "Every "}))]).silent(),
        Reply::sse::<&str>([": nothing yet\n\n"]).silent(),
    ])
    .await;
    let model = patient_model(
        "gpt-test",
        Provider::OpenAi {
            api_key: None,
            base_url: server.url("/v1").parse().unwrap(),
        },
        idle,
    );
    for received_any in [true, false] {
        let mut found = items(&*model, request("x")).await;
        let error = found.pop().unwrap().unwrap_err();
        assert_eq!(
            error,
            ModelError::Timeout {
                after: idle,
                received_any
            }
        );
        assert_eq!(error.is_retry_safe(), !received_any);
    }
}

#[tokio::test]
async fn errors_have_their_types() {
    let body = |kind: &str, message: &str| json!({"error": {"type": kind, "message": message}});
    let server = Server::start([
        Reply::json(401, body("invalid_request_error", &format!("Incorrect API key provided: {KEY}."))),
        Reply::json(429, body("requests", "Rate limit reached")).header("retry-after", "7"),
        Reply::json(429, body("insufficient_quota", "You exceeded your current quota")),
        Reply::json(500, body("server_error", "The server had an error")),
        Reply::json(503, body("", "busy")).header("retry-after-ms", "1500"),
        Reply::json(400, json!({"error": {"code": "context_length_exceeded", "message": format!("Too long. Key {KEY}")}})),
        Reply::json(404, json!({"error": {"code": "model_not_found", "message": "no"}})),
        Reply::bytes("text/html", [b"<html>sk-canary-0123456789</html>".to_vec()]),
        Reply::json(307, json!({})).header("location", "http://127.0.0.1:1/elsewhere"),
    ])
    .await;
    let model = openai(&server);
    let expected = [
        ("unauthorized", false, None),
        ("rate_limited", true, Some(Duration::from_secs(7))),
        ("quota_exhausted", false, None),
        ("unavailable", true, None),
        ("overloaded", true, Some(Duration::from_millis(1500))),
        ("context_too_long", false, None),
        ("unknown_model", false, None),
        ("malformed_reply", false, None),
        ("invalid_request", false, None),
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
    let error = json!({"error": {"type": "server_error", "message": "boom"}});
    let server = Server::start([
        Reply::data([error.clone()]),
        Reply::data([delta(json!({"content": "He"})), error]),
        Reply::data([json!({"error": {"code": 503, "message": "upstream busy"}})]),
        Reply::sse(["data: {not json\n\n"]),
        Reply::data([]).done(),
        Reply::data([
            delta(
                json!({"tool_calls": [{"index": 0, "id": "a", "function": {"arguments": "{}"}}]}),
            ),
            finish("tool_calls"),
        ])
        .done(),
    ])
    .await;
    let model = openai(&server);
    for (code, retry_safe) in [
        ("unavailable", true),
        ("interrupted", false),
        ("overloaded", true),
        ("malformed_reply", false),
        ("malformed_reply", false),
        ("malformed_reply", false),
    ] {
        let error = ask(&*model, request("x")).await.unwrap_err();
        assert_eq!(error.code(), code, "{error}");
        assert_eq!(error.is_retry_safe(), retry_safe, "{error}");
    }
}

#[tokio::test]
async fn a_hostile_server_cannot_fill_the_memory() {
    let many: Vec<Value> = (0..200)
        .map(|index| delta(json!({"tool_calls": [{"index": u64::MAX - index, "id": format!("c{index}"), "function": {"name": "t", "arguments": "{}"}}]})))
        .collect();
    let server = Server::start([
        Reply::data(many),
        Reply::bytes("text/event-stream", (0..5).map(|_| vec![b'x'; 1024 * 1024])),
    ])
    .await;
    let model = openai(&server);
    let calls = items(&*model, request("x")).await;
    assert!(calls.len() < 300);
    assert_eq!(
        calls.last().unwrap().as_ref().unwrap_err().code(),
        "malformed_reply"
    );
    let error = ask(&*model, request("x")).await.unwrap_err();
    assert_eq!(error.code(), "malformed_reply");
}

#[tokio::test]
async fn nobody_listening_is_safe_to_try_elsewhere() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let model = model(
        "m",
        Provider::OpenAi {
            api_key: None,
            base_url: format!("http://127.0.0.1:{port}/v1").parse().unwrap(),
        },
    );
    let error = ask(&*model, request("x")).await.unwrap_err();
    assert_eq!(error.code(), "unreachable");
    assert!(error.is_retry_safe() && !error.may_have_been_billed());
    assert!(error.to_string().contains("refused"), "{error}");
}

#[tokio::test]
async fn another_providers_model_is_not_silently_replaced() {
    let server = Server::start([]).await;
    let error = ask(
        &*openai(&server),
        ChatRequest {
            model: "anthropic::claude".into(),
            ..request("x")
        },
    )
    .await
    .unwrap_err();
    assert_eq!(error.code(), "unknown_provider");
    assert!(!error.is_retry_safe());
    assert!(server.received().is_empty());
}

#[tokio::test]
async fn a_server_without_a_key_gets_no_key() {
    let server =
        Server::start([Reply::data([delta(json!({"content": "x"})), finish("stop")]).done()]).await;
    let model = model(
        "qwen3:8b",
        Provider::OpenAi {
            api_key: None,
            base_url: server.url("/v1/?api-version=1").parse().unwrap(),
        },
    );
    ask(&*model, request("x")).await.unwrap();
    let received = server.only_request();
    assert_eq!(
        received.line,
        "POST /v1/chat/completions?api-version=1 HTTP/1.1"
    );
    assert_eq!(received.header("authorization"), None);
}

#[tokio::test]
async fn giving_up_closes_the_connection() {
    use futures::StreamExt;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut buffer = vec![0; 65536];
        let _ = socket.read(&mut buffer).await.unwrap();
        let event = format!("data: {}\n\n", delta(json!({"content": "x"})));
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
        socket
            .write_all(format!("{head}{event}").as_bytes())
            .await
            .unwrap();
        // Ends when the client goes away, and only then.
        while socket.read(&mut buffer).await.is_ok_and(|count| count > 0) {}
    });
    let model = model(
        "m",
        Provider::OpenAi {
            api_key: None,
            base_url: url.parse().unwrap(),
        },
    );
    let mut stream = model.stream(request("x")).await.unwrap();
    assert!(stream.next().await.unwrap().is_ok());
    drop(stream);
    tokio::time::timeout(Duration::from_secs(5), server)
        .await
        .expect("the connection was closed")
        .unwrap();
}
