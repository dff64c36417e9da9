//! The cases.

use std::time::Duration;

use jiff::Timestamp;
use llm::{Arguments, ChatRequest, Delta, JsonSchema, ModelError, ModelId, StopReason};
use serde_json::{Value, json};

use super::{Format, Piece, Stop};
use crate::server::Server;
use crate::{ask, items, request};

fn texts(found: Vec<Result<Delta, ModelError>>) -> Vec<String> {
    found
        .into_iter()
        .filter_map(|item| match item.unwrap() {
            Delta::TextDelta { text } => Some(text),
            _ => None,
        })
        .collect()
}

pub async fn text_streams(format: &dyn Format) {
    let pieces = [Piece::Text("Every "), Piece::Text("2,000 hours.")];
    let server = Server::start([format.whole(&pieces, Stop::Turn)]).await;
    let found = items(&*format.model(&server), request("How often?")).await;
    assert_eq!(
        found.last(),
        Some(&Ok(Delta::Finished {
            stop_reason: StopReason::EndTurn
        }))
    );
    assert_eq!(texts(found), ["Every ", "2,000 hours."]);
}

pub async fn characters_survive_any_packet(format: &dyn Format) {
    let said = "Öl – 2\u{202f}000 h 🛢 好 e\u{301}";
    let reply = format.whole(&[Piece::Text(said)], Stop::Turn);
    let sizes = [1, 2, 3, 7, 64];
    let server = Server::start(sizes.map(|size| reply.clone().in_packets_of(size))).await;
    let model = format.model(&server);
    for size in sizes {
        let reply = ask(&*model, request("x")).await.unwrap();
        assert_eq!(reply.text, said, "in packets of {size}");
    }
}

pub async fn tools_are_called_in_parallel(format: &dyn Format) {
    let pieces = [
        Piece::Text("Let me look."),
        Piece::Call(0, "callaaaa1", "search_knowledge"),
        Piece::Call(1, "callbbbb2", "remember"),
        Piece::Arguments(1, "{\"content\""),
        Piece::Arguments(0, "{\"query\":\"ö"),
        Piece::Arguments(0, "l\"}"),
        Piece::Arguments(1, ":\"x\"}"),
    ];
    let server = Server::start([format.whole(&pieces, Stop::Tools)]).await;
    let reply = ask(&*format.model(&server), request("x")).await.unwrap();
    assert_eq!(reply.text, "Let me look.");
    assert_eq!(reply.stop_reason, StopReason::ToolCalls);
    let calls: Vec<(&str, &str, Value)> = reply
        .tool_calls
        .iter()
        .map(|call| {
            let arguments = Value::Object(call.arguments.as_json().unwrap().clone());
            (&*call.id, &*call.name, arguments)
        })
        .collect();
    assert_eq!(
        calls,
        [
            ("callaaaa1", "search_knowledge", json!({"query": "öl"})),
            ("callbbbb2", "remember", json!({"content": "x"})),
        ]
    );
}

pub async fn malformed_arguments_are_kept(format: &dyn Format) {
    let (reply, arguments) = format.malformed_call();
    let server = Server::start([reply]).await;
    let reply = ask(&*format.model(&server), request("x")).await.unwrap();
    assert_eq!(reply.stop_reason, StopReason::ToolCalls);
    assert_eq!(reply.tool_calls.len(), 1);
    assert_eq!(reply.tool_calls[0].name, "search_knowledge");
    assert_eq!(
        reply.tool_calls[0].arguments,
        Arguments::Malformed(arguments.into())
    );
}

pub async fn a_cut_is_not_an_end(format: &dyn Format) {
    let begun = || format.reply(format.frames(&[Piece::Text("Every ")]));
    let half = {
        let mut frames = format.frames(&[Piece::Text("Every "), Piece::Text("2,000 hours.")]);
        let last = frames.last_mut().unwrap();
        last.truncate(last.len() / 2);
        format.reply(frames)
    };
    let silent = || format.reply(Vec::new());
    let server = Server::start([
        begun().cut(),
        begun().closed(),
        half.closed(),
        silent().cut(),
        silent().closed(),
    ])
    .await;
    let model = format.model(&server);
    for received_any in [true, true, true, false, false] {
        let mut found = items(&*model, request("x")).await;
        let error = found.pop().unwrap().unwrap_err();
        assert_eq!(error, ModelError::ConnectionLost { received_any });
        // Before the first piece a caller may choose to ask again, knowing that both may cost.
        assert_eq!(error.is_retry_safe(), !received_any);
        assert!(error.may_have_been_billed() && !error.is_refused_for_now());
    }
}

