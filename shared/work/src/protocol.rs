//! The transitions of a job, as pure functions from a row to the row that replaces it.
//!
//! Every function takes the row as it was read and gives the row to write on the condition that
//! the stored version is still the one read. Each raises `version` by exactly one. None reads a
//! clock or draws a random number: time and jitter come in.
//!
//! `ring_at`, the key of the due index, is when the sweeper should look next:
//!
//! | state | `ring_at` |
//! |---|---|
//! | ready or parked, a ring is on its way | `due_at` + [`RING_GRACE`] |
//! | ready or parked, due beyond the reach of a delayed ring | `due_at` |
//! | ready or parked, rung by the sweeper | later each time, by [`rung`] |
//! | ready, taken back from a worker that died | now + [`LOST_GRACE`], several times, then by [`rung`] |
//! | leased | `lease_until` |
//! | done, dead, cancelled | none: the job leaves the index |

use std::time::Duration;

use kernel::Timestamp;

use crate::{DeadReason, Fence, Job, JobError, JobState, MAX_RING_DELAY, Outcome, Progress};

mod backoff;
mod requests;
#[cfg(test)]
mod tests;

pub use backoff::{BACKOFF_BASE, BACKOFF_MAX, Jitter, backoff};
pub use requests::{Illegal, redrive, request_cancel, wake};

/// How long the sweeper leaves a job alone that was just rung for.
pub const RING_GRACE: Duration = Duration::from_secs(30);

/// How long the sweeper waits after its first ring before it rings again; it doubles each time, so
/// that a backlog is not rung every minute.
pub const RERING_BASE: Duration = Duration::from_secs(60);

/// How long the sweeper leaves a job alone that it took back from a worker that died. The ring may
/// die with the next worker, and then nobody else knows of it.
pub const LOST_GRACE: Duration = Duration::from_secs(5);

/// How many rings of a job that was taken back are only [`LOST_GRACE`] apart: so many workers may die
/// in a row. After that the workers are gone rather than unlucky, and rings only pile up.
pub const LOST_RINGS: u32 = 6;

/// The longest the sweeper waits between two rings.
pub const RERING_MAX: Duration = Duration::from_secs(15 * 60);

/// The shortest time a job can park for. A handler that parks until a moment that has passed would
/// otherwise spin.
pub const PARK_MIN: Duration = Duration::from_secs(1);

/// How many turns of a job may end in a yield. At one turn per fourteen minutes, three months; a
/// job that gets there does not advance.
pub const MAX_YIELDS: u32 = 10_000;

/// The longest wait that a handler may ask for between attempts.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// The largest result that is kept with a job, in bytes of JSON. Larger ones belong in a file.
pub const MAX_RESULT_BYTES: usize = 64 * 1024;

/// The code of the error of an attempt whose worker died.
const WORKER_LOST: &str = "worker_lost";

/// Why a claim was refused. None of these is a fault: rings come twice, late and early.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ClaimRefused {
    /// The job has ended.
    #[error("the job is {0}")]
    Ended(JobState),
    /// Another attempt holds it.
    #[error("another attempt holds the job until {until}")]
    Held {
        /// When its lease ends unless it is renewed.
        until: Timestamp,
    },
    /// The ring came early.
    #[error("the job is not due until {due_at}")]
    NotDue {
        /// When it is due.
        due_at: Timestamp,
    },
    /// The lease is over and no further attempt is allowed: write what [`reclaim`] gives instead.
    #[error("the last attempt was lost and no further one is allowed")]
    MustEnd,
}

/// Why an attempt may no longer write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StaleFence {
    /// This very attempt was settled: its write had arrived and the reply was lost.
    #[error("the attempt was settled already")]
    Settled,
    /// The lease was taken over or reclaimed.
    #[error("the attempt lost its lease")]
    Replaced,
}

/// When the sweeper should first look at a job that becomes due at `due_at` and is rung for now.
#[must_use]
pub fn first_look(due_at: Timestamp, now: Timestamp) -> Timestamp {
    if due_at.since(now) <= MAX_RING_DELAY {
        due_at.max(now).plus(RING_GRACE)
    } else {
        due_at
    }
}

/// Gives the job to an attempt for `lease`: the only way into `leased`. Takes a job whose lease is
/// over from its holder, which counts as a failed attempt.
///
/// `token` identifies the claim: see [`Job::lease_token`].
pub fn claim(job: &Job, now: Timestamp, lease: Duration, token: u64) -> Result<Job, ClaimRefused> {
    let mut next = match job.state {
        state if state.is_terminal() => return Err(ClaimRefused::Ended(state)),
        JobState::Leased => match lease_over(job, now) {
            Err(until) => return Err(ClaimRefused::Held { until }),
            Ok(()) => lose_lease(job, now),
        },
        _ if job.due_at > now => {
            return Err(ClaimRefused::NotDue { due_at: job.due_at });
        }
        _ => job.clone(),
    };
    if next.state.is_terminal() {
        return Err(ClaimRefused::MustEnd);
    }
    let until = now.plus(lease);
    next.state = JobState::Leased;
    next.fence = job.fence + 1;
    next.lease_token = Some(token);
    next.lease_until = Some(until);
    next.ring_at = Some(until);
    next.rings = 0;
    next.wake_requested = false;
    Ok(stamp(next, job, now))
}

