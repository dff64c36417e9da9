//! How an attempt ended.

use std::time::Duration;

use kernel::Timestamp;
use serde_json::Value;

use crate::JobError;

/// How an attempt ended, as its handler says. There is no other way to end one: a panic, a missed
/// deadline or an unknown kind become one of these.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// The work is done.
    Done {
        /// What the job returns. Small: see [`protocol::MAX_RESULT_BYTES`](crate::protocol::MAX_RESULT_BYTES).
        result: Option<Value>,
    },
    /// The attempt failed and another may succeed. Counts as a failed attempt; the last one that
    /// the job allows makes it dead.
    Retry {
        /// Why it failed.
        error: JobError,
        /// When to try again, where somebody said so (`Retry-After`); else exponential backoff
        /// with full jitter.
        after: Option<Duration>,
    },
    /// There is nothing to do until a moment, or until the job is woken. Costs nothing meanwhile.
    Park {
        /// When to go on at the latest.
        until: Timestamp,
    },
    /// There is more to do than this attempt has time for; what is done is committed. A successor
    /// is rung at once.
    Yield,
    /// No further attempt can succeed.
    Fail {
        /// Why.
        error: JobError,
    },
    /// The job is not understood: its payload cannot be decoded.
    Reject {
        /// What is wrong with it.
        error: JobError,
    },
    /// The handler saw the cancellation and stopped.
    Cancelled,
}

impl Outcome {
    /// Done, with nothing to return.
    #[must_use]
    pub const fn done() -> Self {
        Self::Done { result: None }
    }

    /// Done, with a result.
    #[must_use]
    pub const fn done_with(result: Value) -> Self {
        Self::Done {
            result: Some(result),
        }
    }

    /// Failed, try again with backoff.
    pub fn retry(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Retry {
            error: JobError::new(code, message),
            after: None,
        }
    }

    /// Failed for good.
    pub fn fail(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Fail {
            error: JobError::new(code, message),
        }
    }

    /// Not understood.
    pub fn reject(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Reject {
            error: JobError::new(code, message),
        }
    }

    /// The stable name, for logs and metrics.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Done { .. } => "done",
            Self::Retry { .. } => "retry",
            Self::Park { .. } => "park",
            Self::Yield => "yield",
            Self::Fail { .. } => "fail",
            Self::Reject { .. } => "reject",
            Self::Cancelled => "cancelled",
        }
    }
}
