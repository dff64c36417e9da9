//! Bedrock's Converse API.

use std::sync::Arc;

use llm::{BedrockCredentials, ChatModel, Provider, StopReason, Usage};
use serde_json::{Value, json};

use super::{Format, Piece, Stop};
use crate::bedrock::{event, frame};
use crate::server::{Reply, Server, model};

pub struct Bedrock;

fn tail(reason: &str) -> Vec<Vec<u8>> {
    vec![
        event("messageStop", json!({"stopReason": reason})),
        event(
            "metadata",
            json!({
                "usage": {
                    "inputTokens": 20, "outputTokens": 30, "totalTokens": 150,
                    "cacheReadInputTokens": 90, "cacheWriteInputTokens": 10,
                },
                "metrics": {"latencyMs": 5},
            }),
        ),
    ]
}

impl Format for Bedrock {
    fn model(&self, server: &Server) -> Arc<dyn ChatModel> {
        let provider = Provider::Bedrock {
            region: "eu-west-1".into(),
            endpoint: server.url("").parse().unwrap(),
            credentials: BedrockCredentials::ApiKey("key-canary".into()),
        };
        model("eu.amazon.nova-test-v1:0", provider)
    }

    fn frames(&self, pieces: &[Piece]) -> Vec<Vec<u8>> {
        let begin = event("messageStart", json!({"role": "assistant"}));
        let piece = |piece: &Piece| match *piece {
            Piece::Text(text) => event(
                "contentBlockDelta",
                json!({"contentBlockIndex": 0, "delta": {"text": text}}),
            ),
            Piece::Call(number, id, name) => event(
                "contentBlockStart",
                json!({"contentBlockIndex": number + 1, "start": {"toolUse": {"toolUseId": id, "name": name}}}),
            ),
            Piece::Arguments(number, fragment) => event(
                "contentBlockDelta",
                json!({"contentBlockIndex": number + 1, "delta": {"toolUse": {"input": fragment}}}),
            ),
        };
        [begin]
            .into_iter()
            .chain(pieces.iter().map(piece))
            .collect()
    }

    fn end(&self, stop: Stop) -> Vec<Vec<u8>> {
        tail(match stop {
            Stop::Turn => "end_turn",
            Stop::Tools => "tool_use",
            Stop::Length => "max_tokens",
        })
    }

    fn reply(&self, frames: Vec<Vec<u8>>) -> Reply {
        Reply::bytes("application/vnd.amazon.eventstream", frames)
    }

    fn usage(&self) -> Usage {
        Usage {
            input_tokens: 120,
            cached_input_tokens: 90,
            cache_write_tokens: 10,
            output_tokens: 30,
            // Counted as output, and not apart.
            reasoning_tokens: 0,
        }
    }

    fn nothing(&self) -> Vec<Vec<u8>> {
        vec![
            event("inventedTomorrow", json!({"contentBlockIndex": 0})),
            event(
                "contentBlockDelta",
                json!({"contentBlockIndex": 0, "delta": {"text": ""}}),
            ),
            event("contentBlockStop", json!({"contentBlockIndex": 9})),
        ]
    }

    fn complaint(&self, status: u16) -> Reply {
        let name = match status {
            429 => "ThrottlingException",
            _ => "InternalServerException",
        };
        Reply::json(status, json!({"message": "no"})).header("x-amzn-errortype", name)
    }

    fn error_frame(&self) -> Vec<u8> {
        frame(
            "exception",
            "serviceUnavailableException",
            json!({"message": "later"}),
        )
    }

    fn refusals(&self) -> Vec<(Reply, StopReason)> {
        ["guardrail_intervened", "content_filtered", "refusal"]
            .map(|reason| {
                let expected = match reason {
                    "refusal" => StopReason::Refusal,
                    _ => StopReason::ContentFilter,
                };
                let frames = [self.frames(&[Piece::Text("I")]), tail(reason)];
                (self.reply(frames.concat()), expected)
            })
            .to_vec()
    }

    fn limit(&self) -> &'static str {
        "/inferenceConfig/maxTokens"
    }

    fn answers_by_tool(&self, _strict: bool, _with_tools: bool) -> bool {
        true
    }

    fn schema(&self, body: &Value, _by_tool: bool) -> Value {
        let tools = body["toolConfig"]["tools"].as_array().unwrap();
        tools.last().unwrap()["toolSpec"]["inputSchema"]["json"].clone()
    }

    fn forced(&self, body: &Value) -> Value {
        body["toolConfig"]["toolChoice"]["any"].clone()
    }
}
