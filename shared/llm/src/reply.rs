//! What a model says back, in one shape for every provider.

use serde::{Deserialize, Serialize};

use crate::chat::{Message, OpaquePart, ToolCall};
use crate::error::ModelError;
use crate::model::ModelId;

/// One piece of a reply as it streams.
///
/// A stream begins with [`Delta::Started`] and ends with exactly one [`Delta::Finished`] or with an error, whichever comes first;
/// [`Delta::Usage`] precedes `Finished` when the provider reports it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Delta {
    /// The reply begins: the first delta of every stream.
    Started {
        /// Who answers, for price and trace. Where several models stand by, it need not be the
        /// one that was asked first.
        model: ModelId,
        /// Those that were asked before and did not answer, oldest first.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        passed_over: Vec<PassedOver>,
    },
    /// More text; never empty.
    TextDelta {
        /// The text to append.
        text: String,
    },
    /// A tool call begins. Several may be open at once.
    ToolCallStart {
        /// Position of the call in this reply, from 0.
        index: u32,
        /// The call's id.
        id: String,
        /// The tool's name.
        name: String,
    },
    /// More of the arguments of an open call; never empty.
    ToolCallArguments {
        /// The call that this belongs to.
        index: u32,
        /// The JSON text to append.
        fragment: String,
    },
    /// A whole part to keep and send back. See [`OpaquePart`].
    Opaque {
        /// The part.
        part: OpaquePart,
    },
    /// What the call used, as the provider counts; a later one replaces an earlier one.
    Usage {
        /// Token counts.
        usage: Usage,
    },
    /// The reply is complete.
    Finished {
        /// Why it ended.
        stop_reason: StopReason,
    },
}

/// A try that failed before the first piece of a reply, and that another one followed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PassedOver {
    /// Who was asked.
    pub model: ModelId,
    /// Why it did not answer: [`ModelError::code`].
    pub code: String,
    /// Whether it may charge all the same: [`ModelError::may_have_been_billed`].
    #[serde(default)]
    pub may_have_been_billed: bool,
}

impl PassedOver {
    /// The failure of `model`.
    pub(crate) fn new(model: ModelId, error: &ModelError) -> Self {
        Self {
            model,
            code: error.code().to_owned(),
            may_have_been_billed: error.may_have_been_billed(),
        }
    }
}

/// Tokens that one call used.
///
/// The parts are contained in the sums: `cached_input_tokens + cache_write_tokens` never exceeds
/// `input_tokens`, and `reasoning_tokens` never exceeds `output_tokens`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Usage {
    /// Everything that was read: fresh, cached and written to the cache.
    pub input_tokens: u64,
    /// The part of the input that came out of the provider's cache.
    pub cached_input_tokens: u64,
    /// The part of the input that the provider stored in its cache, where it charges for that.
    pub cache_write_tokens: u64,
    /// Everything that was written, reasoning included.
    pub output_tokens: u64,
    /// The part of the output that was reasoning.
    pub reasoning_tokens: u64,
}

impl Usage {
    /// Input and output together.
    pub fn total(&self) -> u64 {
        self.input_tokens.saturating_add(self.output_tokens)
    }

    /// The sum of two calls.
    #[must_use]
    pub fn plus(&self, other: &Usage) -> Usage {
        Usage {
            input_tokens: self.input_tokens.saturating_add(other.input_tokens),
            cached_input_tokens: self
                .cached_input_tokens
                .saturating_add(other.cached_input_tokens),
            cache_write_tokens: self
                .cache_write_tokens
                .saturating_add(other.cache_write_tokens),
            output_tokens: self.output_tokens.saturating_add(other.output_tokens),
            reasoning_tokens: self.reasoning_tokens.saturating_add(other.reasoning_tokens),
        }
    }

    /// Holds the documented containment whatever a provider claims, so that no price can turn
    /// negative when parts are subtracted from sums.
    pub(crate) fn normalised(mut self) -> Usage {
        self.cached_input_tokens = self.cached_input_tokens.min(self.input_tokens);
        self.cache_write_tokens = self
            .cache_write_tokens
            .min(self.input_tokens - self.cached_input_tokens);
        self.reasoning_tokens = self.reasoning_tokens.min(self.output_tokens);
        self
    }
}

/// Why a reply ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// The model said all it had to say.
    EndTurn,
    /// The model waits for the results of its tool calls.
    ToolCalls,
    /// The reply was cut at the token limit; the last tool call may be malformed.
    MaxTokens,
    /// The model declined to answer.
    Refusal,
    /// A filter of the provider stopped the reply.
    ContentFilter,
}

/// A whole reply.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChatResponse {
    /// Who answered, for price and trace; absent only in what was stored before it was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelId>,
    /// Who was asked before and did not answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub passed_over: Vec<PassedOver>,
    /// The text; empty when the model only called tools.
    pub text: String,
    /// The tool calls, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<ToolCall>,
    /// What has to go back to the provider in the next turn.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub opaque: Vec<OpaquePart>,
    /// What the call used; absent when the provider did not say, which is not the same as zero.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// Why the reply ended.
    pub stop_reason: StopReason,
}

impl ChatResponse {
    /// The reply as the next entry of the conversation.
    pub fn into_message(self) -> Message {
        Message::Assistant {
            text: self.text,
            tool_calls: self.tool_calls,
            opaque: self.opaque,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_stored_json_of_deltas_is_stable() {
        let deltas = vec![
            Delta::Started {
                model: ModelId::new("openai", "m"),
                passed_over: vec![PassedOver {
                    model: ModelId::new("anthropic", "n"),
                    code: "overloaded".into(),
                    may_have_been_billed: false,
                }],
            },
            Delta::TextDelta { text: "a".into() },
            Delta::ToolCallStart {
                index: 0,
                id: "c".into(),
                name: "t".into(),
            },
            Delta::ToolCallArguments {
                index: 0,
                fragment: "{}".into(),
            },
            Delta::Finished {
                stop_reason: StopReason::ToolCalls,
            },
        ];
        assert_eq!(
            serde_json::to_value(&deltas).unwrap(),
            json!([
                {"type": "started", "model": "openai::m", "passed_over": [
                    {"model": "anthropic::n", "code": "overloaded", "may_have_been_billed": false},
                ]},
                {"type": "text_delta", "text": "a"},
                {"type": "tool_call_start", "index": 0, "id": "c", "name": "t"},
                {"type": "tool_call_arguments", "index": 0, "fragment": "{}"},
                {"type": "finished", "stop_reason": "tool_calls"},
            ])
        );
    }

    #[test]
    fn usage_never_has_parts_larger_than_their_sum() {
        let usage = Usage {
            input_tokens: 10,
            cached_input_tokens: 8,
            cache_write_tokens: 9,
            output_tokens: 1,
            reasoning_tokens: 5,
        }
        .normalised();
        assert_eq!(usage.cache_write_tokens, 2);
        assert_eq!(usage.reasoning_tokens, 1);
    }
}
