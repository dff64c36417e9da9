//! Chat completions as OpenAI's clients read them.

use std::fmt::Write as _;

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::header;
use serde_json::{Value, json};

use super::{ANSWER, Script};

/// The call of a script's tool that a turn makes.
pub(super) fn tool_call(script: &Script, turn: u32) -> Value {
    json!({
        "id": format!("call_{}_{turn}", script.id),
        "type": "function",
        "function": { "name": script.tool, "arguments": script.arguments.to_string() },
    })
}

fn usage() -> Value {
    json!({ "prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110 })
}

const fn finish_reason(called: bool) -> &'static str {
    if called { "tool_calls" } else { "stop" }
}

/// A completion in one piece.
pub(super) fn whole(model: &str, call: Option<Value>) -> Response {
    let finish_reason = finish_reason(call.is_some());
    let message = match call {
        Some(call) => json!({ "role": "assistant", "content": null, "tool_calls": [call] }),
        None => json!({ "role": "assistant", "content": ANSWER.concat() }),
    };
    let choice = json!({ "index": 0, "message": message, "finish_reason": finish_reason });
    Json(json!({
        "id": "chatcmpl-bench",
        "object": "chat.completion",
        "created": 1,
        "model": model,
        "choices": [choice],
        "usage": usage(),
    }))
    .into_response()
}

/// A completion as server-sent events.
pub(super) fn streamed(model: &str, call: Option<Value>) -> Response {
    let finish_reason = finish_reason(call.is_some());
    let deltas: Vec<Value> = match call {
        Some(mut call) => {
            call["index"] = json!(0);
            vec![json!({ "role": "assistant", "content": null, "tool_calls": [call] })]
        }
        None => ANSWER
            .iter()
            .map(|text| json!({ "content": text }))
            .collect(),
    };
    let of_choice = |delta: Value, reason: Option<&str>| {
        let choice = json!({ "index": 0, "delta": delta, "finish_reason": reason });
        json!({ "choices": [choice] })
    };
    let chunks = deltas
        .into_iter()
        .map(|delta| of_choice(delta, None))
        .chain([
            of_choice(json!({}), Some(finish_reason)),
            json!({ "choices": [], "usage": usage() }),
        ]);
    let mut body = String::new();
    for mut chunk in chunks {
        chunk["id"] = json!("chatcmpl-bench");
        chunk["object"] = json!("chat.completion.chunk");
        chunk["created"] = json!(1);
        chunk["model"] = json!(model);
        let _ = write!(body, "data: {chunk}\n\n");
    }
    body.push_str("data: [DONE]\n\n");
    ([(header::CONTENT_TYPE, "text/event-stream")], body).into_response()
}
