//! Reading the events of a streamed message.

use std::collections::{HashMap, VecDeque};

use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Value, json};

use super::PROVIDER;
use crate::chat::OpaquePart;
use crate::error::ModelError;
use crate::fault::Fault;
use crate::reply::{Delta, StopReason, Usage};
use crate::sse::SseEvent;
use crate::stream::{Decoder, MAX_TOOL_CALLS};

/// The state of one reply.
pub(crate) struct Messages {
    model: String,
    secrets: Vec<SecretString>,
    blocks: HashMap<u64, Block>,
    calls: u32,
    usage: WireUsage,
    stop_reason: Option<String>,
}

/// A content block that is being written.
enum Block {
    Text,
    Call {
        index: u32,
        start: String,
        wrote: bool,
    },
    /// Reasoning, gathered whole: the signature covers it, so it has to go back as it came.
    Thinking(Value),
    Other,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Event {
    MessageStart {
        message: MessageHead,
    },
    ContentBlockStart {
        index: u64,
        content_block: Value,
    },
    ContentBlockDelta {
        index: u64,
        delta: BlockDelta,
    },
    ContentBlockStop {
        index: u64,
    },
    MessageDelta {
        delta: MessageTail,
        #[serde(default)]
        usage: WireUsage,
    },
    MessageStop,
    Error {
        error: Value,
    },
    /// `ping`, and what may come: the API adds events and asks clients to ignore them.
    #[serde(other)]
    Unknown,
}

#[derive(Deserialize)]
struct MessageHead {
    #[serde(default)]
    usage: WireUsage,
}

#[derive(Deserialize)]
struct MessageTail {
    #[serde(default)]
    stop_reason: Option<String>,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum BlockDelta {
    TextDelta {
        text: String,
    },
    InputJsonDelta {
        partial_json: String,
    },
    ThinkingDelta {
        thinking: String,
    },
    SignatureDelta {
        signature: String,
    },
    #[serde(other)]
    Unknown,
}

/// Counts as the API reports them. Each report is cumulative, and the later one may leave out
/// what the earlier one said.
#[derive(Default, Deserialize)]
#[serde(default)]
struct WireUsage {
    input_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    output_tokens_details: Option<OutputDetails>,
}

#[derive(Default, Clone, Deserialize)]
#[serde(default)]
struct OutputDetails {
    thinking_tokens: u64,
}

impl Messages {
    pub fn new(model: String, secrets: Vec<SecretString>) -> Self {
        Self {
            model,
            secrets,
            blocks: HashMap::new(),
            calls: 0,
            usage: WireUsage::default(),
            stop_reason: None,
        }
    }

    fn start_block(
        &mut self,
        position: u64,
        block: Value,
        deltas: &mut VecDeque<Delta>,
    ) -> Result<(), ModelError> {
        let text = |key: &str| block[key].as_str().unwrap_or_default().to_owned();
        let state = match block["type"].as_str().unwrap_or_default() {
            "text" => {
                push_text(text("text"), deltas);
                Block::Text
            }
            "tool_use" => {
                if self.calls as usize >= MAX_TOOL_CALLS {
                    return Err(ModelError::malformed("it has more than 128 tool calls"));
                }
                let (id, name) = (text("id"), text("name"));
                if id.is_empty() || name.is_empty() {
                    return Err(ModelError::malformed("a tool call has no id or no name"));
                }
                let index = self.calls;
                self.calls += 1;
                deltas.push_back(Delta::ToolCallStart { index, id, name });
                // Normally an empty object, filled by deltas; compatible servers may put the
                // whole input here.
                let start = match &block["input"] {
                    Value::Object(input) if !input.is_empty() => block["input"].to_string(),
                    _ => String::new(),
                };
                Block::Call {
                    index,
                    start,
                    wrote: false,
                }
            }
            "thinking" | "redacted_thinking" => Block::Thinking(block),
            _ => Block::Other,
        };
        self.blocks.insert(position, state);
        Ok(())
    }

    fn continue_block(
        &mut self,
        position: u64,
        delta: BlockDelta,
        deltas: &mut VecDeque<Delta>,
    ) -> Result<(), ModelError> {
        let block = self
            .blocks
            .get_mut(&position)
            .ok_or_else(|| ModelError::malformed("a block goes on that never began"))?;
        match (block, delta) {
            (Block::Text, BlockDelta::TextDelta { text }) => push_text(text, deltas),
            (Block::Call { index, wrote, .. }, BlockDelta::InputJsonDelta { partial_json })
                if !partial_json.is_empty() =>
            {
                *wrote = true;
                deltas.push_back(Delta::ToolCallArguments {
                    index: *index,
                    fragment: partial_json,
                });
            }
            (Block::Thinking(block), BlockDelta::ThinkingDelta { thinking }) => {
                append(block, "thinking", &thinking);
            }
            (Block::Thinking(block), BlockDelta::SignatureDelta { signature }) => {
                append(block, "signature", &signature);
            }
            _ => {}
        }
        Ok(())
    }