pub async fn a_limit_with_seconds_is_understood(format: &dyn Format) {
    let server = Server::start([format.complaint(429).header("retry-after", "7")]).await;
    let error = ask(&*format.model(&server), request("x"))
        .await
        .unwrap_err();
    assert_eq!(
        error,
        ModelError::RateLimited {
            retry_after: Some(Duration::from_secs(7))
        }
    );
    assert!(error.is_refused_for_now() && error.another_provider_may_help());
    assert_eq!(server.received().len(), 1, "nothing is sent twice");
}

pub async fn a_limit_with_a_date_is_understood(format: &dyn Format) {
    let at = Timestamp::now() + Duration::from_secs(90);
    let date = at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    let server = Server::start([format.complaint(429).header("retry-after", &date)]).await;
    let error = ask(&*format.model(&server), request("x"))
        .await
        .unwrap_err();
    assert_eq!(error.code(), "rate_limited");
    let wait = error.retry_after().unwrap();
    assert!((60..=90).contains(&wait.as_secs()), "{wait:?}");
}

pub async fn a_failure_of_the_provider_is_one(format: &dyn Format) {
    let server = Server::start([format.complaint(500)]).await;
    let error = ask(&*format.model(&server), request("x"))
        .await
        .unwrap_err();
    assert!(
        matches!(error, ModelError::Unavailable { status: 500, .. }),
        "{error:?}"
    );
    assert!(error.is_retry_safe() && error.another_provider_may_help());
    // It may have come a long way before it failed, so nobody repeats it unasked.
    assert!(!error.is_refused_for_now());
}

pub async fn a_refusal_is_no_answer(format: &dyn Format) {
    let refusals = format.refusals();
    assert!(!refusals.is_empty());
    let server = Server::start(refusals.iter().map(|(reply, _)| reply.clone())).await;
    let model = format.model(&server);
    for (_, reason) in refusals {
        let mut request = request("x");
        // A refusal is no document, and nobody is told that it should have been one.
        request.response_format = Some(hours(true));
        let reply = ask(&*model, request).await.unwrap();
        assert_eq!(reply.stop_reason, reason);
    }
}

pub async fn every_kind_of_token_is_counted(format: &dyn Format) {
    let server = Server::start([
        format.whole(&[Piece::Text("x")], Stop::Turn),
        format.whole(&[Piece::Text("x")], Stop::Length),
    ])
    .await;
    let model = format.model(&server);
    for reason in [StopReason::EndTurn, StopReason::MaxTokens] {
        let reply = ask(&*model, request("x")).await.unwrap();
        assert_eq!(reply.usage, Some(format.usage()));
        assert_eq!(reply.stop_reason, reason);
    }
    assert!(format.usage().cached_input_tokens > 0);
}

fn hours(strict: bool) -> JsonSchema {
    JsonSchema {
        name: "hours".into(),
        schema: json!({
            "type": "object",
            "properties": {"hours": {"type": "integer"}},
            "required": ["hours"],
            "additionalProperties": false,
        }),
        strict,
    }
}

fn structured(strict: bool, with_tools: bool) -> ChatRequest {
    let mut request = request("How often?");
    request.response_format = Some(hours(strict));
    if !with_tools {
        request.tools.clear();
    }
    request
}

/// What a model says that was asked for a document.
fn document(by_tool: bool, first: &'static str, second: &'static str) -> (Vec<Piece>, Stop) {
    match by_tool {
        true => (
            vec![
                Piece::Text("Here it is:"),
                Piece::Call(0, "callaaaa1", "final_answer"),
                Piece::Arguments(0, first),
                Piece::Arguments(0, second),
            ],
            Stop::Tools,
        ),
        false => (vec![Piece::Text(first), Piece::Text(second)], Stop::Turn),
    }
}

const EVERY_WAY: [(bool, bool); 4] = [(true, false), (true, true), (false, false), (false, true)];

pub async fn a_document_follows_its_schema(format: &dyn Format) {
    for (strict, with_tools) in EVERY_WAY {
        let by_tool = format.answers_by_tool(strict, with_tools);
        let (pieces, stop) = document(by_tool, "{\"hours\":", "2000}");
        let server = Server::start([format.whole(&pieces, stop)]).await;
        let reply = ask(&*format.model(&server), structured(strict, with_tools))
            .await
            .unwrap();
        assert_eq!(reply.text, "{\"hours\":2000}");
        assert_eq!(reply.stop_reason, StopReason::EndTurn);
        assert!(reply.tool_calls.is_empty());
        let body = server.only_request().body;
        assert_eq!(
            format.schema(&body, by_tool),
            hours(strict).schema,
            "{body}"
        );
        assert_eq!(format.forced(&body).is_null(), !by_tool, "{body}");
    }
}

