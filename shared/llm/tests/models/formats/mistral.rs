//! Mistral's chat completions.

use std::sync::Arc;

use llm::{ChatModel, Provider, StopReason, Usage};
use serde_json::{Value, json};

use super::openai::{chunk, delta};
use super::{Format, Piece, Stop, data};
use crate::server::{Reply, Server, model};

pub struct Mistral;

pub fn finish(reason: &str) -> Value {
    json!({
        "id": "c",
        "choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": reason}],
        "usage": {
            "prompt_tokens": 120, "completion_tokens": 30, "total_tokens": 150,
            "prompt_tokens_details": {"cached_tokens": 90},
        },
    })
}

impl Format for Mistral {
    fn model(&self, server: &Server) -> Arc<dyn ChatModel> {
        let provider = Provider::Mistral {
            api_key: "canary-0123456789".into(),
            base_url: server.url("/v1").parse().unwrap(),
        };
        model("mistral-test", provider)
    }

    fn frames(&self, pieces: &[Piece]) -> Vec<Vec<u8>> {
        let begin = delta(json!({"role": "assistant", "content": ""}));
        data([begin].into_iter().chain(pieces.iter().map(chunk)))
    }

    fn end(&self, stop: Stop) -> Vec<Vec<u8>> {
        let mut frames = data([finish(match stop {
            Stop::Turn => "stop",
            Stop::Tools => "tool_calls",
            Stop::Length => "model_length",
        })]);
        frames.push(b"data: [DONE]\n\n".to_vec());
        frames
    }

    fn usage(&self) -> Usage {
        Usage {
            input_tokens: 120,
            cached_input_tokens: 90,
            // Neither is counted apart: writing the cache is free, reasoning is output.
            cache_write_tokens: 0,
            output_tokens: 30,
            reasoning_tokens: 0,
        }
    }

    fn nothing(&self) -> Vec<Vec<u8>> {
        data([
            json!({"id": "c", "choices": []}),
            delta(json!({})),
            delta(json!({"content": [], "tool_calls": null})),
            delta(json!({"content": [{"type": "reference", "reference_ids": [1]}]})),
        ])
    }

    fn complaint(&self, status: u16) -> Reply {
        let body = match status {
            429 => {
                json!({"object": "error", "message": "Requests rate limit exceeded", "type": "rate_limited", "param": null, "code": "1300"})
            }
            _ => {
                json!({"object": "error", "message": "Service unavailable.", "type": "internal_server_error", "code": "1000"})
            }
        };
        Reply::json(status, body)
    }

    fn error_frame(&self) -> Vec<u8> {
        data([json!({"object": "error", "message": "busy", "type": "unavailable", "code": "3505"})])
            .concat()
    }

    fn refusals(&self) -> Vec<(Reply, StopReason)> {
        ["content_filter", "refusal"]
            .map(|reason| {
                let expected = match reason {
                    "refusal" => StopReason::Refusal,
                    _ => StopReason::ContentFilter,
                };
                let frames = [self.frames(&[Piece::Text("I")]), data([finish(reason)])];
                (self.reply(frames.concat()).done(), expected)
            })
            .to_vec()
    }

    fn limit(&self) -> &'static str {
        "/max_tokens"
    }

    fn answers_by_tool(&self, _strict: bool, with_tools: bool) -> bool {
        with_tools
    }

    fn schema(&self, body: &Value, by_tool: bool) -> Value {
        match by_tool {
            true => {
                body["tools"].as_array().unwrap().last().unwrap()["function"]["parameters"].clone()
            }
            false => body["response_format"]["json_schema"]["schema"].clone(),
        }
    }

    fn forced(&self, body: &Value) -> Value {
        body["tool_choice"].clone()
    }
}
