//! Executions: one run of an agent, its states, its journal of effects and its stream.

use std::time::Duration;

use kernel::{
    AgentId, ApprovalId, ConversationId, ExecutionId, FileId, JobId, KnowledgeBaseId, MicroCredits,
    OrgId, SwarmId, TaskId, Timestamp, ToolId,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::agent::Limits;
use crate::budget::{Account, Reservation};
use crate::event::Actor;

mod grounding;
mod journal;
mod state;
mod stream;
#[cfg(test)]
mod tests;

pub use grounding::{DEFAULT_GROUNDING_TOKENS, Grounding, MAX_GROUNDING_TOKENS};
pub use journal::{
    Effect, EffectOutcome, EffectRequest, RequestedCall, ShownPassage, StoredResult,
};
pub use state::{ExecutionState, IllegalTransition, MAX_QUEUED, MAX_WAIT};
pub use stream::{StreamEntry, StreamEntryKind};

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
    /// Why the run failed or expired, or was cancelled for another reason than that somebody asked.
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
    /// When the state that the run is in ends by itself; absent once the run has ended.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub expires_at: Option<Timestamp>,
    /// The running time that is left, in milliseconds, while the run is not running.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub time_left_ms: Option<u64>,
    /// What the run waits for, while it waits.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub waiting: Option<Waiting>,
    /// What the run has cost and what it has reserved.
    #[serde(skip_serializing_if = "Spending::is_nothing", default)]
    pub spending: Spending,
    /// The conversation that the run is a turn of, if any.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub conversation: Option<Turn>,
    /// Whose conversation led to the run, if any did: beside them, managers and machines see it,
    /// and no other member.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub private_to: Option<Actor>,
    /// What the run is shown of its agent's knowledge before its model is asked, if anything.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub grounding: Option<Grounding>,
    /// The call that this run answers, where another agent made it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub parent: Option<ParentCall>,
    /// Runs that this one called and that have not ended.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub children: Vec<ExecutionId>,
    /// The swarm that the run works for, if any.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub swarm: Option<SwarmId>,
    /// Rises by one with every change; the ETag of the execution.
    pub version: u64,
}

/// What a run waits for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct Waiting {
    /// In words, for people.
    pub reason: String,
    /// The approvals that are still to be answered.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub approvals: Vec<ApprovalId>,
    /// The tool that needs a credential.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub tool: Option<ToolId>,
    /// The account that lacks credits.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub account: Option<Account>,
}

impl Waiting {
    fn has_questions(&self) -> bool {
        !self.approvals.is_empty()
    }
}

/// What a run has cost, and what is set aside for the call that is under way.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct Spending {
    /// Micro-credits.
    pub spent: MicroCredits,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reserved: Option<Reservation>,
}

impl Spending {
    fn is_nothing(&self) -> bool {
        self.spent == MicroCredits::ZERO && self.reserved.is_none()
    }
}

/// A run's place in a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Turn {
    pub id: ConversationId,
    /// From 1, without gaps.
    pub turn: u32,
}

/// The tool call of one run that another run answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ParentCall {
    pub execution: ExecutionId,
    pub step: u32,
    pub call: u32,
    /// The run at the beginning of the chain of calls.
    pub root: ExecutionId,
    /// How many calls lie between the root and this run: 1 for a direct one.
    pub depth: u32,
}

impl Execution {
    /// When the state that the run is in ends by itself.
    #[must_use]
    pub fn deadline(&self) -> Timestamp {
        self.expires_at.unwrap_or_else(|| {
            self.created_at
                .plus(Duration::from_secs(self.limits.max_seconds.into()))
        })
    }

    /// Moves the run to `state`, and its deadline with it: a run has [`MAX_QUEUED`] to be begun,
    /// its agent's `max_seconds` to run, all waits taken out, and [`MAX_WAIT`] for each wait.
    ///
    /// # Errors
    /// [`IllegalTransition`] leaves the run as it was.
    pub fn transition(
        &mut self,
        state: ExecutionState,
        now: Timestamp,
    ) -> Result<(), IllegalTransition> {
        let from = self.state;
        if !from.may_become(state) {
            return Err(IllegalTransition { from, to: state });
        }
        if from == ExecutionState::Running {
            self.time_left_ms = Some(millis(self.deadline().since(now)));
        }
        self.state = state;
        match state {
            ExecutionState::Queued => self.expires_at = Some(now.plus(MAX_QUEUED)),
            ExecutionState::Running => {
                let all = u64::from(self.limits.max_seconds) * 1_000;
                let left = self.time_left_ms.take().unwrap_or(all);
                self.expires_at = Some(now.plus(Duration::from_millis(left)));
                self.started_at.get_or_insert(now);
            }
            ExecutionState::Paused
            | ExecutionState::AwaitingInput
            | ExecutionState::AwaitingAuth
            | ExecutionState::OverBudget => self.expires_at = Some(now.plus(MAX_WAIT)),
            ExecutionState::Completed
            | ExecutionState::Failed
            | ExecutionState::Cancelled
            | ExecutionState::Expired => {
                self.finished_at = Some(now);
                self.expires_at = None;
                self.time_left_ms = None;
            }
        }
        // A pause keeps in mind what was waited for: it may be answered meanwhile, and what is not
        // must be waited for again, or withdrawn if the run ends before.
        if state.is_terminal() {
            self.waiting = None;
        } else if !state.is_waiting() {
            self.waiting = self.waiting.take().filter(Waiting::has_questions);
        }
        Ok(())
    }

    /// The run at the beginning of the chain of calls that led here: itself where none did.
    #[must_use]
    pub fn root(&self) -> ExecutionId {
        self.parent.map_or(self.id, |parent| parent.root)
    }

    /// How many calls by other agents led here.
    #[must_use]
    pub fn depth(&self) -> u32 {
        self.parent.map_or(0, |parent| parent.depth)
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

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
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
    /// The address that it was read from, if it comes from the web.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub url: Option<String>,
    /// The page, from 1, where the format has pages.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub page: Option<u32>,
    /// The headings above the place, outermost first, joined by ` › `.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub heading: Option<String>,
    /// The number of the chunk in its document, from 0.
    pub chunk: u32,
    /// The characters of the document's text that the place is: the first, from 0, and one past the
    /// last. A character is a Unicode scalar value.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub start: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub end: Option<u32>,
}
