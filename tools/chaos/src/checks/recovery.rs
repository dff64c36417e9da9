//! How soon a job whose worker was killed is taken up, and that nothing of the dead is written.

use std::time::Duration;

use kernel::JobId;
use work::protocol::RING_GRACE;

use super::Verdict;
use crate::evidence::Evidence;
use crate::history::{Facts, Hold, HoldEnd};

/// From a kill to the next attempt at a job.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Recovery {
    pub(crate) took: Duration,
    hold: Hold,
}

/// From kills to the next attempts.
#[derive(Debug, Clone, Default)]
pub(crate) struct Recoveries {
    /// Of jobs whose doorbell reached a worker that lived to answer it.
    pub(crate) plain: Vec<Recovery>,
    /// Of jobs whose next doorbell was with a worker that was killed in turn: they wait until the
    /// sweeper rings again.
    pub(crate) twice: Vec<Recovery>,
    /// Jobs that nobody has taken up.
    pub(crate) never: Vec<JobId>,
}

/// What became of every job that a worker held when it was killed.
pub(crate) fn recoveries(facts: &Facts) -> Recoveries {
    let mut recoveries = Recoveries::default();
    for hold in &facts.holds {
        match hold.end {
            HoldEnd::Claimed(at) => {
                let recovery = Recovery {
                    took: at.saturating_duration_since(hold.killed_at),
                    hold: *hold,
                };
                if doorbell_was_lost(facts, hold) {
                    recoveries.twice.push(recovery);
                } else {
                    recoveries.plain.push(recovery);
                }
            }
            HoldEnd::Open => recoveries.never.push(hold.job),
            HoldEnd::Released | HoldEnd::Ended => {}
        }
    }
    recoveries
}

/// Whether a doorbell of the job was handed to a worker that was killed before the next attempt,
/// or that was dead already and whose connection did not show it yet.
fn doorbell_was_lost(facts: &Facts, hold: &Hold) -> bool {
    let HoldEnd::Claimed(claimed_at) = hold.end else {
        return false;
    };
    let deliveries = facts.deliveries.get(&hold.job);
    deliveries.into_iter().flatten().any(|(worker, at)| {
        let killed = facts.killed.get(worker);
        (hold.killed_at..claimed_at).contains(at)
            && killed.is_some_and(|killed| *killed < claimed_at)
    })
}

/// A job that a killed worker held has its next attempt within the lease and a grace.
pub(super) fn lost_jobs_are_taken_up_in_time(evidence: &Evidence) -> Verdict {
    let mut verdict =
        Verdict::in_the_end("a job of a killed worker is taken up within its lease plus 5 s");
    let recoveries = recoveries(&evidence.facts);
    let limit = evidence.plan.lease + evidence.plan.grace;
    let late = |recovery: &Recovery| {
        let (hold, took) = (recovery.hold, recovery.took);
        let story = evidence
            .facts
            .story(hold.job, hold.killed_at, hold.killed_at + took);
        format!("one took {took:.1?}: {story}")
    };
    for recovery in &recoveries.plain {
        verdict.expect(recovery.took <= limit, || late(recovery));
    }
    // A doorbell that died with its worker is rung again by the sweeper; that one may die as well.
    let limit = limit + RING_GRACE * 4;
    for recovery in &recoveries.twice {
        verdict.expect(recovery.took <= limit, || late(recovery));
    }
    for job in recoveries.never {
        verdict.examine(Some(format!("{job} was never taken up")));
    }
    verdict
}

/// A write that arrives when its attempt is over is refused.
pub(super) fn replaced_attempts_write_nothing(evidence: &Evidence) -> Verdict {
    let late = evidence.facts.late;
    let mut verdict = Verdict::in_the_end("no write of an attempt that is over is carried out");
    verdict.examined = late.stale;
    if late.stale_applied > 0 {
        verdict
            .violations
            .push(format!("{} were carried out", late.stale_applied));
    }
    verdict
}
