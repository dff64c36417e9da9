//! Executions: one run of an agent, its states, its journal of effects and its stream.

use kernel::{AgentId, ExecutionId, FileId, JobId, KnowledgeBaseId, OrgId, TaskId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::agent::Limits;
use crate::event::{Actor, EventKind};

/// The most characters an execution's input may have.
pub const MAX_INPUT_CHARS: usize = 32_000;

/// One run of an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Execution {
    pub id: ExecutionId,
    pub org: OrgId,
    pub agent: AgentId,
    /// The version of the agent that runs, whatever becomes of the agent meanwhile.
    pub agent_version: u64,
    /// The task this run works on, if any.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub task: Option<TaskId>,
    /// What the agent was asked.
    pub input: String,
    pub state: ExecutionState,
    /// Steps that are committed. A step is one model call and the tool calls that it asked for.
    pub steps: u32,
    pub limits: Limits,
    /// What the agent answered, once completed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub answer: Option<String>,
    /// The sources that the answer names, in the order of their markers.
    pub citations: Vec<Citation>,
    /// Why the run failed, once failed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub failure: Option<Failure>,
    pub usage: Usage,
    /// The job that drives the run.
    pub job: JobId,
    pub requested_by: Actor,
    pub correlation_id: String,
    /// The sequence of the newest entry in the stream; 0 before the first.
    pub last_sequence: u64,
    pub created_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub started_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub finished_at: Option<Timestamp>,
    pub updated_at: Timestamp,
    /// Rises by one with every change; the ETag of the execution.
    pub version: u64,
}

/// Where an execution stands.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum ExecutionState {
    /// Waiting for a worker.
    Queued,
    /// A worker has it.
    Running,
    /// Ended with an answer.
    Completed,
    /// Ended without one; `failure` says why.
    Failed,
    /// Ended because somebody asked for it.
    Cancelled,
}

impl ExecutionState {
    /// Every state.
    pub const ALL: &'static [Self] = &[
        Self::Queued,
        Self::Running,
        Self::Completed,
        Self::Failed,
        Self::Cancelled,
    ];

    /// The stable name of the state.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether an execution may go from this state to `next`. Staying is not a transition.
    #[must_use]
    pub const fn may_become(self, next: Self) -> bool {
        use ExecutionState::{Cancelled, Completed, Failed, Queued, Running};
        match self {
            Queued => matches!(next, Running | Failed | Cancelled),
            Running => matches!(next, Completed | Failed | Cancelled),
            Completed | Failed | Cancelled => false,
        }
    }

    /// Whether nothing can follow.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }

    /// The event that tells of reaching this state.
    #[must_use]
    pub const fn event(self) -> EventKind {
        match self {
            Self::Queued => EventKind::ExecutionQueued,
            Self::Running => EventKind::ExecutionStarted,
            Self::Completed => EventKind::ExecutionCompleted,
            Self::Failed => EventKind::ExecutionFailed,
            Self::Cancelled => EventKind::ExecutionCancelled,
        }
    }
}

/// A change of state that the rules do not allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an execution that is `{}` cannot become `{}`", from.name(), to.name())]
pub struct IllegalTransition {
    pub from: ExecutionState,
    pub to: ExecutionState,
}

impl Execution {
    /// When the run must have ended.
    #[must_use]
    pub fn deadline(&self) -> Timestamp {
        self.created_at.plus(std::time::Duration::from_secs(
            self.limits.max_seconds.into(),
        ))
    }

    /// Moves the run to `state` and notes the time.
    ///
    /// # Errors
    /// [`IllegalTransition`] leaves the run as it was.
    pub fn transition(
        &mut self,
        state: ExecutionState,
        now: Timestamp,
    ) -> Result<(), IllegalTransition> {
        if !self.state.may_become(state) {
            return Err(IllegalTransition {
                from: self.state,
                to: state,
            });
        }
        self.state = state;
        if state == ExecutionState::Running {
            self.started_at = Some(now);
        }
        if state.is_terminal() {
            self.finished_at = Some(now);
        }
        Ok(())
    }

    /// The next entry of the stream, which this run has then counted.
    pub fn next_stream_entry(
        &mut self,
        kind: StreamEntryKind,
        data: Value,
        now: Timestamp,
    ) -> StreamEntry {
        self.last_sequence += 1;
        StreamEntry {
            execution: self.id,
            sequence: self.last_sequence,
            kind,
            at: now,
            data,
        }
    }
}

/// Why something failed, in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Failure {
    /// Stable, in snake case.
    pub code: String,
    /// For people.
    pub message: String,
}

impl Failure {
    /// A failure with a stable code and a sentence.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            message: message.into(),
        }
    }
}

/// What a run has used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct Usage {
    pub model_calls: u64,
    pub tool_calls: u64,
    #[serde(flatten)]
    pub tokens: Tokens,
}

