//! The stream: what a run shows to those who watch it.

use kernel::{ExecutionId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// One entry of a run's stream. Sequences are 1, 2, 3, … without gaps; the terminal entry is last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StreamEntry {
    pub execution: ExecutionId,
    pub sequence: u64,
    #[serde(rename = "type")]
    pub kind: StreamEntryKind,
    pub at: Timestamp,
    #[schema(value_type = Object)]
    pub data: Value,
}

/// The kinds of stream entries, by their AG-UI names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum StreamEntryKind {
    RunStarted,
    StepStarted,
    TextMessageStart,
    TextMessageContent,
    TextMessageEnd,
    ToolCallStart,
    ToolCallArgs,
    ToolCallEnd,
    ToolCallResult,
    StepFinished,
    /// Something that AG-UI has no name for: `data` holds `name` and `value`.
    Custom,
    RunFinished,
    RunError,
}

impl StreamEntryKind {
    /// The AG-UI name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::RunStarted => "RUN_STARTED",
            Self::StepStarted => "STEP_STARTED",
            Self::TextMessageStart => "TEXT_MESSAGE_START",
            Self::TextMessageContent => "TEXT_MESSAGE_CONTENT",
            Self::TextMessageEnd => "TEXT_MESSAGE_END",
            Self::ToolCallStart => "TOOL_CALL_START",
            Self::ToolCallArgs => "TOOL_CALL_ARGS",
            Self::ToolCallEnd => "TOOL_CALL_END",
            Self::ToolCallResult => "TOOL_CALL_RESULT",
            Self::StepFinished => "STEP_FINISHED",
            Self::Custom => "CUSTOM",
            Self::RunFinished => "RUN_FINISHED",
            Self::RunError => "RUN_ERROR",
        }
    }

    /// Whether the stream ends with an entry of this kind.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::RunFinished | Self::RunError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stream_names_are_those_of_their_serde_form() {
        for kind in [
            StreamEntryKind::RunStarted,
            StreamEntryKind::ToolCallArgs,
            StreamEntryKind::RunError,
            StreamEntryKind::Custom,
        ] {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
        }
    }
}