    fn stop_block(&mut self, position: u64, deltas: &mut VecDeque<Delta>) {
        match self.blocks.remove(&position) {
            Some(Block::Call {
                index,
                start,
                wrote: false,
            }) if !start.is_empty() => deltas.push_back(Delta::ToolCallArguments {
                index,
                fragment: start,
            }),
            Some(Block::Thinking(data)) => deltas.push_back(Delta::Opaque {
                part: OpaquePart {
                    provider: PROVIDER.to_owned(),
                    data,
                },
            }),
            _ => {}
        }
    }

    fn finish(&mut self, deltas: &mut VecDeque<Delta>) {
        let stop_reason = match self.stop_reason.as_deref() {
            Some("max_tokens" | "model_context_window_exceeded") => StopReason::MaxTokens,
            Some("refusal") => StopReason::Refusal,
            Some("tool_use") => StopReason::ToolCalls,
            _ if self.calls > 0 => StopReason::ToolCalls,
            _ => StopReason::EndTurn,
        };
        deltas.push_back(Delta::Finished { stop_reason });
    }
}

impl Decoder for Messages {
    type Frame = SseEvent;

    fn frame(&mut self, event: SseEvent, deltas: &mut VecDeque<Delta>) -> Result<(), ModelError> {
        let event: Event = serde_json::from_str(&event.data)
            .map_err(|_| ModelError::malformed("an event is not the JSON it should be"))?;
        match event {
            Event::MessageStart { message } => {
                self.usage.update(message.usage);
                self.usage.report(deltas);
            }
            Event::ContentBlockStart {
                index,
                content_block,
            } => self.start_block(index, content_block, deltas)?,
            Event::ContentBlockDelta { index, delta } => {
                self.continue_block(index, delta, deltas)?;
            }
            Event::ContentBlockStop { index } => self.stop_block(index, deltas),
            Event::MessageDelta { delta, usage } => {
                if delta.stop_reason.is_some() {
                    self.stop_reason = delta.stop_reason;
                }
                self.usage.update(usage);
                self.usage.report(deltas);
            }
            Event::MessageStop => self.finish(deltas),
            Event::Error { error } => {
                let fault = Fault::from_json(&json!({ "error": error }));
                return Err(fault.into_error(PROVIDER, &self.model, &self.secrets));
            }
            Event::Unknown => {}
        }
        Ok(())
    }

    fn end(&mut self, deltas: &mut VecDeque<Delta>) {
        // The reason to stop is the last thing that matters; only the end marker follows it.
        if self.stop_reason.is_some() {
            self.finish(deltas);
        }
    }
}

fn push_text(text: String, deltas: &mut VecDeque<Delta>) {
    if !text.is_empty() {
        deltas.push_back(Delta::TextDelta { text });
    }
}

fn append(block: &mut Value, key: &str, more: &str) {
    match &mut block[key] {
        Value::String(text) => text.push_str(more),
        absent => *absent = Value::String(more.to_owned()),
    }
}

impl WireUsage {
    fn update(&mut self, later: WireUsage) {
        self.input_tokens = later.input_tokens.or(self.input_tokens);
        self.cache_creation_input_tokens = later
            .cache_creation_input_tokens
            .or(self.cache_creation_input_tokens);
        self.cache_read_input_tokens = later
            .cache_read_input_tokens
            .or(self.cache_read_input_tokens);
        self.output_tokens = later.output_tokens.or(self.output_tokens);
        if later.output_tokens_details.is_some() {
            self.output_tokens_details = later.output_tokens_details;
        }
    }

    fn report(&self, deltas: &mut VecDeque<Delta>) {
        if self.input_tokens.is_none() && self.output_tokens.is_none() {
            return;
        }
        let cached = self.cache_read_input_tokens.unwrap_or(0);
        let written = self.cache_creation_input_tokens.unwrap_or(0);
        // The API counts fresh, cached and written input apart.
        let input = self
            .input_tokens
            .unwrap_or(0)
            .saturating_add(cached)
            .saturating_add(written);
        let usage = Usage {
            input_tokens: input,
            cached_input_tokens: cached,
            cache_write_tokens: written,
            output_tokens: self.output_tokens.unwrap_or(0),
            reasoning_tokens: self
                .output_tokens_details
                .as_ref()
                .map_or(0, |details| details.thinking_tokens),
        };
        deltas.push_back(Delta::Usage {
            usage: usage.normalised(),
        });
    }
}
