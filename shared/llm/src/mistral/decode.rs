//! Reading the chunks of Mistral's streamed chat completions.

use std::collections::VecDeque;

use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Value, json};

use super::PROVIDER;
use crate::chat::OpaquePart;
use crate::completions::{CallFragment, Calls, WireUsage};
use crate::error::ModelError;
use crate::fault::Fault;
use crate::reply::{Delta, StopReason, Usage};
use crate::sse::SseEvent;
use crate::stream::Decoder;

/// The state of one reply.
pub(crate) struct Completions {
    model: String,
    secrets: Vec<SecretString>,
    calls: Calls,
    thinking: Option<Thinking>,
    usage: Option<Usage>,
    finish_reason: Option<String>,
}

/// Reasoning, gathered whole: the API wants it back in the next turn, and nobody else does.
#[derive(Default)]
struct Thinking {
    text: String,
    signature: Option<String>,
}

#[derive(Deserialize)]
struct Chunk {
    #[serde(default)]
    choices: Option<Vec<Choice>>,
    #[serde(default)]
    usage: Option<WireUsage>,
    #[serde(default)]
    error: Option<Value>,
    /// `error` where a complaint comes in the place of a chunk.
    #[serde(default)]
    object: Option<String>,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(default)]
    index: u64,
    #[serde(default)]
    delta: Option<ChoiceDelta>,
    #[serde(default)]
    finish_reason: Option<String>,
}

#[derive(Default, Deserialize)]
struct ChoiceDelta {
    #[serde(default)]
    content: Value,
    #[serde(default)]
    tool_calls: Option<Vec<CallFragment>>,
}

impl Completions {
    pub fn new(model: String, secrets: Vec<SecretString>, calls_before: usize) -> Self {
        Self {
            model,
            secrets,
            calls: Calls::after(calls_before),
            thinking: None,
            usage: None,
            finish_reason: None,
        }
    }

    fn fault(&self, body: &Value) -> ModelError {
        Fault::from_json(body).into_error(PROVIDER, &self.model, &self.secrets)
    }

    fn delta(
        &mut self,
        delta: ChoiceDelta,
        deltas: &mut VecDeque<Delta>,
    ) -> Result<(), ModelError> {
        match delta.content {
            Value::String(text) => self.text(text, deltas),
            Value::Array(parts) => {
                for part in parts {
                    self.part(&part, deltas);
                }
            }
            _ => {}
        }
        for fragment in delta.tool_calls.unwrap_or_default() {
            self.close_thinking(deltas);
            self.calls.take(fragment, deltas)?;
        }
        Ok(())
    }

    fn part(&mut self, part: &Value, deltas: &mut VecDeque<Delta>) {
        match part["type"].as_str().unwrap_or_default() {
            "text" => {
                let text = part["text"].as_str().unwrap_or_default();
                self.text(text.to_owned(), deltas);
            }
            "thinking" => {
                let open = self.thinking.get_or_insert_default();
                match &part["thinking"] {
                    Value::String(text) => open.text.push_str(text),
                    Value::Array(inner) => open
                        .text
                        .extend(inner.iter().filter_map(|inner| inner["text"].as_str())),
                    _ => {}
                }
                if let Some(signature) = part["signature"].as_str() {
                    open.signature = Some(signature.to_owned());
                }
            }
            // References and media belong to tools of the provider that were not asked for.
            _ => {}
        }
    }

    fn text(&mut self, text: String, deltas: &mut VecDeque<Delta>) {
        if !text.is_empty() {
            self.close_thinking(deltas);
            deltas.push_back(Delta::TextDelta { text });
        }
    }

    fn close_thinking(&mut self, deltas: &mut VecDeque<Delta>) {
        let Some(thinking) = self.thinking.take() else {
            return;
        };
        let mut data = json!({
            "type": "thinking",
            "thinking": [{ "type": "text", "text": thinking.text }],
            "closed": true,
        });
        if let Some(signature) = thinking.signature {
            data["signature"] = json!(signature);
        }
        deltas.push_back(Delta::Opaque {
            part: OpaquePart {
                provider: PROVIDER.to_owned(),
                data,
            },
        });
    }

    fn finish(&mut self, deltas: &mut VecDeque<Delta>) -> Result<(), ModelError> {
        self.calls.check()?;
        let stop_reason = match self.finish_reason.as_deref() {
            None => return Err(ModelError::malformed("it ends without a reason to end")),
            Some("error") => {
                return Err(ModelError::Unavailable {
                    status: 500,
                    message: "the model stopped with an error".to_owned(),
                    retry_after: None,
                });
            }
            Some("length" | "model_length") => StopReason::MaxTokens,
            Some("content_filter") => StopReason::ContentFilter,
            Some("refusal") => StopReason::Refusal,
            Some(_) if !self.calls.is_empty() => StopReason::ToolCalls,
            Some(_) => StopReason::EndTurn,
        };
        self.close_thinking(deltas);
        if let Some(usage) = self.usage.take() {
            deltas.push_back(Delta::Usage { usage });
        }
        deltas.push_back(Delta::Finished { stop_reason });
        Ok(())
    }
}

impl Decoder for Completions {
    type Frame = SseEvent;

    fn frame(&mut self, event: SseEvent, deltas: &mut VecDeque<Delta>) -> Result<(), ModelError> {
        if event.data.trim() == "[DONE]" {
            return self.finish(deltas);
        }
        let unusable = |_| ModelError::malformed("a chunk is not the JSON it should be");
        let chunk: Chunk = serde_json::from_str(&event.data).map_err(unusable)?;
        if let Some(error) = chunk.error.filter(|error| !error.is_null()) {
            return Err(self.fault(&json!({ "error": error })));
        }
        if chunk.object.as_deref() == Some("error") {
            let body: Value = serde_json::from_str(&event.data).map_err(unusable)?;
            return Err(self.fault(&body));
        }
        if let Some(usage) = chunk.usage {
            self.usage = Some(usage.into());
        }
        for choice in chunk.choices.unwrap_or_default() {
            // Only one answer was asked for; others would be interleaved into nonsense.
            if choice.index != 0 {
                continue;
            }
            self.delta(choice.delta.unwrap_or_default(), deltas)?;
            if choice.finish_reason.is_some() {
                self.finish_reason = choice.finish_reason;
            }
        }
        Ok(())
    }

    fn end(&mut self, deltas: &mut VecDeque<Delta>) {
        // The reason to stop is the last thing that matters; only the end marker follows it.
        if self.finish_reason.is_some() && self.finish(deltas).is_err() {
            deltas.clear();
        }
    }
}
