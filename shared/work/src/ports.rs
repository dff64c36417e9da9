//! What the engine needs from outside: a store with compare-and-set, and a bell.

use std::error::Error;
use std::time::Duration;

use async_trait::async_trait;
use kernel::{JobId, OrgId, Timestamp};

use crate::{Doorbell, Job};

/// The longest a ring can be delayed (`DelaySeconds` of SQS). Beyond it the sweeper rings.
pub const MAX_RING_DELAY: Duration = Duration::from_secs(15 * 60);

/// Where jobs live.
///
/// An implementation retries throttling and transaction conflicts itself, a few times: a commit
/// that carries a [`Fence`](crate::Fence) and a heartbeat of the same job meet now and then.
#[async_trait]
pub trait JobStore: Send + Sync {
    /// The job, read consistently; `None` if the org has no such job.
    async fn load(&self, org: OrgId, id: JobId) -> Result<Option<Job>, StoreError>;

    /// Writes `new` over the row whose version is `expected_version`. `false` if the row has
    /// another version or is gone; nothing is written then. After an error the write may or may
    /// not have happened.
    async fn replace(&self, new: &Job, expected_version: u64) -> Result<bool, StoreError>;

    /// Up to `limit` jobs of one shard of the due index, `0..DUE_SHARDS`, whose `ring_at` is not
    /// after `until`, earliest first. May lag behind the rows: whoever uses it decides by
    /// `replace`. A row that cannot be read is skipped and logged, or it would hide those behind it.
    async fn due(&self, shard: u32, until: Timestamp, limit: usize)
    -> Result<Vec<Job>, StoreError>;
}

/// Why the store did not answer.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It could not be reached, refused for now, or its reply was lost.
    #[error("the job store is unavailable: {message}")]
    Unavailable {
        /// What went wrong, for the log.
        message: String,
        /// The cause.
        #[source]
        source: Option<Box<dyn Error + Send + Sync>>,
    },
    /// The row is there and is not a job, or the job cannot be written as a row. Trying again
    /// does not help.
    #[error("the job cannot be read or written: {message}")]
    Unreadable {
        /// What is wrong with it, for the log.
        message: String,
    },
}

impl StoreError {
    /// Unavailable, without a cause to keep.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::Unavailable {
            message: message.into(),
            source: None,
        }
    }

    /// Unavailable because of `source`.
    pub fn caused_by(
        message: impl Into<String>,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self::Unavailable {
            message: message.into(),
            source: Some(source.into()),
        }
    }

    /// Not a job.
    pub fn unreadable(message: impl Into<String>) -> Self {
        Self::Unreadable {
            message: message.into(),
        }
    }

    /// Whether asking again may help.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }
}

/// Tells some worker that a job may be run.
#[async_trait]
pub trait Bell: Send + Sync {
    /// Rings after `delay`, at most [`MAX_RING_DELAY`]; finer than a second is rounded up, since a
    /// ring before the job is due is wasted. Delivery is at least once, in any order, at best.
    async fn ring(&self, doorbell: &Doorbell, delay: Duration) -> Result<(), BellError>;
}

/// Why a ring was not taken. The job is not lost: the sweeper rings again.
#[derive(Debug, thiserror::Error)]
#[error("the bell did not take the ring: {message}")]
pub struct BellError {
    /// What went wrong, for the log.
    pub message: String,
    /// The cause.
    #[source]
    pub source: Option<Box<dyn Error + Send + Sync>>,
}

impl BellError {
    /// An error without a cause to keep.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            source: None,
        }
    }

    /// An error because of `source`.
    pub fn caused_by(
        message: impl Into<String>,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self {
            message: message.into(),
            source: Some(source.into()),
        }
    }
}
