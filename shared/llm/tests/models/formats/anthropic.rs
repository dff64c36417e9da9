//! Anthropic's Messages API.

use std::sync::Arc;

use llm::{ChatModel, Provider, StopReason, Usage};
use serde_json::{Value, json};

use super::{Format, Piece, Stop};
use crate::server::{Reply, Server, model};

pub struct Anthropic;

fn events(documents: impl IntoIterator<Item = Value>) -> Vec<Vec<u8>> {
    documents
        .into_iter()
        .map(|document| {
            let name = document["type"].as_str().unwrap();
            format!("event: {name}\ndata: {document}\n\n").into_bytes()
        })
        .collect()
}

fn start() -> Value {
    json!({"type": "message_start", "message": {
        "id": "msg_1", "type": "message", "role": "assistant", "content": [], "stop_reason": null,
        "usage": {"input_tokens": 20, "cache_creation_input_tokens": 10, "cache_read_input_tokens": 90, "output_tokens": 1},
    }})
}

fn tail(reason: &str) -> [Value; 2] {
    [
        json!({
            "type": "message_delta",
            "delta": {"stop_reason": reason, "stop_sequence": null},
            "usage": {"output_tokens": 30, "output_tokens_details": {"thinking_tokens": 12}},
        }),
        json!({"type": "message_stop"}),
    ]
}

impl Format for Anthropic {
    fn model(&self, server: &Server) -> Arc<dyn ChatModel> {
        let provider = Provider::Anthropic {
            api_key: "sk-ant-canary-0123".into(),
            base_url: server.url("").parse().unwrap(),
        };
        model("claude-test", provider)
    }

    fn frames(&self, pieces: &[Piece]) -> Vec<Vec<u8>> {
        let text_block = json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}});
        let piece = |piece: &Piece| match *piece {
            Piece::Text(text) => json!({
                "type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text},
            }),
            Piece::Call(number, id, name) => json!({
                "type": "content_block_start", "index": number + 1,
                "content_block": {"type": "tool_use", "id": id, "name": name, "input": {}},
            }),
            Piece::Arguments(number, fragment) => json!({
                "type": "content_block_delta", "index": number + 1,
                "delta": {"type": "input_json_delta", "partial_json": fragment},
            }),
        };
        events(
            [start(), text_block]
                .into_iter()
                .chain(pieces.iter().map(piece)),
        )
    }

    fn end(&self, stop: Stop) -> Vec<Vec<u8>> {
        events(tail(match stop {
            Stop::Turn => "end_turn",
            Stop::Tools => "tool_use",
            Stop::Length => "max_tokens",
        }))
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
        events([
            json!({"type": "ping"}),
            json!({"type": "message_delta", "delta": {"stop_reason": null}, "usage": {}}),
            json!({"type": "invented_tomorrow", "content": []}),
        ])
    }

    fn complaint(&self, status: u16) -> Reply {
        let kind = match status {
            429 => "rate_limit_error",
            _ => "api_error",
        };
        let error = json!({"type": kind, "message": "no"});
        Reply::json(status, json!({"type": "error", "error": error}))
    }

    fn error_frame(&self) -> Vec<u8> {
        let error = json!({"type": "overloaded_error", "message": "Overloaded"});
        events([json!({"type": "error", "error": error})]).concat()
    }

    fn refusals(&self) -> Vec<(Reply, StopReason)> {
        let frames = [self.frames(&[Piece::Text("I")]), events(tail("refusal"))];
        vec![(self.reply(frames.concat()), StopReason::Refusal)]
    }

    fn limit(&self) -> &'static str {
        "/max_tokens"
    }

    fn answers_by_tool(&self, strict: bool, _with_tools: bool) -> bool {
        !strict
    }

    fn schema(&self, body: &Value, by_tool: bool) -> Value {
        match by_tool {
            true => body["tools"].as_array().unwrap().last().unwrap()["input_schema"].clone(),
            false => body["output_config"]["format"]["schema"].clone(),
        }
    }

    fn forced(&self, body: &Value) -> Value {
        body["tool_choice"].clone()
    }
}
