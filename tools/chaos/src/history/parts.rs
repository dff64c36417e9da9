//! What is written down of each thing.

use std::time::Instant;

use kernel::{ExecutionId, JobId, OrgId, TaskId};

use crate::party::Party;
use crate::script::Script;

/// An effect by its business identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct EffectKey {
    pub(crate) execution: ExecutionId,
    pub(crate) step: u32,
    pub(crate) call: u32,
}

/// An execution that somebody asked for.
#[derive(Debug, Clone)]
pub(crate) struct RunFacts {
    pub(crate) number: u64,
    pub(crate) org: OrgId,
    pub(crate) execution: ExecutionId,
    pub(crate) job: JobId,
    pub(crate) task: Option<TaskId>,
    /// Whether the store said that it is queued. Where it said otherwise, nobody knows.
    pub(crate) acknowledged: bool,
    /// When its end was written.
    pub(crate) ended: Option<Instant>,
    /// From when to when it was certainly paused.
    pub(crate) pauses: Vec<Pause>,
}

impl RunFacts {
    /// Whether somebody asked for it, and not another run.
    pub(crate) fn is_asked_for(&self) -> bool {
        Script::caller_of(self.number).is_none()
    }
}

/// A time in which a run is paused: from the moment that the store has said so to the moment before
/// it is asked to let the run go on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pause {
    pub(crate) from: Instant,
    pub(crate) until: Option<Instant>,
}

/// What reached the servers of one effect, and what was written of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct EffectFacts {
    pub(crate) calls: Vec<CallFacts>,
    /// When the writes were sent that noted it before a call.
    pub(crate) noted: Vec<Instant>,
    /// When the writes were done that settled it.
    pub(crate) settled: Vec<Instant>,
}

/// One call that reached a server.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CallFacts {
    pub(crate) began: Instant,
    /// Pieces of the reply that were taken.
    pub(crate) pieces_read: usize,
    /// Whether the reply was taken to its end.
    pub(crate) whole: bool,
}

/// Something that may interrupt an attempt at a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// The worker that held it was killed.
    Kill,
    /// A request about it met a fault.
    Fault,
    /// The lease of a worker that lives went over to another.
    Lapse,
}

/// A job that a worker held when it was killed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hold {
    pub(crate) job: JobId,
    pub(crate) killed_at: Instant,
    pub(crate) end: HoldEnd,
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HoldEnd {
    /// Nothing yet.
    Open,
    /// A next attempt claimed it.
    Claimed(Instant),
    /// A write of the killed worker was under way and released it.
    Released,
    /// It ended without a next attempt.
    Ended,
}

#[derive(Debug, Clone, Default)]
pub(super) struct JobFacts {
    pub(super) version: u64,
    pub(super) fence: u64,
    pub(super) leased: bool,
    pub(super) ended: bool,
    pub(super) holder: Option<Party>,
    pub(super) open_hold: Option<usize>,
}

/// What a write says of a job.
#[derive(Debug, Clone, Copy)]
pub(super) struct JobRow {
    pub(super) version: u64,
    pub(super) fence: u64,
    pub(super) leased: bool,
}

/// What the queues were made to do.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct RingFacts {
    pub(crate) sent: u64,
    pub(crate) by_sweeper: u64,
    pub(crate) dropped: u64,
    pub(crate) duplicated: u64,
    pub(crate) delayed: u64,
    pub(crate) overtaken: u64,
}

/// What became of writes that were held back until their attempt was over.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct LateFacts {
    /// Arrived when another attempt had begun, or the job had ended.
    pub(crate) stale: u64,
    /// Of those, how many were carried out in spite of it.
    pub(crate) stale_applied: u64,
    /// Arrived in the same attempt after all.
    pub(crate) in_time: u64,
}
