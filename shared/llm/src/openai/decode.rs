//! Reading the chunks of a streamed chat completion.

use std::collections::VecDeque;

use secrecy::SecretString;
use serde::Deserialize;
use serde_json::Value;

use super::PROVIDER;
use crate::error::ModelError;
use crate::fault::Fault;
use crate::reply::{Delta, StopReason, Usage};
use crate::sse::SseEvent;
use crate::stream::{Decoder, MAX_TOOL_CALLS};

/// The state of one reply.
pub(crate) struct Completions {
    model: String,
    secrets: Vec<SecretString>,
    calls: Vec<OpenCall>,
    usage: Option<Usage>,
    finish_reason: Option<String>,
    refused: bool,
    wrote_text: bool,
}

/// A tool call in the making; its position in the list is its index in our deltas.
struct OpenCall {
    /// The server's index, where it sends one.
    key: Option<u64>,
    id: Option<String>,
    /// Set once the call has been announced.
    name: Option<String>,
    /// Arguments that came before the name.
    held: String,
}

#[derive(Deserialize)]
struct Chunk {
    #[serde(default)]
    choices: Vec<Choice>,
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

#[derive(Deserialize)]
struct CallFragment {
    #[serde(default)]
    index: Option<u64>,
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    function: Option<FunctionFragment>,
}

#[derive(Default, Deserialize)]
struct FunctionFragment {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    arguments: Value,
}

#[derive(Deserialize)]
struct WireUsage {
    #[serde(default)]
    prompt_tokens: Option<u64>,
    #[serde(default)]
    completion_tokens: Option<u64>,
    #[serde(default)]
    prompt_tokens_details: Option<PromptDetails>,
    #[serde(default)]
    completion_tokens_details: Option<CompletionDetails>,
}

#[derive(Deserialize)]
struct PromptDetails {
    #[serde(default)]
    cached_tokens: Option<u64>,
}

#[derive(Deserialize)]
struct CompletionDetails {
    #[serde(default)]
    reasoning_tokens: Option<u64>,
}

impl Completions {
    pub fn new(model: String, secrets: Vec<SecretString>) -> Self {
        Self {
            model,
            secrets,
            calls: Vec::new(),
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
        for choice in chunk.choices {
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
            self.call(fragment, deltas)?;
        }
        Ok(())
    }

    fn text(&mut self, text: String, deltas: &mut VecDeque<Delta>) {
        if !text.is_empty() {
            self.wrote_text = true;
            deltas.push_back(Delta::TextDelta { text });
        }
    }

    fn call(
        &mut self,
        fragment: CallFragment,
        deltas: &mut VecDeque<Delta>,
    ) -> Result<(), ModelError> {
        let function = fragment.function.unwrap_or_default();
        let id = fragment.id.filter(|id| !id.is_empty());
        let name = function.name.filter(|name| !name.is_empty());
        let position = self.position(fragment.index, id.as_deref(), name.is_some())?;
        let index = u32::try_from(position).unwrap_or(u32::MAX);
        let call = &mut self.calls[position];
        if call.id.is_none() {
            call.id = id;
        }
        // Servers that hand over whole calls may send the arguments as an object.
        let mut arguments = match function.arguments {
            Value::String(text) => text,
            Value::Null => String::new(),
            other => other.to_string(),
        };
        if call.name.is_none() {
            let Some(name) = name else {
                call.held.push_str(&arguments);
                return Ok(());
            };
            arguments.insert_str(0, &std::mem::take(&mut call.held));
            deltas.push_back(Delta::ToolCallStart {
                index,
                id: call
                    .id
                    .get_or_insert_with(|| format!("call_{position}"))
                    .clone(),
                name: name.clone(),
            });
            call.name = Some(name);
        }
        if !arguments.is_empty() {
            deltas.push_back(Delta::ToolCallArguments {
                index,
                fragment: arguments,
            });
        }
        Ok(())
    }

    /// Which call a fragment belongs to. Servers differ: some number the calls, some repeat the
    /// same number for every whole call, some send no number at all.
    fn position(
        &mut self,
        key: Option<u64>,
        id: Option<&str>,
        has_name: bool,
    ) -> Result<usize, ModelError> {
        let known = match key {
            Some(_) => self.calls.iter().rposition(|call| call.key == key),
            None if has_name => None,
            None => self.calls.len().checked_sub(1),
        };
        if let Some(position) = known {
            let other_call = has_name
                && id.is_some()
                && self.calls[position].name.is_some()
                && self.calls[position].id.as_deref() != id;
            if !other_call {
                return Ok(position);
            }
        }
        if self.calls.len() >= MAX_TOOL_CALLS {
            return Err(ModelError::malformed("it has more than 128 tool calls"));
        }
        self.calls.push(OpenCall {
            key,
            id: None,
            name: None,
            held: String::new(),
        });
        Ok(self.calls.len() - 1)
    }

    fn finish(&mut self, deltas: &mut VecDeque<Delta>) -> Result<(), ModelError> {
        if self.calls.iter().any(|call| call.name.is_none()) {
            return Err(ModelError::malformed("a tool call has no name"));
        }
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

impl From<WireUsage> for Usage {
    fn from(wire: WireUsage) -> Self {
        Usage {
            input_tokens: wire.prompt_tokens.unwrap_or(0),
            cached_input_tokens: wire
                .prompt_tokens_details
                .and_then(|details| details.cached_tokens)
                .unwrap_or(0),
            cache_write_tokens: 0,
            output_tokens: wire.completion_tokens.unwrap_or(0),
            reasoning_tokens: wire
                .completion_tokens_details
                .and_then(|details| details.reasoning_tokens)
                .unwrap_or(0),
        }
        .normalised()
    }
}
