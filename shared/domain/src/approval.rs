//! Approvals: what people are asked during a run, who may answer, and what happens if nobody does.

use kernel::{AgentId, ApprovalId, ExecutionId, OrgId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::event::Actor;

mod policy;
#[cfg(test)]
mod tests;

pub use policy::{Answerer, ApprovalPolicy, NotAdmitted, OnExpiry};

/// The most named approvers of one policy.
pub const MAX_APPROVERS: usize = 16;
/// The most characters of a reason or an answer.
pub const MAX_ANSWER_CHARS: usize = 8_000;

/// Something that people are asked during a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Approval {
    pub id: ApprovalId,
    pub org: OrgId,
    pub execution: ExecutionId,
    pub agent: AgentId,
    /// The step and call of the run that wait for the answer.
    pub step: u32,
    pub call: u32,
    pub subject: ApprovalSubject,
    pub policy: ApprovalPolicy,
    pub state: ApprovalState,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub answer: Option<ApprovalAnswer>,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
    pub updated_at: Timestamp,
    /// Rises by one with every change; the ETag of the approval.
    pub version: u64,
}

impl Approval {
    /// Whether nobody can answer any more because the time for it is over, whatever is stored.
    #[must_use]
    pub fn is_over(&self, now: Timestamp) -> bool {
        now >= self.expires_at
    }

    /// The approval with this answer.
    #[must_use]
    pub fn answered(&self, answer: ApprovalAnswer) -> Self {
        let at = answer.at;
        self.ended(ApprovalState::Answered, Some(answer), at)
    }

    /// The approval after nobody answered in time, with what its policy says to that. There is no
    /// answer where the run ends instead. Approving by default makes a call that waits for leave;
    /// it never makes a call again that may have happened, and it answers no question.
    #[must_use]
    pub fn expired(&self, now: Timestamp) -> Self {
        let decision = match self.policy.on_expiry {
            OnExpiry::Expire => None,
            OnExpiry::Approve if self.subject.allows(Decision::Approve) => Some(Decision::Approve),
            OnExpiry::Approve | OnExpiry::Reject => Some(Decision::Reject),
        };
        let answer = decision.map(|decision| ApprovalAnswer {
            decision,
            by: Actor::System,
            via: AnsweredVia::Expiry,
            reason: None,
            arguments: None,
            text: None,
            at: now,
        });
        self.ended(ApprovalState::Expired, answer, now)
    }

    /// The approval after its run ended without an answer.
    #[must_use]
    pub fn withdrawn(&self, now: Timestamp) -> Self {
        self.ended(ApprovalState::Withdrawn, None, now)
    }

    fn ended(&self, state: ApprovalState, answer: Option<ApprovalAnswer>, now: Timestamp) -> Self {
        Self {
            state,
            answer,
            updated_at: now,
            version: self.version + 1,
            ..self.clone()
        }
    }
}

/// What people are asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ApprovalSubject {
    /// May this tool be called?
    ToolCall {
        tool: String,
        #[schema(value_type = Object)]
        arguments: Value,
    },
    /// A question of the agent.
    Question { question: String },
    /// A call was interrupted and nobody knows whether it happened. What now?
    UnknownOutcome {
        tool: String,
        #[schema(value_type = Object)]
        arguments: Value,
        /// The key that the call was sent with, to look it up at the service.
        idempotency_key: String,
    },
}

impl ApprovalSubject {
    /// The stable name of the kind.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::ToolCall { .. } => "tool_call",
            Self::Question { .. } => "question",
            Self::UnknownOutcome { .. } => "unknown_outcome",
        }
    }

    /// The tool that it is about, by the name that the model knows.
    #[must_use]
    pub fn tool(&self) -> Option<&str> {
        match self {
            Self::ToolCall { tool, .. } | Self::UnknownOutcome { tool, .. } => Some(tool),
            Self::Question { .. } => None,
        }
    }

    /// The decisions that this can be answered with.
    #[must_use]
    pub fn decisions(&self) -> Vec<Decision> {
        let all = Decision::ALL.iter().copied();
        all.filter(|decision| self.allows(*decision)).collect()
    }

    /// Whether this can be answered so.
    #[must_use]
    pub const fn allows(&self, decision: Decision) -> bool {
        match self {
            Self::ToolCall { .. } => matches!(decision, Decision::Approve | Decision::Reject),
            Self::Question { .. } => matches!(decision, Decision::Reply | Decision::Reject),
            Self::UnknownOutcome { .. } => matches!(
                decision,
                Decision::Retry | Decision::Succeeded | Decision::Reject
            ),
        }
    }
}

/// Where an approval stands.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum ApprovalState {
    /// Waits for an answer.
    Pending,
    /// Was answered.
    Answered,
    /// Nobody answered in time; `answer` holds what the policy says.
    Expired,
    /// The run ended before an answer.
    Withdrawn,
}

impl ApprovalState {
    /// Every state.
    pub const ALL: &'static [Self] = &[
        Self::Pending,
        Self::Answered,
        Self::Expired,
        Self::Withdrawn,
    ];

    /// The stable name of the state.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Answered => "answered",
            Self::Expired => "expired",
            Self::Withdrawn => "withdrawn",
        }
    }

    /// The state of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|state| state.name() == name)
    }
}

/// An answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// Make the call.
    Approve,
    /// Do not make the call; give no answer; take the interrupted call as failed.
    Reject,
    /// The answer to a question is in `text`.
    Reply,
    /// Make the interrupted call again.
    Retry,
    /// The interrupted call did happen; `text` says with what result.
    Succeeded,
}

impl Decision {
    /// Every decision.
    pub const ALL: &'static [Self] = &[
        Self::Approve,
        Self::Reject,
        Self::Reply,
        Self::Retry,
        Self::Succeeded,
    ];

    /// The stable name of the decision.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Reject => "reject",
            Self::Reply => "reply",
            Self::Retry => "retry",
            Self::Succeeded => "succeeded",
        }
    }

    /// The decision of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let mut all = Self::ALL.iter().copied();
        all.find(|decision| decision.name() == name)
    }

    /// Whether it says nothing without a text.
    #[must_use]
    pub const fn needs_text(self) -> bool {
        matches!(self, Self::Reply | Self::Succeeded)
    }
}

/// How an approval was answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ApprovalAnswer {
    pub decision: Decision,
    pub by: Actor,
    pub via: AnsweredVia,
    /// Why, in the words of who answered; the model is told.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
    /// The arguments to call the tool with instead.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(value_type = Option<Object>)]
    pub arguments: Option<Value>,
    /// The answer to a question, or the result of an interrupted call.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub text: Option<String>,
    pub at: Timestamp,
}

impl ApprovalAnswer {
    /// Whether the same person or machine said the same before, whenever and whichever way.
    #[must_use]
    pub fn repeats(&self, other: &Self) -> bool {
        self.by == other.by
            && self.decision == other.decision
            && self.reason == other.reason
            && self.arguments == other.arguments
            && self.text == other.text
    }
}

/// The way in which an answer came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AnsweredVia {
    Api,
    /// A single-use link.
    Link,
    /// The policy, because nobody answered in time.
    Expiry,
}
