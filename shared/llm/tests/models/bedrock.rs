//! Bedrock's Converse API, against a scripted server that speaks AWS's event stream.

use std::sync::Arc;

use aws_credential_types::Credentials;
use aws_smithy_eventstream::frame::write_message_to;
use aws_smithy_types::event_stream::{Header, HeaderValue, Message as Frame};
use llm::{
    Arguments, BedrockCredentials, ChatModel, JsonSchema, Message, ModelError, Provider,
    StopReason, ToolCall, Usage,
};
use serde_json::{Value, json};

use crate::server::{Reply, Server, model};
use crate::{ask, items, request};

const MODEL: &str = "eu.amazon.nova-test-v1:0";

fn bedrock(server: &Server, credentials: BedrockCredentials) -> Arc<dyn ChatModel> {
    model(
        MODEL,
        Provider::Bedrock {
            region: "eu-west-1".into(),
            endpoint: server.url("").parse().unwrap(),
            credentials,
        },
    )
}

fn signed(server: &Server) -> Arc<dyn ChatModel> {
    let credentials = Credentials::new("AKIDEXAMPLE", "secret-canary", None, None, "test");
    bedrock(server, credentials.into())
}

pub fn frame(kind: &str, name: &str, payload: Value) -> Vec<u8> {
    let text = |value: &str| HeaderValue::String(value.to_owned().into());
    let type_header = match kind {
        "exception" => ":exception-type",
        _ => ":event-type",
    };
    let message = Frame::new(payload.to_string())
        .add_header(Header::new(":message-type", text(kind)))
        .add_header(Header::new(type_header.to_owned(), text(name)))
        .add_header(Header::new(":content-type", text("application/json")));
    let mut bytes = Vec::new();
    write_message_to(&message, &mut bytes).unwrap();
    bytes
}

pub fn event(name: &str, payload: Value) -> Vec<u8> {
    frame("event", name, payload)
}

fn stream(frames: impl IntoIterator<Item = Vec<u8>>) -> Reply {
    Reply::bytes("application/vnd.amazon.eventstream", frames)
}

fn text(text: &str) -> Vec<u8> {
    event(
        "contentBlockDelta",
        json!({"contentBlockIndex": 0, "delta": {"text": text}}),
    )
}

fn end(reason: &str) -> [Vec<u8>; 2] {
    [
        event("messageStop", json!({"stopReason": reason})),
        event(
            "metadata",
            json!({"usage": {
            "inputTokens": 20, "outputTokens": 9, "totalTokens": 129,
            "cacheReadInputTokens": 100, "cacheWriteInputTokens": 0,
        }, "metrics": {"latencyMs": 5}}),
        ),
    ]
}

#[tokio::test]
async fn text_tools_and_usage_arrive() {
    let tool = |index: u64, id: &str, name: &str| {
        event(
            "contentBlockStart",
            json!({"contentBlockIndex": index, "start": {"toolUse": {"toolUseId": id, "name": name}}}),
        )
    };
    let input = |index: u64, input: &str| {
        event(
            "contentBlockDelta",
            json!({"contentBlockIndex": index, "delta": {"toolUse": {"input": input}}}),
        )
    };
    let mut frames = vec![
        event("messageStart", json!({"role": "assistant"})),
        text("Let me "),
        text("look."),
        event("contentBlockStop", json!({"contentBlockIndex": 0})),
        tool(1, "tooluse_a", "search_knowledge"),
        input(1, "{\"query\":"),
        tool(2, "tooluse_b", "remember"),
        input(2, "{\"content\": broken"),
        input(1, "\"oil\"}"),
        event("contentBlockStop", json!({"contentBlockIndex": 1})),
        event("contentBlockStop", json!({"contentBlockIndex": 2})),
    ];
    frames.extend(end("tool_use"));
    let reply = stream(frames);
    let server = Server::start([reply.clone(), reply.in_packets_of(13)]).await;
    for _ in 0..2 {
        let reply = ask(&*signed(&server), request("x")).await.unwrap();
        assert_eq!(reply.text, "Let me look.");
        assert_eq!(reply.stop_reason, StopReason::ToolCalls);
        assert_eq!(
            reply.tool_calls[0].arguments.as_json().unwrap()["query"],
            "oil"
        );
        assert_eq!(
            reply.tool_calls[1].arguments,
            Arguments::Malformed("{\"content\": broken".into())
        );
        assert_eq!(
            reply.usage,
            Some(Usage {
                input_tokens: 120,
                cached_input_tokens: 100,
                cache_write_tokens: 0,
                output_tokens: 9,
                reasoning_tokens: 0,
            })
        );
    }
}

