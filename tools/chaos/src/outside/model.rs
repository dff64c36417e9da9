//! A model that speaks the protocol of OpenAI's chat completions, as streams only.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use bytes::Bytes;
use futures::stream;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use kernel::AgentId;
use rand::Rng as _;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::UnderWay;
use crate::history::{EffectKey, History};
use crate::script::{Script, ScriptedTurn, value_in};
use crate::seeds::sequence;

/// The model's name.
pub(crate) const MODEL: &str = "scripted";
/// The pause before each piece of a slow answer: long enough that the product writes some of the
/// answer before the rest has come.
const SLOW: Duration = Duration::from_millis(110);
/// Longer than anybody waits.
const NEVER: Duration = Duration::from_secs(600);

/// The routes of the server.
pub(crate) fn router(seed: u64, history: Arc<History>) -> Router {
    Router::new()
        .route("/v1/chat/completions", post(complete))
        .with_state(Model { seed, history })
}

#[derive(Debug, Clone)]
struct Model {
    seed: u64,
    history: Arc<History>,
}

async fn complete(State(model): State<Model>, body: Bytes) -> Response {
    let request: Value = serde_json::from_slice(&body).unwrap_or_default();
    let Some((number, step, values)) = place(&request) else {
        let what = "the model was asked for no run".to_owned();
        model.history.strange_call(what);
        return StatusCode::BAD_REQUEST.into_response();
    };
    let run = model.history.look(|facts| {
        let run = facts.runs.get(&number)?;
        Some((run.execution, facts.colleague_in(run.org)))
    });
    let script = Script::of(model.seed, number);
    let Some((execution, colleague)) = run.filter(|_| step <= script.steps()) else {
        let what = format!("the model was asked for step {step} of run {number}");
        model.history.strange_call(what);
        return StatusCode::BAD_REQUEST.into_response();
    };
    let effect = EffectKey {
        execution,
        step,
        call: 0,
    };
    let under_way = UnderWay::new(&model.history, model.history.call_began(effect));
    let mut draw = sequence(model.seed, "latency", number * 100 + u64::from(step));
    sleep(Duration::from_millis(draw.random_range(20..150))).await;

    if script.hangs(step) {
        // Whoever asks gives up sooner.
        sleep(NEVER).await;
    }
    let turn = script.turn(step, &values);
    let slow = script.slow_answer && matches!(turn, ScriptedTurn::Answer(_));
    let reply = Reading {
        under_way,
        pieces: pieces(&script, step, &turn, colleague),
        pause: if slow { SLOW } else { Duration::ZERO },
    };
    let mut response = Response::new(Body::from_stream(stream::unfold(reply, Reading::next)));
    let kind = http::HeaderValue::from_static("text/event-stream");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

/// Where in which run a request stands: the number of the run, the step that is asked for, and
/// what the tools have said so far.
fn place(request: &Value) -> Option<(u64, u32, Vec<String>)> {
    let messages = request["messages"].as_array()?;
    let of = |role: &'static str| messages.iter().filter(move |one| one["role"] == role);
    let number = of("user").find_map(|one| Script::number_in(one["content"].as_str()?))?;
    let step = u32::try_from(of("assistant").count()).ok()? + 1;
    let values = of("tool")
        .map(|one| value_in(one["content"].as_str().unwrap_or_default()))
        .collect();
    Some((number, step, values))
}

/// A reply that is being taken.
struct Reading {
    under_way: UnderWay,
    pieces: VecDeque<Bytes>,
    pause: Duration,
}

impl Reading {
    async fn next(mut self) -> Option<(Result<Bytes, Infallible>, Self)> {
        let Some(piece) = self.pieces.pop_front() else {
            self.under_way.whole = true;
            return None;
        };
        if !self.pause.is_zero() {
            sleep(self.pause).await;
        }
        self.under_way.pieces_read += 1;
        Some((Ok(piece), self))
    }
}

fn pieces(
    script: &Script,
    step: u32,
    turn: &ScriptedTurn,
    colleague: Option<AgentId>,
) -> VecDeque<Bytes> {
    let mut chunks = Vec::new();
    let mut delta = |delta: Value, finish: Value| {
        chunks.push(json!({
            "id": "chatcmpl-scripted",
            "object": "chat.completion.chunk",
            "model": MODEL,
            "choices": [{ "index": 0, "delta": delta, "finish_reason": finish }],
        }));
    };
    match turn {
        ScriptedTurn::Calls(calls) => {
            for (index, call) in calls.iter().enumerate() {
                let call = json!({
                    "index": index,
                    "id": format!("call_{}", call.item.replace('-', "_")),
                    "type": "function",
                    "function": {
                        "name": call.tool.name(),
                        "arguments": call.arguments(colleague).to_string(),
                    },
                });
                delta(
                    json!({ "role": "assistant", "tool_calls": [call] }),
                    Value::Null,
                );
            }
            delta(json!({}), json!("tool_calls"));
        }
        ScriptedTurn::Answer(answer) => {
            for word in answer.split_inclusive(' ') {
                delta(json!({ "role": "assistant", "content": word }), Value::Null);
            }
            delta(json!({}), json!("stop"));
        }
    }
    let tokens = script.tokens(step);
    chunks.push(json!({
        "id": "chatcmpl-scripted",
        "object": "chat.completion.chunk",
        "model": MODEL,
        "choices": [],
        "usage": {
            "prompt_tokens": tokens.input,
            "completion_tokens": tokens.output,
            "total_tokens": tokens.input + tokens.output,
            "prompt_tokens_details": { "cached_tokens": tokens.cached },
        },
    }));
    let mut pieces: VecDeque<Bytes> = chunks
        .iter()
        .map(|chunk| Bytes::from(format!("data: {chunk}\n\n")))
        .collect();
    pieces.push_back(Bytes::from_static(b"data: [DONE]\n\n"));
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_says_where_it_stands() {
        let request = json!({ "messages": [
            { "role": "system", "content": "Answer." },
            { "role": "user", "content": "Run 12" },
            { "role": "assistant", "content": null },
            { "role": "tool", "content": "{\"status\":200,\"body\":{\"value\":\"ab\"}}" },
            { "role": "tool", "content": "Error: The outcome of this call is unknown." },
        ] });
        let values = vec!["ab".to_owned(), "unknown".to_owned()];
        assert_eq!(place(&request), Some((12, 2, values)));
        assert_eq!(place(&json!({ "messages": [] })), None);
    }
}
