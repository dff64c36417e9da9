//! Why a run stops.

use std::time::Duration;

use domain::execution::Failure;
use kernel::Timestamp;
use store::{CommitError, ReadError};
use work::JobError;

/// Why a run stops here, for now or for good.
#[derive(Debug)]
pub(crate) enum Stop {
    /// A commit was refused: somebody paused or ended the run, took it over, or changed its task.
    Refused,
    /// Time is up; a successor goes on.
    Yield,
    /// Nothing to do until something happens, or this moment comes. Costs nothing meanwhile.
    Wait(Timestamp),
    /// Something does not answer; try again later, and no sooner than this.
    Later(JobError, Option<Duration>),
    /// The run cannot go on.
    Fail(Failure),
    /// The run's time is over.
    Expire(Failure),
}

impl From<ReadError> for Stop {
    fn from(error: ReadError) -> Self {
        Self::Later(JobError::new("store_unavailable", error.to_string()), None)
    }
}

impl From<CommitError> for Stop {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Changed { .. }
            | CommitError::FenceLost
            | CommitError::Exists { .. }
            | CommitError::OverBudget { .. } => Self::Refused,
            CommitError::TooLarge { .. } | CommitError::ItemTooLarge { .. } => {
                Self::Fail(Failure::new("too_large", format!("{error}.")))
            }
            CommitError::Unstorable(_) => {
                tracing::error!(%error, "what a run did cannot be stored");
                let message = "What the model or a tool said cannot be stored.";
                Self::Fail(Failure::new("unstorable", message))
            }
            CommitError::Shape(_) | CommitError::Unavailable(_) => Self::Later(
                JobError::new("store_unavailable", store::explain(&error)),
                None,
            ),
        }
    }
}

impl From<store::Error> for Stop {
    fn from(error: store::Error) -> Self {
        match error {
            store::Error::Read(error) => error.into(),
            store::Error::Commit(error) => error.into(),
            store::Error::Object(error) => {
                Self::Later(JobError::new("store_unavailable", error.to_string()), None)
            }
        }
    }
}
