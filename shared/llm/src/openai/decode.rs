//! Reading the chunks of a streamed chat completion.

use std::collections::VecDeque;

use secrecy::SecretString;
use serde::Deserialize;
use serde_json::Value;

use super::PROVIDER;
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
    usage: Option<Usage>,
    finish_reason: Option<String>,
    refused: bool,
    wrote_text: bool,
}

#[derive(Deserialize)]
struct Chunk {
    #[serde(default)]
    choices: Option<Vec<Choice>>,
    #[serde(default)]
    usage: Option<WireUsage>,
    #[serde(default)]
    error: Option<Value>,
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
    refusal: Option<String>,
    #[serde(default)]
    tool_calls: Option<Vec<CallFragment>>,
}

impl Completions {
    pub fn new(model: String, secrets: Vec<SecretString>, calls_before: usize) -> Self {
        Self {
            model,
            secrets,
            calls: Calls::after(calls_before),
            usage: None,
            finish_reason: None,
            refused: false,
            wrote_text: false,
        }
    }
}

impl Decoder for Completions {
    type Frame = SseEvent;

    fn frame(&mut self, event: SseEvent, deltas: &mut VecDeque<Delta>) -> Result<(), ModelError> {
        if event.data.trim() == "[DONE]" {
            return self.finish(deltas);
        }
        let chunk: Chunk = serde_json::from_str(&event.data)
            .map_err(|_| ModelError::malformed("a chunk is not the JSON it should be"))?;
        if let Some(error) = chunk.error.filter(|error| !error.is_null()) {
            let fault = Fault::from_json(&serde_json::json!({ "error": error }));
            return Err(fault.into_error(PROVIDER, &self.model, &self.secrets));
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
        // Some servers close instead of sending the end marker; the reason to stop is enough.
        if self.finish_reason.is_some() {
            let finished = self.finish(deltas);
            if finished.is_err() {
                deltas.clear();
            }
        }
    }
}

impl Completions {
    fn delta(
        &mut self,
        delta: ChoiceDelta,
        deltas: &mut VecDeque<Delta>,
    ) -> Result<(), ModelError> {
        self.text(text_of(delta.content), deltas);
        if let Some(refusal) = delta.refusal.filter(|text| !text.is_empty()) {
            self.refused = true;
            self.text(refusal, deltas);
        }
        for fragment in delta.tool_calls.unwrap_or_default() {
            self.calls.take(fragment, deltas)?;
        }
        Ok(())
    }

    fn text(&mut self, text: String, deltas: &mut VecDeque<Delta>) {
        if !text.is_empty() {
            self.wrote_text = true;
            deltas.push_back(Delta::TextDelta { text });
        }
    }

    fn finish(&mut self, deltas: &mut VecDeque<Delta>) -> Result<(), ModelError> {
        self.calls.check()?;
        if self.finish_reason.is_none() && self.calls.is_empty() && !self.wrote_text {
            return Err(ModelError::malformed("it is empty"));
        }
        let stop_reason = match self.finish_reason.as_deref() {
            Some("length") => StopReason::MaxTokens,
            Some("content_filter") => StopReason::ContentFilter,
            Some("refusal") => StopReason::Refusal,
            _ if self.refused => StopReason::Refusal,
            // Several servers say "stop" after tool calls too.
            _ if !self.calls.is_empty() => StopReason::ToolCalls,
            _ => StopReason::EndTurn,
        };
        if let Some(usage) = self.usage.take() {
            deltas.push_back(Delta::Usage { usage });
        }
        deltas.push_back(Delta::Finished { stop_reason });
        Ok(())
    }
}

/// Text is a string, or a list of typed parts of which only the text ones are for the reader.
fn text_of(content: Value) -> String {
    match content {
        Value::String(text) => text,
        Value::Array(parts) => parts
            .iter()
            .filter(|part| part["type"] == "text")
            .filter_map(|part| part["text"].as_str())
            .collect(),
        _ => String::new(),
    }
}
