//! The size of the case, and the protocol with each part replaceable.

use std::fmt;
use std::time::Duration;

use kernel::Timestamp;
use work::protocol::{self, ClaimRefused, Illegal, Jitter, StaleFence};
use work::{Fence, Job, Outcome};

pub const TICK: Duration = Duration::from_secs(30);
pub const LEASE: Duration = TICK;
/// How far ahead a sweep looks, in ticks.
pub const HORIZON: u8 = 1;

/// How large the case is.
#[derive(Debug, Clone)]
pub struct Scope {
    pub jobs: usize,
    pub workers: usize,
    /// Fenced effects until a job is done.
    pub steps: u8,
    pub max_attempts: u32,
    /// Requests of dead or impatient workers that may be on their way at the same time.
    pub strays: usize,
    /// Whether the last step waits for an approval.
    pub approvals: bool,
    /// Whether a handler may park for a short time.
    pub parks: bool,
    /// Whether something may happen between the sweeper's look at a job and its note.
    pub slow_sweeps: bool,
    pub cancels: bool,
    pub redrives: bool,
}

pub type Change = fn(&Job, Timestamp) -> Result<Option<Job>, Illegal>;

/// The protocol, each part replaceable by a broken one.
#[derive(Clone)]
pub struct Rules {
    pub claim: fn(&Job, Timestamp, Duration, u64) -> Result<Job, ClaimRefused>,
    pub settle: fn(&Job, Fence, &Outcome, Timestamp) -> Result<Job, StaleFence>,
    pub reclaim: fn(&Job, Timestamp) -> Option<Job>,
    pub wake: Change,
    /// The condition of a fenced commit.
    pub accepts: fn(Fence, &Job) -> bool,
    /// Whether a replacement needs the version it was computed from.
    pub compares: bool,
    pub sweeps: bool,
    /// Whether each change is held against the audit. Off, only consequences count.
    pub audited: bool,
}

impl Rules {
    pub const HONEST: Self = Self {
        claim: protocol::claim,
        settle,
        reclaim: protocol::reclaim,
        wake: protocol::wake,
        accepts: |fence, job| fence.is_held_by(job),
        compares: true,
        sweeps: true,
        audited: true,
    };
}

fn settle(job: &Job, fence: Fence, outcome: &Outcome, now: Timestamp) -> Result<Job, StaleFence> {
    protocol::settle(job, fence, outcome, None, now, Jitter::FULL)
}

/// A broken promise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation(pub String);

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