pub async fn a_document_that_does_not_is_an_error(format: &dyn Format) {
    for (strict, with_tools) in EVERY_WAY {
        let by_tool = format.answers_by_tool(strict, with_tools);
        let (pieces, stop) = document(by_tool, "{\"hours\":", "\"often\"}");
        let server = Server::start([format.whole(&pieces, stop)]).await;
        let mut found = items(&*format.model(&server), structured(strict, with_tools)).await;
        let error = found.pop().unwrap().unwrap_err();
        assert_eq!(error.code(), "schema_mismatch");
        assert!(error.to_string().contains("/hours"), "{error}");
        assert!(error.may_have_been_billed() && !error.is_retry_safe());
        // What it cost is known all the same.
        assert!(
            found
                .iter()
                .any(|item| matches!(item, Ok(Delta::Usage { .. })))
        );
    }
}

pub async fn a_schema_that_is_none_is_not_sent(format: &dyn Format) {
    let server = Server::start([]).await;
    let mut request = structured(true, false);
    request.response_format.as_mut().unwrap().schema = json!({"type": "hours"});
    let error = ask(&*format.model(&server), request).await.unwrap_err();
    assert_eq!(error.code(), "invalid_request");
    assert!(server.received().is_empty());
}

pub async fn tools_come_before_the_document(format: &dyn Format) {
    let pieces = [
        Piece::Text("Let me look."),
        Piece::Call(0, "callaaaa1", "search_knowledge"),
        Piece::Arguments(0, "{\"query\":\"oil\"}"),
    ];
    let server = Server::start([format.whole(&pieces, Stop::Tools)]).await;
    let reply = ask(&*format.model(&server), structured(true, true))
        .await
        .unwrap();
    assert_eq!(reply.text, "Let me look.");
    assert_eq!(reply.stop_reason, StopReason::ToolCalls);
    assert_eq!(reply.tool_calls[0].name, "search_knowledge");
}

pub async fn frames_that_say_nothing_say_nothing(format: &dyn Format) {
    let frames = [
        format.nothing(),
        format.frames(&[Piece::Text("Yes.")]),
        format.nothing(),
        format.end(Stop::Turn),
    ];
    let server = Server::start([
        format.reply(frames.concat()),
        format.reply(format.nothing()).closed(),
    ])
    .await;
    let model = format.model(&server);
    let found = items(&*model, request("x")).await;
    assert_eq!(texts(found), ["Yes."]);
    // Nothing but nothing is no reply.
    let found = items(&*model, request("x")).await;
    let error = found.into_iter().next_back().unwrap().unwrap_err();
    assert_eq!(
        error,
        ModelError::ConnectionLost {
            received_any: false
        }
    );
}

pub async fn an_error_inside_the_stream_is_one(format: &dyn Format) {
    let mut late = format.frames(&[Piece::Text("He")]);
    late.push(format.error_frame());
    let server =
        Server::start([format.reply(vec![format.error_frame()]), format.reply(late)]).await;
    let model = format.model(&server);
    for (code, retry_safe) in [("overloaded", true), ("interrupted", false)] {
        let found = items(&*model, request("x")).await;
        let error = found.into_iter().next_back().unwrap().unwrap_err();
        assert_eq!(error.code(), code, "{error}");
        assert_eq!(error.is_retry_safe(), retry_safe, "{error}");
    }
}

pub async fn the_limit_of_output_is_sent(format: &dyn Format) {
    let server = Server::start([format.whole(&[Piece::Text("x")], Stop::Turn)]).await;
    let mut request = request("x");
    request.max_output_tokens = Some(321);
    assert!(request.input_tokens_at_most() > 1000);
    ask(&*format.model(&server), request).await.unwrap();
    let body = server.only_request().body;
    assert_eq!(body.pointer(format.limit()), Some(&json!(321)), "{body}");
}

pub async fn who_answers_is_told_first(format: &dyn Format) {
    let server = Server::start([
        format.whole(&[Piece::Text("x")], Stop::Turn),
        format.whole(&[Piece::Text("x")], Stop::Turn),
    ])
    .await;
    let model = format.model(&server);
    let own = model.id().clone();
    let other = ModelId::new(&own.provider, "another-model");
    for (asked, expected) in [(String::new(), own), (other.to_string(), other)] {
        assert_eq!(model.candidates(&asked).unwrap(), vec![expected.clone()]);
        let request = ChatRequest {
            model: asked,
            ..request("x")
        };
        let reply = ask(&*model, request).await.unwrap();
        assert_eq!(reply.model, Some(expected));
        assert!(reply.passed_over.is_empty());
    }
}