/// Tokens by what they are priced as. Cached and written ones are among the input, reasoning ones
/// among the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct Tokens {
    pub input_tokens: u64,
    #[serde(default)]
    pub cached_input_tokens: u64,
    #[serde(default)]
    pub cache_write_tokens: u64,
    pub output_tokens: u64,
    #[serde(default)]
    pub reasoning_tokens: u64,
}

impl Usage {
    /// Adds what one model call used.
    pub fn add_model_call(&mut self, used: Tokens) {
        self.model_calls += 1;
        self.tokens.input_tokens += used.input_tokens;
        self.tokens.cached_input_tokens += used.cached_input_tokens;
        self.tokens.cache_write_tokens += used.cache_write_tokens;
        self.tokens.output_tokens += used.output_tokens;
        self.tokens.reasoning_tokens += used.reasoning_tokens;
    }
}

/// A place in a document that an answer rests on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Citation {
    /// The number in the answer: `1` for `[1]`.
    pub marker: u32,
    pub file: FileId,
    pub knowledge_base: KnowledgeBaseId,
    /// The name of the document.
    pub document: String,
    /// The page, from 1, where the format has pages.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub page: Option<u32>,
    /// The headings above the place, outermost first, joined by ` › `.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub heading: Option<String>,
    /// The number of the chunk in its document, from 0.
    pub chunk: u32,
}

/// One call to the outside, by a model or a tool: noted before it is made and settled after it.
/// A settled effect is never made again; the journal of a run is at once its conversation and its
/// trace, so a turn is stored once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Effect {
    pub execution: ExecutionId,
    /// The step, from 1.
    pub step: u32,
    /// 0 for the model call of the step, then 1, 2, … for its tool calls.
    pub call: u32,
    pub request: EffectRequest,
    /// What came back; absent while the call is under way, or where a worker died during it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub outcome: Option<EffectOutcome>,
    pub started_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub settled_at: Option<Timestamp>,
    /// How often the call was begun; more than 1 where a worker died during it.
    pub attempts: u32,
}

impl Effect {
    /// The key that an external service may use to recognise a repeated call.
    #[must_use]
    pub fn idempotency_key(execution: ExecutionId, step: u32, call: u32) -> String {
        format!("{execution}-{step}-{call}")
    }
}

/// What was asked of the outside.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum EffectRequest {
    /// A model call. Its messages are the journal up to here and are not stored again.
    Model { model: String },
    /// A tool call, as the model asked for it.
    Tool {
        call_id: String,
        name: String,
        #[schema(value_type = Object)]
        arguments: Value,
    },
}

/// What came back from the outside.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum EffectOutcome {
    /// The model's turn.
    Model {
        text: String,
        tool_calls: Vec<RequestedCall>,
        /// What the provider wants back unchanged in the next turn, such as signed reasoning.
        #[serde(skip_serializing_if = "Vec::is_empty", default)]
        #[schema(value_type = Vec<Object>)]
        opaque: Vec<Value>,
        stop_reason: String,
        #[serde(flatten)]
        tokens: Tokens,
    },
    /// A tool's result, as the model sees it.
    Tool { content: String, is_error: bool },
}

/// A tool call that a model asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RequestedCall {
    /// The model's own name for the call.
    pub call_id: String,
    pub name: String,
    /// An object; a text where the model wrote something that is no JSON object.
    #[schema(value_type = Object)]
    pub arguments: Value,
}

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
    use proptest::prelude::*;

    use super::*;

    fn state() -> impl Strategy<Value = ExecutionState> {
        prop::sample::select(ExecutionState::ALL)
    }

    proptest! {
        #[test]
        fn no_path_leaves_an_end_and_none_completes_without_running(
            path in prop::collection::vec(state(), 1..20)
        ) {
            let mut current = ExecutionState::Queued;
            let mut ran = false;
            for next in path {
                if current.may_become(next) {
                    prop_assert!(!current.is_terminal());
                    prop_assert_ne!(current, next);
                    current = next;
                    ran |= current == ExecutionState::Running;
                }
            }
            prop_assert!(current != ExecutionState::Completed || ran);
        }
    }

    #[test]
    fn every_open_state_can_be_cancelled_and_can_fail() {
        for state in ExecutionState::ALL
            .iter()
            .filter(|state| !state.is_terminal())
        {
            assert!(state.may_become(ExecutionState::Cancelled), "{state:?}");
            assert!(state.may_become(ExecutionState::Failed), "{state:?}");
        }
    }

    #[test]
    fn stream_names_are_those_of_their_serde_form() {
        for kind in [
            StreamEntryKind::RunStarted,
            StreamEntryKind::ToolCallArgs,
            StreamEntryKind::RunError,
        ] {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
        }
    }
}
