//! What only Gemini does, against a scripted server.

use std::sync::Arc;

use llm::{Arguments, ChatModel, ChatRequest, Message, OpaquePart, Provider, StopReason, ToolCall};
use serde_json::{Value, json};

use crate::server::{Reply, Server, model};
use crate::{ask, request};

const KEY: &str = "AIza-canary-0123456789";

fn gemini(name: &str, server: &Server) -> Arc<dyn ChatModel> {
    let provider = Provider::Gemini {
        api_key: KEY.into(),
        base_url: server.url("/v1beta").parse().unwrap(),
    };
    model(name, provider)
}

fn chunk(parts: Value, reason: Option<&str>) -> Value {
    json!({"candidates": [{
        "content": {"role": "model", "parts": parts}, "finishReason": reason, "index": 0,
    }]})
}

fn call(id: &str, name: &str, arguments: &str) -> ToolCall {
    ToolCall {
        id: id.into(),
        name: name.into(),
        arguments: Arguments::parse(arguments),
    }
}

#[tokio::test]
async fn the_request_says_everything_in_geminis_words() {
    let server = Server::start([Reply::data([chunk(json!([{"text": "x"}]), Some("STOP"))])]).await;
    let own = call("fc_1", "search_knowledge", r#"{"query":"oil"}"#);
    let numbered = call("call_1", "search_knowledge", "{oops");
    let mut request = request("How often?");
    request.max_output_tokens = Some(64);
    request.temperature = Some(0.2);
    let part = |provider: &str, data: Value| OpaquePart {
        provider: provider.into(),
        data,
    };
    request.messages.extend([
        Message::Assistant {
            text: "Looking.".into(),
            tool_calls: vec![own.clone(), numbered.clone()],
            opaque: vec![
                part("gemini", json!({"thoughtSignature": "dGV4dA"})),
                part(
                    "gemini",
                    json!({"call_id": "fc_1", "id": "fc_1", "thoughtSignature": "c2ln"}),
                ),
                part("gemini", json!({"call_id": "call_1"})),
                part("anthropic", json!("not yours")),
            ],
        },
        Message::tool_result(&own, r#"{"passages":[]}"#),
        Message::tool_error(&numbered, "not JSON"),
        Message::user("Go on."),
    ]);
    ask(&*gemini("gemini-3-test", &server), request)
        .await
        .unwrap();

    let received = server.only_request();
    assert_eq!(
        received.line,
        "POST /v1beta/models/gemini-3-test:streamGenerateContent?alt=sse HTTP/1.1"
    );
    assert_eq!(received.header("x-goog-api-key"), Some(KEY));
    assert_eq!(received.header("authorization"), None);
    assert_eq!(
        received.body,
        json!({
            "systemInstruction": {"parts": [{"text": "Be brief."}]},
            "generationConfig": {"maxOutputTokens": 64, "temperature": 0.2},
            "tools": [{"functionDeclarations": [{
                "name": "search_knowledge",
                "description": "Searches the documents.",
                "parametersJsonSchema": {"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]},
            }]}],
            "contents": [
                {"role": "user", "parts": [{"text": "How often?"}]},
                {"role": "model", "parts": [
                    {"text": "Looking."},
                    {"text": "", "thoughtSignature": "dGV4dA"},
                    {
                        "functionCall": {"id": "fc_1", "name": "search_knowledge", "args": {"query": "oil"}},
                        "thoughtSignature": "c2ln",
                    },
                    {"functionCall": {"name": "search_knowledge", "args": {"malformed_arguments": "{oops"}}},
                ]},
                {"role": "user", "parts": [
                    {"functionResponse": {"id": "fc_1", "name": "search_knowledge", "response": {"output": {"passages": []}}}},
                    {"functionResponse": {"name": "search_knowledge", "response": {"error": "not JSON"}}},
                    {"text": "Go on."},
                ]},
            ],
        })
    );
}

#[tokio::test]
async fn what_a_reply_signed_goes_back_where_it_came_from() {
    let reply = Reply::data([
        chunk(
            json!([{"text": "Hm.", "thought": true, "thoughtSignature": "bm8"}]),
            None,
        ),
        chunk(json!([{"text": "Let me look."}]), None),
        chunk(
            json!([
                {"functionCall": {"id": "fc_a", "name": "search_knowledge", "args": {"query": "oil"}}, "thoughtSignature": "c2ln"},
                {"functionCall": {"id": "fc_b", "name": "search_knowledge", "args": {"query": "belt"}}},
                {"functionCall": {"name": "search_knowledge"}},
            ]),
            None,
        ),
        // Signatures and counts may follow the reason to stop.
        chunk(
            json!([{"text": "", "thoughtSignature": "ZW5k"}]),
            Some("STOP"),
        ),
        json!({"usageMetadata": {"promptTokenCount": 7, "candidatesTokenCount": 2}}),
    ]);
    let end = Reply::data([chunk(json!([{"text": "Yes."}]), Some("STOP"))]);
    let server = Server::start([reply, end]).await;
    let model = gemini("gemini-3-test", &server);
    let mut request = request("How often?");
    let reply = ask(&*model, request.clone()).await.unwrap();
    assert_eq!(reply.text, "Let me look.");
    assert_eq!(reply.stop_reason, StopReason::ToolCalls);
    assert_eq!(reply.usage.unwrap().input_tokens, 7);
    let ids: Vec<&str> = reply.tool_calls.iter().map(|call| &*call.id).collect();
    assert_eq!(ids, ["fc_a", "fc_b", "call_2"]);
    assert_eq!(reply.tool_calls[2].arguments, Arguments::parse("{}"));

    let calls = reply.tool_calls.clone();
    request.messages.push(reply.into_message());
    request
        .messages
        .extend(calls.iter().map(|call| Message::tool_result(call, "{}")));
    ask(&*model, request).await.unwrap();
    let contents = &server.received()[1].body["contents"];
    assert_eq!(
        contents[1]["parts"],
        json!([
            {"text": "Let me look."},
            {"text": "", "thoughtSignature": "ZW5k"},
            {"functionCall": {"id": "fc_a", "name": "search_knowledge", "args": {"query": "oil"}}, "thoughtSignature": "c2ln"},
            {"functionCall": {"id": "fc_b", "name": "search_knowledge", "args": {"query": "belt"}}},
            {"functionCall": {"name": "search_knowledge", "args": {}}},
        ])
    );
    assert_eq!(contents[2]["parts"][0]["functionResponse"]["id"], "fc_a");
    assert_eq!(
        contents[2]["parts"][2]["functionResponse"]["id"],
        Value::Null
    );
}

#[tokio::test]
async fn calls_of_another_provider_are_taken_over() {
    // Older models ask for no signature, newer ones for one in the first call of a step.
    for (name, signature) in [
        ("gemini-3-test", json!("skip_thought_signature_validator")),
        ("gemini-2.5-test", Value::Null),
    ] {
        let server =
            Server::start([Reply::data([chunk(json!([{"text": "x"}]), Some("STOP"))])]).await;
        let mut request = request("x");
        let foreign = [
            call("toolu_1", "remember", "{}"),
            call("toolu_2", "remember", "{}"),
        ];
        request.messages.push(Message::Assistant {
            text: String::new(),
            tool_calls: foreign.to_vec(),
            opaque: Vec::new(),
        });
        request.messages.extend(
            foreign
                .iter()
                .map(|call| Message::tool_result(call, "done")),
        );
        ask(&*gemini(name, &server), request).await.unwrap();
        let body = server.only_request().body;
        let parts = &body["contents"][1]["parts"];
        assert_eq!(parts[0]["thoughtSignature"], signature);
        assert_eq!(parts[0]["functionCall"]["id"], Value::Null);
        assert_eq!(parts[1]["thoughtSignature"], Value::Null);
        assert_eq!(
            body["contents"][2]["parts"][0]["functionResponse"]["response"],
            json!({"output": "done"})
        );
    }
}

#[tokio::test]
async fn ids_that_are_made_up_go_on_where_the_conversation_stands() {
    let part = json!([{"functionCall": {"name": "search_knowledge", "args": {"query": "x"}}}]);
    let server = Server::start([Reply::data([chunk(part, Some("STOP"))])]).await;
    let mut request = request("x");
    let before = call("call_0", "search_knowledge", "{}");
    request.messages.extend([
        Message::Assistant {
            text: String::new(),
            tool_calls: vec![before.clone()],
            opaque: Vec::new(),
        },
        Message::tool_result(&before, "{}"),
    ]);
    let reply = ask(&*gemini("gemini-2.5-test", &server), request)
        .await
        .unwrap();
    assert_eq!(reply.tool_calls[0].id, "call_1");
}

#[tokio::test]
async fn blocks_and_odd_ends_have_their_types() {
    let feedback = |reason: &str| json!({"promptFeedback": {"blockReason": reason}, "usageMetadata": {"promptTokenCount": 5}});
    let ended = |reason: &str| chunk(json!([{"text": "He"}]), Some(reason));
    let cases = [
        (feedback("SAFETY"), "content_filtered"),
        (feedback("PROHIBITED_CONTENT"), "content_filtered"),
        (ended("OTHER"), "malformed_reply"),
        (ended("UNEXPECTED_TOOL_CALL"), "malformed_reply"),
        (ended("INVENTED_TOMORROW"), "malformed_reply"),
        (
            chunk(json!([{"functionCall": {"args": {}}}]), Some("STOP")),
            "malformed_reply",
        ),
    ];
    let server = Server::start(cases.iter().map(|(chunk, _)| Reply::data([chunk.clone()]))).await;
    let model = gemini("gemini-test", &server);
    for (chunk, code) in cases {
        let error = ask(&*model, request("x")).await.unwrap_err();
        assert_eq!(error.code(), code, "{chunk}");
        assert!(!error.is_retry_safe());
        assert!(!error.another_provider_may_help() || code == "malformed_reply");
    }
}

#[tokio::test]
async fn an_unreadable_call_without_a_known_name_is_one_all_the_same() {
    let mut end = chunk(json!([]), Some("MALFORMED_FUNCTION_CALL"));
    end["candidates"][0]["finishMessage"] = json!("Malformed function call: print(x");
    let server = Server::start([Reply::data([end])]).await;
    let reply = ask(&*gemini("gemini-test", &server), request("x"))
        .await
        .unwrap();
    assert_eq!(reply.tool_calls[0].name, "unreadable_call");
    assert!(matches!(
        reply.tool_calls[0].arguments,
        Arguments::Malformed(_)
    ));
}

#[tokio::test]
async fn errors_have_their_types_and_hold_no_key() {
    let error = |code: u16, status: &str, message: &str| json!({"error": {"code": code, "status": status, "message": message}});
    let mut key = error(
        400,
        "INVALID_ARGUMENT",
        &format!("API key not valid: {KEY}"),
    );
    key["error"]["details"] = json!([{"reason": "API_KEY_INVALID", "domain": "googleapis.com"}]);
    let mut limited = error(429, "RESOURCE_EXHAUSTED", "You exceeded your current quota");
    limited["error"]["details"] = json!([{"retryDelay": "34s"}]);
    let server = Server::start([
        Reply::json(400, key),
        Reply::json(403, error(403, "PERMISSION_DENIED", &format!("no {KEY}"))),
        Reply::json(
            404,
            error(
                404,
                "NOT_FOUND",
                "models/x is not found for API version v1beta",
            ),
        ),
        Reply::json(429, json!([limited])),
        Reply::json(503, error(503, "UNAVAILABLE", "The model is overloaded.")),
        Reply::json(504, error(504, "DEADLINE_EXCEEDED", "Deadline expired")),
    ])
    .await;
    let model = gemini("gemini-test", &server);
    for (code, seconds) in [
        ("unauthorized", None),
        ("forbidden", None),
        ("unknown_model", None),
        ("rate_limited", Some(34)),
        ("overloaded", None),
        ("unavailable", None),
    ] {
        let error = ask(&*model, request("x")).await.unwrap_err();
        assert_eq!(error.code(), code, "{error}");
        assert_eq!(error.retry_after().map(|wait| wait.as_secs()), seconds);
        assert!(!format!("{error} {error:?}").contains("canary"), "{error}");
    }
}

#[tokio::test]
async fn a_history_without_words_is_left_out() {
    let server = Server::start([Reply::data([chunk(json!([{"text": "x"}]), Some("STOP"))])]).await;
    let request = ChatRequest {
        messages: vec![
            Message::user("One."),
            Message::assistant(""),
            Message::user("Two."),
        ],
        ..ChatRequest::default()
    };
    ask(&*gemini("gemini-test", &server), request)
        .await
        .unwrap();
    assert_eq!(
        server.only_request().body,
        json!({"contents": [{"role": "user", "parts": [{"text": "One."}, {"text": "Two."}]}]})
    );
}
