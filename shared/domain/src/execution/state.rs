//! The states of a run, and what may follow what.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::event::EventKind;

/// Where an execution stands.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum ExecutionState {
    /// Waiting for a worker: at first, or to go on after a wait.
    Queued,
    /// A worker has it, or an agent that it called does.
    Running,
    /// Somebody stopped it for a while.
    Paused,
    /// Waiting for people: an approval, an answer, a decision.
    AwaitingInput,
    /// Waiting until a tool may authenticate itself.
    AwaitingAuth,
    /// Waiting for credits.
    OverBudget,
    /// Ended with an answer.
    Completed,
    /// Ended without one; `failure` says why.
    Failed,
    /// Ended because somebody asked for it.
    Cancelled,
    /// Ended because its time was over: to be begun, to run, or to be answered.
    Expired,
}

/// How long a run may wait for a worker, at first or after a wait.
pub const MAX_QUEUED: Duration = Duration::from_secs(24 * 60 * 60);
/// How long a run may wait for whatever it waits for.
pub const MAX_WAIT: Duration = Duration::from_secs(30 * 24 * 60 * 60);

impl ExecutionState {
    /// Every state.
    pub const ALL: &'static [Self] = &[
        Self::Queued,
        Self::Running,
        Self::Paused,
        Self::AwaitingInput,
        Self::AwaitingAuth,
        Self::OverBudget,
        Self::Completed,
        Self::Failed,
        Self::Cancelled,
        Self::Expired,
    ];

    /// The stable name of the state.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::AwaitingInput => "awaiting_input",
            Self::AwaitingAuth => "awaiting_auth",
            Self::OverBudget => "over_budget",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
        }
    }

    /// The state of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|state| state.name() == name)
    }

    /// Whether an execution may go from this state to `next`. Staying is not a transition.
    #[must_use]
    pub const fn may_become(self, next: Self) -> bool {
        match self {
            Self::Queued => matches!(
                next,
                Self::Running | Self::Paused | Self::Failed | Self::Cancelled | Self::Expired
            ),
            Self::Running => !matches!(next, Self::Queued | Self::Running),
            Self::Paused => matches!(
                next,
                Self::Queued | Self::Failed | Self::Cancelled | Self::Expired
            ),
            Self::AwaitingInput | Self::AwaitingAuth | Self::OverBudget => matches!(
                next,
                Self::Queued | Self::Paused | Self::Failed | Self::Cancelled | Self::Expired
            ),
            Self::Completed | Self::Failed | Self::Cancelled | Self::Expired => false,
        }
    }

    /// Whether nothing can follow.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        matches!(
            self,
            Self::Completed | Self::Failed | Self::Cancelled | Self::Expired
        )
    }

    /// Whether the run waits for something other than a worker. No function runs meanwhile.
    #[must_use]
    pub const fn is_waiting(self) -> bool {
        matches!(
            self,
            Self::Paused | Self::AwaitingInput | Self::AwaitingAuth | Self::OverBudget
        )
    }

    /// The event that tells of reaching this state.
    #[must_use]
    pub const fn event(self) -> EventKind {
        match self {
            Self::Queued => EventKind::ExecutionQueued,
            Self::Running => EventKind::ExecutionStarted,
            Self::Paused => EventKind::ExecutionPaused,
            Self::AwaitingInput => EventKind::ExecutionAwaitingInput,
            Self::AwaitingAuth => EventKind::ExecutionAwaitingAuth,
            Self::OverBudget => EventKind::ExecutionOverBudget,
            Self::Completed => EventKind::ExecutionCompleted,
            Self::Failed => EventKind::ExecutionFailed,
            Self::Cancelled => EventKind::ExecutionCancelled,
            Self::Expired => EventKind::ExecutionExpired,
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
