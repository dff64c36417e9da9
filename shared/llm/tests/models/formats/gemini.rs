//! Gemini's `streamGenerateContent`.

use std::sync::Arc;

use llm::{ChatModel, Provider, StopReason, Usage};
use serde_json::{Value, json};

use super::{Format, Piece, Stop, data};
use crate::server::{Reply, Server, model};

pub struct Gemini;

pub fn parts(parts: Value) -> Value {
    json!({
        "candidates": [{"content": {"role": "model", "parts": parts}, "index": 0}],
        "usageMetadata": {"promptTokenCount": 120, "totalTokenCount": 120},
        "modelVersion": "gemini-test", "responseId": "r",
    })
}

pub fn finish(reason: &str) -> Value {
    json!({
        "candidates": [{"content": {"role": "model"}, "finishReason": reason, "index": 0}],
        "usageMetadata": {
            "promptTokenCount": 100, "toolUsePromptTokenCount": 20, "cachedContentTokenCount": 90,
            "candidatesTokenCount": 18, "thoughtsTokenCount": 12, "totalTokenCount": 150,
        },
    })
}

impl Format for Gemini {
    fn model(&self, server: &Server) -> Arc<dyn ChatModel> {
        let provider = Provider::Gemini {
            api_key: "AIza-canary-0123456789".into(),
            base_url: server.url("/v1beta").parse().unwrap(),
        };
        model("gemini-test", provider)
    }

    /// Calls come whole, and parallel ones in one chunk.
    fn frames(&self, pieces: &[Piece]) -> Vec<Vec<u8>> {
        let mut chunks = Vec::new();
        let mut calls: Vec<(u64, Value, String)> = Vec::new();
        for piece in pieces {
            match *piece {
                Piece::Text(text) => chunks.push(parts(json!([{ "text": text }]))),
                Piece::Call(number, id, name) => {
                    calls.push((number, json!({"id": id, "name": name}), String::new()));
                }
                Piece::Arguments(number, fragment) => {
                    let call = calls.iter_mut().find(|call| call.0 == number).unwrap();
                    call.2.push_str(fragment);
                }
            }
        }
        if !calls.is_empty() {
            let calls = calls.into_iter().map(|(_, mut call, arguments)| {
                call["args"] = serde_json::from_str(&arguments).unwrap();
                json!({ "functionCall": call })
            });
            chunks.push(parts(calls.collect()));
        }
        data(chunks)
    }

    fn end(&self, stop: Stop) -> Vec<Vec<u8>> {
        data([finish(match stop {
            Stop::Turn | Stop::Tools => "STOP",
            Stop::Length => "MAX_TOKENS",
        })])
    }

    fn usage(&self) -> Usage {
        Usage {
            input_tokens: 120,
            cached_input_tokens: 90,
            // Nothing is charged for writing the cache.
            cache_write_tokens: 0,
            output_tokens: 30,
            reasoning_tokens: 12,
        }
    }

    fn nothing(&self) -> Vec<Vec<u8>> {
        data([
            json!({"candidates": []}),
            json!({"usageMetadata": {"promptTokenCount": 120}, "promptFeedback": {}}),
            json!({"candidates": [{"index": 0}]}),
            json!({"candidates": [{"content": {"parts": []}, "index": 0}]}),
            parts(json!([{"text": ""}, {"text": "Hm.", "thought": true}])),
        ])
    }

    fn complaint(&self, status: u16) -> Reply {
        let name = match status {
            429 => "RESOURCE_EXHAUSTED",
            _ => "INTERNAL",
        };
        let error = json!({"code": status, "message": "no", "status": name, "details": [
            {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "99s"},
        ]});
        Reply::json(status, json!({ "error": error }))
    }

    fn error_frame(&self) -> Vec<u8> {
        let error =
            json!({"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"});
        data([json!({ "error": error })]).concat()
    }

    fn refusals(&self) -> Vec<(Reply, StopReason)> {
        [
            "SAFETY",
            "RECITATION",
            "PROHIBITED_CONTENT",
            "SPII",
            "BLOCKLIST",
            "LANGUAGE",
        ]
        .map(|reason| {
            let frames = [self.frames(&[Piece::Text("I")]), data([finish(reason)])];
            (self.reply(frames.concat()), StopReason::ContentFilter)
        })
        .to_vec()
    }

    fn malformed_call(&self) -> (Reply, &'static str) {
        // A call that is no document has no place in this format; the provider says what it saw.
        let message = "Malformed function call: print(default_api.search_knowledge(query='oi";
        let mut end = finish("MALFORMED_FUNCTION_CALL");
        end["candidates"][0]["finishMessage"] = json!(message);
        (self.reply(data([end])), message)
    }

    fn limit(&self) -> &'static str {
        "/generationConfig/maxOutputTokens"
    }

    fn answers_by_tool(&self, _strict: bool, with_tools: bool) -> bool {
        with_tools
    }

    fn schema(&self, body: &Value, by_tool: bool) -> Value {
        match by_tool {
            true => body["tools"][0]["functionDeclarations"]
                .as_array()
                .unwrap()
                .last()
                .unwrap()["parametersJsonSchema"]
                .clone(),
            false => {
                assert_eq!(
                    body["generationConfig"]["responseMimeType"],
                    "application/json"
                );
                body["generationConfig"]["responseJsonSchema"].clone()
            }
        }
    }

    fn forced(&self, body: &Value) -> Value {
        body["toolConfig"]["functionCallingConfig"]["mode"].clone()
    }
}