/// Keeps the lease for another `lease` from now. An attempt whose lease is over may still renew it
/// as long as nobody took the job.
pub fn heartbeat(
    job: &Job,
    fence: Fence,
    now: Timestamp,
    lease: Duration,
    progress: Option<&Progress>,
) -> Result<Job, StaleFence> {
    check_fence(job, fence)?;
    let until = now.plus(lease).max(job.lease_until.unwrap_or(now));
    let mut next = job.clone();
    next.lease_until = Some(until);
    next.ring_at = Some(until);
    if progress.is_some() {
        next.progress = progress.cloned();
    }
    Ok(stamp(next, job, now))
}

/// Ends an attempt.
///
/// A cancellation that was asked for meanwhile wins over everything but success: work that is done
/// is done.
pub fn settle(
    job: &Job,
    fence: Fence,
    outcome: &Outcome,
    progress: Option<&Progress>,
    now: Timestamp,
    jitter: Jitter,
) -> Result<Job, StaleFence> {
    check_fence(job, fence)?;
    let mut next = released(job);
    if progress.is_some() {
        next.progress = progress.cloned();
    }
    match outcome {
        Outcome::Done { result } => finish(&mut next, result.as_ref()),
        Outcome::Cancelled => cancelled(&mut next),
        Outcome::Retry { error, .. } | Outcome::Fail { error } | Outcome::Reject { error }
            if job.cancel_requested =>
        {
            next.error = Some(error.clone());
            cancelled(&mut next);
        }
        Outcome::Park { .. } | Outcome::Yield if job.cancel_requested => cancelled(&mut next),
        Outcome::Retry { error, after } => {
            count_failure(&mut next, error.clone());
            if next.state != JobState::Dead {
                let wait = match after {
                    Some(after) => (*after).min(RETRY_AFTER_MAX),
                    None => backoff(next.attempts, jitter),
                };
                wait_until(&mut next, JobState::Ready, now.plus(wait), now);
            }
        }
        Outcome::Park { .. } if job.wake_requested => {
            next.attempts = 0;
            wait_until(&mut next, JobState::Ready, now, now);
        }
        Outcome::Park { until } => {
            next.attempts = 0;
            let until = (*until).max(now.plus(PARK_MIN));
            wait_until(&mut next, JobState::Parked, until, now);
        }
        Outcome::Yield => {
            next.attempts = 0;
            next.yields += 1;
            if next.yields >= MAX_YIELDS {
                let error = JobError::new(
                    "yield_limit",
                    format!("the job yielded {MAX_YIELDS} times without coming to an end"),
                );
                bury(&mut next, DeadReason::YieldLimit, error);
            } else {
                wait_until(&mut next, JobState::Ready, now, now);
            }
        }
        Outcome::Fail { error } => {
            next.attempts = (next.attempts + 1).min(next.max_attempts);
            bury(&mut next, DeadReason::Failed, error.clone());
        }
        Outcome::Reject { error } => {
            next.attempts = (next.attempts + 1).min(next.max_attempts);
            bury(&mut next, DeadReason::Rejected, error.clone());
        }
    }
    Ok(stamp(next, job, now))
}

/// Takes the job from an attempt whose lease is over, without giving it to another: ready, or dead
/// if that was the last attempt, or cancelled if that was asked for. `None` if there is nothing to
/// reclaim.
///
/// The fence grows, so that nothing the lost attempt still sends is accepted.
#[must_use]
pub fn reclaim(job: &Job, now: Timestamp) -> Option<Job> {
    lease_over(job, now).ok()?;
    orphan(job, now)
}

/// Takes the job from an attempt that is known to be dead though its lease is not over: where one
/// process at a time has all the jobs, another finds those of the process before it. `None` if
/// nobody holds the job.
#[must_use]
pub fn orphan(job: &Job, now: Timestamp) -> Option<Job> {
    if job.state != JobState::Leased {
        return None;
    }
    let mut next = lose_lease(job, now);
    next.fence = job.fence + 1;
    if next.state == JobState::Ready {
        next.ring_at = Some(now.plus(LOST_GRACE));
    }
    Some(stamp(next, job, now))
}