#[tokio::test]
async fn the_request_is_signed_and_says_everything() {
    let server = Server::start([stream([text("{}")].into_iter().chain(end("end_turn")))]).await;
    let call = ToolCall {
        id: "call.1".into(),
        name: "search_knowledge".into(),
        arguments: Arguments::parse(r#"{"query":"oil"}"#),
    };
    let mut request = request("How often?");
    request.max_output_tokens = Some(64);
    request.temperature = Some(0.2);
    request.response_format = Some(JsonSchema {
        name: "answer".into(),
        schema: json!({"type": "object"}),
        strict: true,
    });
    request.messages.extend([
        Message::Assistant {
            text: "Looking.".into(),
            tool_calls: vec![call.clone()],
            opaque: Vec::new(),
        },
        Message::tool_error(&call, "no index"),
    ]);
    ask(&*signed(&server), request).await.unwrap();

    let received = server.only_request();
    assert_eq!(
        received.line,
        "POST /model/eu.amazon.nova-test-v1%3A0/converse-stream HTTP/1.1"
    );
    let authorisation = received.header("authorization").unwrap();
    assert!(authorisation.starts_with("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/"));
    assert!(authorisation.contains("/eu-west-1/bedrock/aws4_request"));
    // The signature covers the host with its port, as the client sends it.
    assert!(received.header("host").unwrap().contains(':'));
    assert_eq!(
        received.body,
        json!({
            "system": [{"text": "Be brief."}],
            "inferenceConfig": {"maxTokens": 64, "temperature": 0.2},
            "toolConfig": {
                "tools": [
                    {"toolSpec": {
                        "name": "search_knowledge",
                        "description": "Searches the documents.",
                        "inputSchema": {"json": {"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]}},
                    }},
                    {"toolSpec": {
                        "name": "final_answer",
                        "description": received.body["toolConfig"]["tools"][1]["toolSpec"]["description"],
                        "inputSchema": {"json": {"type": "object"}},
                        "strict": true,
                    }},
                ],
                "toolChoice": {"any": {}},
            },
            "messages": [
                {"role": "user", "content": [{"text": "How often?"}]},
                {"role": "assistant", "content": [
                    {"text": "Looking."},
                    {"toolUse": {"toolUseId": "call_1", "name": "search_knowledge", "input": {"query": "oil"}}},
                ]},
                {"role": "user", "content": [
                    {"toolResult": {"toolUseId": "call_1", "content": [{"text": "no index"}], "status": "error"}},
                ]},
            ],
        })
    );
}

#[tokio::test]
async fn an_api_key_replaces_the_signature() {
    let server = Server::start([stream([text("x")].into_iter().chain(end("end_turn")))]).await;
    let model = bedrock(&server, BedrockCredentials::ApiKey("key-canary".into()));
    ask(&*model, request("x")).await.unwrap();
    let received = server.only_request();
    assert_eq!(received.header("authorization"), Some("Bearer key-canary"));
    assert_eq!(received.header("x-amz-date"), None);
}

#[tokio::test]
async fn signed_reasoning_is_kept_to_be_sent_back() {
    let reasoning = |delta: Value| {
        event(
            "contentBlockDelta",
            json!({"contentBlockIndex": 0, "delta": {"reasoningContent": delta}}),
        )
    };
    let frames = [
        reasoning(json!({"text": "Oil "})),
        reasoning(json!({"text": "ages."})),
        reasoning(json!({"signature": "c2ln"})),
        event("contentBlockStop", json!({"contentBlockIndex": 0})),
    ];
    let server = Server::start([stream(frames.into_iter().chain(end("end_turn")))]).await;
    let reply = ask(&*signed(&server), request("x")).await.unwrap();
    assert_eq!(reply.opaque.len(), 1);
    assert_eq!(reply.opaque[0].provider, "bedrock");
    assert_eq!(
        reply.opaque[0].data,
        json!({"reasoningContent": {"reasoningText": {"text": "Oil ages.", "signature": "c2ln"}}})
    );
}

#[tokio::test]
async fn stop_reasons_have_their_types() {
    let reasons = [
        ("end_turn", StopReason::EndTurn),
        ("max_tokens", StopReason::MaxTokens),
        ("guardrail_intervened", StopReason::ContentFilter),
        ("content_filtered", StopReason::ContentFilter),
    ];
    let server = Server::start(
        reasons.map(|(reason, _)| stream([text("x")].into_iter().chain(end(reason)))),
    )
    .await;
    for (reason, expected) in reasons {
        let reply = ask(&*signed(&server), request("x")).await.unwrap();
        assert_eq!(reply.stop_reason, expected, "{reason}");
    }
}

#[tokio::test]
async fn cuts_and_broken_frames_are_noticed() {
    let mut broken = text("Every ");
    let last = broken.len() - 1;
    broken[last] ^= 0xff;
    let whole = text("Every ");
    let half = whole[..whole.len() / 2].to_vec();
    let server = Server::start([
        stream([text("Every ")]).cut(),
        stream([text("Every "), half]).closed(),
        stream([broken]),
        stream([vec![0x7f; 64]]),
    ])
    .await;
    let model = signed(&server);
    for _ in 0..2 {
        let mut found = items(&*model, request("x")).await;
        let error = found.pop().unwrap().unwrap_err();
        assert_eq!(error, ModelError::ConnectionLost { received_any: true });
    }
    for _ in 0..2 {
        let error = ask(&*model, request("x")).await.unwrap_err();
        assert_eq!(error.code(), "malformed_reply", "{error}");
    }
}

#[tokio::test]
async fn errors_have_their_types() {
    let refuse = |status: u16, kind: &str, message: &str| {
        Reply::json(status, json!({"message": message})).header(
            "x-amzn-errortype",
            &format!("{kind}:http://internal.amazon.com/coral/"),
        )
    };
    let exception = |name: &str| frame("exception", name, json!({"message": "x"}));
    let server = Server::start([
        refuse(
            403,
            "UnrecognizedClientException",
            "The security token is invalid.",
        ),
        refuse(
            403,
            "AccessDeniedException",
            "You don't have access to the model.",
        ),
        refuse(429, "ThrottlingException", "Too many requests"),
        refuse(
            400,
            "ValidationException",
            "Input is too long for requested model.",
        ),
        refuse(400, "ValidationException", "Malformed input request"),
        refuse(404, "ResourceNotFoundException", "No such model"),
        refuse(503, "ServiceUnavailableException", "later"),
        refuse(424, "ModelErrorException", "the model failed"),
        stream([exception("throttlingException")]),
        stream([text("He"), exception("modelStreamErrorException")]),
        stream([exception("validationException")]),
    ])
    .await;
    let model = signed(&server);
    for (code, retry_safe) in [
        ("unauthorized", false),
        ("forbidden", false),
        ("rate_limited", true),
        ("context_too_long", false),
        ("invalid_request", false),
        ("unknown_model", false),
        ("overloaded", true),
        ("unavailable", true),
        ("rate_limited", true),
        ("interrupted", false),
        ("invalid_request", false),
    ] {
        let error = ask(&*model, request("x")).await.unwrap_err();
        assert_eq!(error.code(), code, "{error}");
        assert_eq!(error.is_retry_safe(), retry_safe, "{error}");
        assert!(!format!("{error} {error:?}").contains("canary"));
    }
}
