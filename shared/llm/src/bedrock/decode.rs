//! Reading the events of a streamed Converse call.

use std::collections::{BTreeMap, VecDeque};

use secrecy::SecretString;
use serde_json::{Value, json};

use super::PROVIDER;
use super::frames::Event;
use crate::chat::OpaquePart;
use crate::error::ModelError;
use crate::fault::Fault;
use crate::reply::{Delta, StopReason, Usage};
use crate::stream::{Decoder, MAX_TOOL_CALLS};

/// The state of one reply.
pub(crate) struct Converse {
    model: String,
    secrets: Vec<SecretString>,
    /// Open tool calls: the service's block number to our index.
    calls: BTreeMap<u64, u32>,
    call_count: u32,
    /// Reasoning that is being gathered, by block number.
    reasoning: BTreeMap<u64, Reasoning>,
    stop_reason: Option<String>,
}

#[derive(Default)]
struct Reasoning {
    text: String,
    signature: String,
    redacted: String,
}

impl Converse {
    pub fn new(model: String, secrets: Vec<SecretString>) -> Self {
        Self {
            model,
            secrets,
            calls: BTreeMap::new(),
            call_count: 0,
            reasoning: BTreeMap::new(),
            stop_reason: None,
        }
    }

    fn start_block(
        &mut self,
        payload: &Value,
        deltas: &mut VecDeque<Delta>,
    ) -> Result<(), ModelError> {
        let tool = &payload["start"]["toolUse"];
        if tool.is_null() {
            return Ok(());
        }
        let (Some(id), Some(name)) = (tool["toolUseId"].as_str(), tool["name"].as_str()) else {
            return Err(ModelError::malformed("a tool call has no id or no name"));
        };
        if self.call_count as usize >= MAX_TOOL_CALLS {
            return Err(ModelError::malformed("it has more than 128 tool calls"));
        }
        let index = self.call_count;
        self.call_count += 1;
        self.calls.insert(block_number(payload), index);
        deltas.push_back(Delta::ToolCallStart {
            index,
            id: id.to_owned(),
            name: name.to_owned(),
        });
        Ok(())
    }

    fn continue_block(
        &mut self,
        payload: &Value,
        deltas: &mut VecDeque<Delta>,
    ) -> Result<(), ModelError> {
        let delta = &payload["delta"];
        if let Some(text) = delta["text"].as_str().filter(|text| !text.is_empty()) {
            deltas.push_back(Delta::TextDelta {
                text: text.to_owned(),
            });
        }
        if let Some(input) = delta["toolUse"]["input"].as_str() {
            let index = *self
                .calls
                .get(&block_number(payload))
                .ok_or_else(|| ModelError::malformed("a tool call goes on that never began"))?;
            if !input.is_empty() {
                deltas.push_back(Delta::ToolCallArguments {
                    index,
                    fragment: input.to_owned(),
                });
            }
        }
        let reasoning = &delta["reasoningContent"];
        if !reasoning.is_null() {
            let open = self.reasoning.entry(block_number(payload)).or_default();
            let text = |key: &str| reasoning[key].as_str().unwrap_or_default();
            open.text.push_str(text("text"));
            open.signature.push_str(text("signature"));
            open.redacted.push_str(text("redactedContent"));
        }
        Ok(())
    }

    fn stop_block(&mut self, payload: &Value, deltas: &mut VecDeque<Delta>) {
        let number = block_number(payload);
        self.calls.remove(&number);
        if let Some(data) = self
            .reasoning
            .remove(&number)
            .and_then(Reasoning::into_block)
        {
            deltas.push_back(Delta::Opaque {
                part: OpaquePart {
                    provider: PROVIDER.to_owned(),
                    data,
                },
            });
        }
    }

    fn finish(&mut self, deltas: &mut VecDeque<Delta>) {
        let stop_reason = match self.stop_reason.as_deref() {
            Some("max_tokens" | "model_context_window_exceeded") => StopReason::MaxTokens,
            Some("guardrail_intervened" | "content_filtered") => StopReason::ContentFilter,
            Some("refusal") => StopReason::Refusal,
            Some("tool_use") => StopReason::ToolCalls,
            _ if self.call_count > 0 => StopReason::ToolCalls,
            _ => StopReason::EndTurn,
        };
        deltas.push_back(Delta::Finished { stop_reason });
    }
}

impl Decoder for Converse {
    type Frame = Event;

    fn frame(&mut self, event: Event, deltas: &mut VecDeque<Delta>) -> Result<(), ModelError> {
        if event.is_exception {
            // Inside a stream, names begin with a small letter; elsewhere with a capital.
            let fault = Fault {
                kind: event.name,
                message: event.payload["message"]
                    .as_str()
                    .unwrap_or_default()
                    .to_owned(),
                ..Fault::from_json(&json!({}))
            };
            return Err(fault.into_error(PROVIDER, &self.model, &self.secrets));
        }
        match event.name.as_str() {
            "contentBlockStart" => self.start_block(&event.payload, deltas)?,
            "contentBlockDelta" => self.continue_block(&event.payload, deltas)?,
            "contentBlockStop" => self.stop_block(&event.payload, deltas),
            "messageStop" => {
                let reason = event.payload["stopReason"].as_str().unwrap_or("end_turn");
                // A malformed call that did arrive is the caller's to answer.
                let unusable = match reason {
                    "malformed_model_output" => true,
                    "malformed_tool_use" => self.call_count == 0,
                    _ => false,
                };
                if unusable {
                    return Err(ModelError::malformed(
                        "the model wrote what nobody can read",
                    ));
                }
                self.stop_reason = Some(reason.to_owned());
            }
            // The last event, after the reason to stop.
            "metadata" => {
                deltas.push_back(Delta::Usage {
                    usage: usage(&event.payload["usage"]),
                });
                if self.stop_reason.is_some() {
                    self.finish(deltas);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn end(&mut self, deltas: &mut VecDeque<Delta>) {
        if self.stop_reason.is_some() {
            self.finish(deltas);
        }
    }
}

impl Reasoning {
    /// The block as Converse wants it back. Unsigned reasoning is not accepted back.
    fn into_block(self) -> Option<Value> {
        if !self.redacted.is_empty() {
            return Some(json!({ "reasoningContent": { "redactedContent": self.redacted } }));
        }
        (!self.signature.is_empty()).then(|| {
            json!({
                "reasoningContent": {
                    "reasoningText": { "text": self.text, "signature": self.signature },
                },
            })
        })
    }
}

fn block_number(payload: &Value) -> u64 {
    payload["contentBlockIndex"].as_u64().unwrap_or(0)
}

fn usage(wire: &Value) -> Usage {
    let count = |key: &str| wire[key].as_u64().unwrap_or(0);
    let cached = count("cacheReadInputTokens");
    let written = count("cacheWriteInputTokens");
    Usage {
        // The service counts fresh, cached and written input apart.
        input_tokens: count("inputTokens")
            .saturating_add(cached)
            .saturating_add(written),
        cached_input_tokens: cached,
        cache_write_tokens: written,
        output_tokens: count("outputTokens"),
        // The service counts reasoning as output and does not tell how much it was.
        reasoning_tokens: 0,
    }
    .normalised()
}