/// Whether a sweeper that looks `horizon` ahead should ring now, and with what delay. `None` also
/// while another ring is on its way: a second would only wake a worker for nothing.
#[must_use]
pub fn wants_ring(job: &Job, now: Timestamp, horizon: Duration) -> Option<Duration> {
    let waits = matches!(job.state, JobState::Ready | JobState::Parked);
    let ring_at = job.ring_at.filter(|_| waits)?;
    // Nobody has rung yet for a job that is to be looked at in the moment it is due.
    let soon = ring_at == job.due_at && ring_at <= now.plus(horizon.min(MAX_RING_DELAY));
    (ring_at <= now || soon).then(|| job.due_at.since(now))
}

/// Notes that the sweeper rang for a waiting job. `None` if the job does not wait.
#[must_use]
pub fn rung(job: &Job, now: Timestamp) -> Option<Job> {
    if !matches!(job.state, JobState::Ready | JobState::Parked) {
        return None;
    }
    let lost = if lost_its_worker(job) { LOST_RINGS } else { 0 };
    let pause = match job.rings.checked_sub(lost) {
        None => LOST_GRACE,
        Some(rings) => RERING_BASE
            .saturating_mul(1 << rings.min(10))
            .min(RERING_MAX),
    };
    let mut next = job.clone();
    next.rings = job.rings.saturating_add(1);
    next.ring_at = Some(job.due_at.max(now).plus(pause));
    Some(stamp(next, job, now))
}

/// Whether a job waits for its next attempt because the worker of the last one died.
fn lost_its_worker(job: &Job) -> bool {
    let lost = |error: &JobError| error.code == WORKER_LOST;
    job.attempts > 0 && job.error.as_ref().is_some_and(lost)
}

fn check_fence(job: &Job, fence: Fence) -> Result<(), StaleFence> {
    if fence.is_held_by(job) {
        return Ok(());
    }
    let same_attempt = job.org == fence.org && job.id == fence.job && job.fence == fence.number;
    Err(if same_attempt {
        StaleFence::Settled
    } else {
        StaleFence::Replaced
    })
}

/// `Err` with the end of the lease while it lasts.
fn lease_over(job: &Job, now: Timestamp) -> Result<(), Timestamp> {
    match job.lease_until {
        Some(until) if until > now => Err(until),
        _ => Ok(()),
    }
}

/// The job of an attempt that died: it counts as a failed one, or a job that kills its worker
/// would be tried for ever.
fn lose_lease(job: &Job, now: Timestamp) -> Job {
    let mut next = released(job);
    let error = JobError::new(
        WORKER_LOST,
        "the worker stopped answering before the attempt ended",
    );
    if job.cancel_requested {
        next.error = Some(error);
        cancelled(&mut next);
    } else {
        count_failure(&mut next, error);
        if next.state != JobState::Dead {
            wait_until(&mut next, JobState::Ready, now, now);
        }
    }
    next
}

fn released(job: &Job) -> Job {
    Job {
        lease_token: None,
        lease_until: None,
        cancel_requested: false,
        wake_requested: false,
        ..job.clone()
    }
}

fn wait_until(next: &mut Job, state: JobState, due_at: Timestamp, now: Timestamp) {
    next.state = state;
    next.due_at = due_at;
    next.ring_at = Some(first_look(due_at, now));
    next.rings = 0;
}

fn count_failure(next: &mut Job, error: JobError) {
    next.attempts = (next.attempts + 1).min(next.max_attempts);
    if next.attempts == next.max_attempts {
        bury(next, DeadReason::Exhausted, error);
    } else {
        next.error = Some(error);
    }
}

fn finish(next: &mut Job, result: Option<&serde_json::Value>) {
    // A result that does not fit would make the row unwritable, and the job immortal.
    if let Some(bytes) = result.map(|value| value.to_string().len())
        && bytes > MAX_RESULT_BYTES
    {
        let error = JobError::new(
            "result_too_large",
            format!("the result has {bytes} bytes; at most {MAX_RESULT_BYTES} are kept"),
        );
        bury(next, DeadReason::Failed, error);
        return;
    }
    next.state = JobState::Done;
    next.attempts = 0;
    next.result = result.cloned();
    next.error = None;
    leave_index(next);
}

fn bury(next: &mut Job, reason: DeadReason, error: JobError) {
    next.state = JobState::Dead;
    next.dead_reason = Some(reason);
    next.error = Some(error);
    leave_index(next);
}

fn cancelled(next: &mut Job) {
    next.state = JobState::Cancelled;
    leave_index(next);
}

fn leave_index(next: &mut Job) {
    next.ring_at = None;
    next.rings = 0;
}

fn stamp(mut next: Job, before: &Job, now: Timestamp) -> Job {
    debug_assert!(
        before.state.may_become(next.state),
        "{} -> {}",
        before.state,
        next.state
    );
    next.version = before.version + 1;
    next.updated_at = now;
    next
}
