//! Transitions that somebody outside of an attempt asks for.

use kernel::Timestamp;

use super::{cancelled, reclaim, stamp, wait_until};
use crate::{Job, JobState};

/// An operation that the job's state does not allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a job that is {state} cannot be {operation}")]
pub struct Illegal {
    /// What was asked for, as a participle: `cancelled`, `redriven`, `woken`.
    pub operation: &'static str,
    /// The state that forbids it.
    pub state: JobState,
}

/// Cancels a job that waits, at once; asks the attempt that holds a leased one to stop. `Ok(None)`
/// if that was done before.
pub fn request_cancel(job: &Job, now: Timestamp) -> Result<Option<Job>, Illegal> {
    let mut next = job.clone();
    match job.state {
        JobState::Cancelled => return Ok(None),
        JobState::Leased if job.cancel_requested => return Ok(None),
        JobState::Leased => match reclaim(
            &Job {
                cancel_requested: true,
                ..job.clone()
            },
            now,
        ) {
            // Nobody is left to be asked.
            Some(ended) => return Ok(Some(ended)),
            None => next.cancel_requested = true,
        },
        JobState::Ready | JobState::Parked => cancelled(&mut next),
        state @ (JobState::Done | JobState::Dead) => {
            return Err(Illegal {
                operation: "cancelled",
                state,
            });
        }
    }
    Ok(Some(stamp(next, job, now)))
}

/// Gives a dead job a new life: ready at once, with all its attempts. `Ok(None)` if it waits or
/// runs already.
pub fn redrive(job: &Job, now: Timestamp) -> Result<Option<Job>, Illegal> {
    match job.state {
        JobState::Dead => {
            let mut next = job.clone();
            next.attempts = 0;
            next.yields = 0;
            next.dead_reason = None;
            wait_until(&mut next, JobState::Ready, now, now);
            Ok(Some(stamp(next, job, now)))
        }
        JobState::Ready | JobState::Leased | JobState::Parked => Ok(None),
        state @ (JobState::Done | JobState::Cancelled) => Err(Illegal {
            operation: "redriven",
            state,
        }),
    }
}

/// Says that what a job parks for has happened: a parked job becomes ready, and one that runs will
/// not park at the end of its attempt. `Ok(None)` if there is nothing to change.
pub fn wake(job: &Job, now: Timestamp) -> Result<Option<Job>, Illegal> {
    let mut next = job.clone();
    match job.state {
        JobState::Parked => wait_until(&mut next, JobState::Ready, now, now),
        JobState::Leased if !job.wake_requested => next.wake_requested = true,
        JobState::Leased | JobState::Ready => return Ok(None),
        state => {
            return Err(Illegal {
                operation: "woken",
                state,
            });
        }
    }
    Ok(Some(stamp(next, job, now)))
}
