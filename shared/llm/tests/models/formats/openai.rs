//! OpenAI's chat completions.

use std::sync::Arc;

use llm::{ChatModel, Provider, StopReason, Usage};
use serde_json::{Value, json};

use super::{Format, Piece, Stop, data};
use crate::server::{Reply, Server, model};

pub struct OpenAi;

pub fn delta(delta: Value) -> Value {
    json!({
        "id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m",
        "choices": [{"index": 0, "delta": delta, "logprobs": null, "finish_reason": null}],
        "usage": null,
    })
}

/// A piece as a chunk; Mistral's look the same.
pub fn chunk(piece: &Piece) -> Value {
    match *piece {
        Piece::Text(text) => delta(json!({"content": text})),
        Piece::Call(number, id, name) => delta(json!({"tool_calls": [{
            "index": number, "id": id, "type": "function", "function": {"name": name, "arguments": ""},
        }]})),
        Piece::Arguments(number, fragment) => delta(json!({"tool_calls": [{
            "index": number, "function": {"arguments": fragment},
        }]})),
    }
}

fn finish(reason: &str) -> Value {
    json!({"id": "c", "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})
}

impl Format for OpenAi {
    fn model(&self, server: &Server) -> Arc<dyn ChatModel> {
        let provider = Provider::OpenAi {
            api_key: Some("sk-canary-0123456789".into()),
            base_url: server.url("/v1").parse().unwrap(),
        };
        model("gpt-test", provider)
    }

    fn frames(&self, pieces: &[Piece]) -> Vec<Vec<u8>> {
        let begin = delta(json!({"role": "assistant", "content": "", "refusal": null}));
        data([begin].into_iter().chain(pieces.iter().map(chunk)))
    }

    fn end(&self, stop: Stop) -> Vec<Vec<u8>> {
        let reason = match stop {
            Stop::Turn => "stop",
            Stop::Tools => "tool_calls",
            Stop::Length => "length",
        };
        let usage = json!({"id": "c", "choices": [], "usage": {
            "prompt_tokens": 120, "completion_tokens": 30, "total_tokens": 150,
            "prompt_tokens_details": {"cached_tokens": 90, "audio_tokens": 0, "cache_write_tokens": 10},
            "completion_tokens_details": {"reasoning_tokens": 12, "accepted_prediction_tokens": 0},
        }});
        let mut frames = data([finish(reason), usage]);
        frames.push(b"data: [DONE]\n\n".to_vec());
        frames
    }

    fn usage(&self) -> Usage {
        Usage {
            input_tokens: 120,
            cached_input_tokens: 90,
            cache_write_tokens: 10,
            output_tokens: 30,
            reasoning_tokens: 12,
        }
    }

    fn nothing(&self) -> Vec<Vec<u8>> {
        let mut frames = data([
            json!({"id": "", "choices": [], "prompt_filter_results": [{"prompt_index": 0}]}),
            json!({"id": "c", "choices": null}),
            delta(json!({})),
            delta(json!({"content": null, "tool_calls": null})),
        ]);
        frames.push(b": keep-alive\n\n".to_vec());
        frames
    }

    fn complaint(&self, status: u16) -> Reply {
        let kind = match status {
            429 => "requests",
            _ => "server_error",
        };
        let error = json!({"message": "no", "type": kind, "param": null, "code": null});
        Reply::json(status, json!({ "error": error }))
    }

    fn error_frame(&self) -> Vec<u8> {
        let error = json!({"error": {"message": "upstream busy", "code": 503}});
        data([error]).concat()
    }

    fn refusals(&self) -> Vec<(Reply, StopReason)> {
        let refused = data([
            delta(json!({"refusal": "I cannot "})),
            delta(json!({"refusal": "help with that."})),
        ]);
        let filtered = data([delta(json!({"content": "He"})), finish("content_filter")]);
        vec![
            (
                self.reply([refused, self.end(Stop::Turn)].concat()),
                StopReason::Refusal,
            ),
            (self.reply(filtered).done(), StopReason::ContentFilter),
        ]
    }

    fn limit(&self) -> &'static str {
        "/max_tokens"
    }

    fn answers_by_tool(&self, _strict: bool, _with_tools: bool) -> bool {
        false
    }

    fn schema(&self, body: &Value, _by_tool: bool) -> Value {
        body["response_format"]["json_schema"]["schema"].clone()
    }

    fn forced(&self, body: &Value) -> Value {
        body["tool_choice"].clone()
    }
}
