//! How soon a job whose worker was killed is taken up, and that nothing of the dead is written.

use std::collections::BTreeSet;
use std::time::Duration;

use kernel::JobId;

use super::Verdict;
use crate::evidence::Evidence;
use crate::history::{Facts, Hold, HoldEnd};
use crate::party::Party;

/// From a kill to the next attempt at a job.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Recovery {
    pub(crate) took: Duration,
    /// How many workers died with a doorbell of it in hand before the next attempt.
    lost_rings: u32,
    hold: Hold,
}

/// From kills to the next attempts.
#[derive(Debug, Clone, Default)]
pub(crate) struct Recoveries {
    /// Of jobs whose doorbell reached a worker that lived to answer it.
    pub(crate) plain: Vec<Recovery>,
    /// Of jobs whose next doorbell was with a worker that was killed in turn: the sweeper rings
    /// again.
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
                    lost_rings: lost_rings(facts, hold),
                    hold: *hold,
                };
                match recovery.lost_rings {
                    0 => recoveries.plain.push(recovery),
                    _ => recoveries.twice.push(recovery),
                }
            }
            HoldEnd::Open => recoveries.never.push(hold.job),
            HoldEnd::Released | HoldEnd::Ended => {}
        }
    }
    recoveries
}

/// To how many workers a doorbell of the job was handed that were killed before the next attempt,
/// or that were dead already and whose connection did not show it yet.
fn lost_rings(facts: &Facts, hold: &Hold) -> u32 {
    let HoldEnd::Claimed(claimed_at) = hold.end else {
        return 0;
    };
    let deliveries = facts.deliveries.get(&hold.job);
    let workers: BTreeSet<Party> = deliveries
        .into_iter()
        .flatten()
        .filter(|(_, at)| (hold.killed_at..claimed_at).contains(at))
        .map(|(worker, _)| *worker)
        .filter(|worker| {
            let killed = facts.killed.get(worker);
            killed.is_some_and(|killed| *killed < claimed_at)
        })
        .collect();
    u32::try_from(workers.len()).unwrap_or(u32::MAX)
}

/// A job that a killed worker held has its next attempt within the lease and a grace, and as much
/// again for each worker that was killed with its doorbell in hand.
pub(super) fn lost_jobs_are_taken_up_in_time(evidence: &Evidence) -> Verdict {
    let mut verdict =
        Verdict::in_the_end("a job is taken up within its lease plus 5 s for each killed worker");
    let recoveries = recoveries(&evidence.facts);
    let limit = evidence.plan.lease + evidence.plan.grace;
    let late = |recovery: &Recovery| {
        let (hold, took) = (recovery.hold, recovery.took);
        let story = evidence
            .facts
            .story(hold.job, hold.killed_at, hold.killed_at + took);
        format!("one took {took:.1?}: {story}")
    };
    for recovery in recoveries.plain.iter().chain(&recoveries.twice) {
        let limit = limit * (1 + recovery.lost_rings);
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
