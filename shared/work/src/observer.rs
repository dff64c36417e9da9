//! Where metrics are taken.

use std::time::Duration;

use crate::protocol::ClaimRefused;
use crate::{Job, SweepReport};

/// Something the engine did, with what a metric needs. Logs are written apart from this, through
/// `tracing`.
#[derive(Debug)]
#[non_exhaustive]
pub enum WorkEvent<'a> {
    /// An attempt took the job.
    Claimed {
        /// As claimed.
        job: &'a Job,
        /// How long it had been due: the age of the queue.
        waited: Duration,
    },
    /// A ring led to nothing.
    Refused {
        /// As read.
        job: &'a Job,
        /// Why.
        reason: ClaimRefused,
    },
    /// An attempt ended.
    Settled {
        /// As written.
        job: &'a Job,
        /// The name of the outcome: [`Outcome::as_str`](crate::Outcome::as_str).
        outcome: &'static str,
        /// How long the attempt ran.
        ran: Duration,
    },
    /// An attempt lost its lease and was dropped.
    LeaseLost {
        /// As last known.
        job: &'a Job,
        /// How long the attempt ran.
        ran: Duration,
    },
    /// The lease of an attempt that died was taken back.
    Reclaimed {
        /// As written.
        job: &'a Job,
    },
    /// A sweep ended.
    Swept {
        /// What it did.
        report: &'a SweepReport,
    },
}

/// Takes note of what the engine does. Called on the way: it must not block.
pub trait Observer: Send + Sync {
    /// Something happened.
    fn observe(&self, event: &WorkEvent<'_>);
}

/// Takes no note.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Observer for Silent {
    fn observe(&self, _event: &WorkEvent<'_>) {}
}
