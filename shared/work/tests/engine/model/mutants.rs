//! Protocols that are broken on purpose: the model must find each of them out.

use work::protocol;
use work::{Fence, Job, JobState};

use super::explore::explore;
use super::rules::{Rules, Scope};

const SMALL: Scope = Scope {
    steps: 2,
    cancels: true,
    redrives: true,
    ..super::SMALL
};

const WITH_APPROVAL: Scope = Scope {
    approvals: true,
    ..super::SMALL
};

fn assert_found(scope: &Scope, broken: &Rules, promise: &str) {
    let explored = explore(scope, broken);
    let counterexample = explored
        .counterexample
        .unwrap_or_else(|| panic!("nothing found in {} states", explored.states));
    assert!(
        counterexample.starts_with(promise),
        "found something else than `{promise}`: {counterexample}"
    );
}

#[test]
fn a_claim_that_ignores_the_lease() {
    let broken = Rules {
        claim: |job, now, lease, token| {
            let unleased = Job {
                lease_until: job.lease_until.map(|_| now),
                ..job.clone()
            };
            protocol::claim(&unleased, now, lease, token)
        },
        ..Rules::HONEST
    };
    assert_found(&SMALL, &broken, "no live lease is taken");
}

#[test]
fn a_claim_that_keeps_the_fence() {
    let broken = Rules {
        claim: |job, now, lease, token| {
            let mut claimed = protocol::claim(job, now, lease, token)?;
            claimed.fence = job.fence;
            Ok(claimed)
        },
        audited: false,
        ..Rules::HONEST
    };
    assert_found(&SMALL, &broken, "step 0 was done twice");
}

#[test]
fn effects_without_a_fence() {
    let broken = Rules {
        accepts: |_, job| !job.state.is_terminal(),
        ..Rules::HONEST
    };
    assert_found(&SMALL, &broken, "step 0 was done twice");
}

#[test]
fn a_fence_without_the_state() {
    let broken = Rules {
        accepts: |fence: Fence, job| fence.number == job.fence,
        ..Rules::HONEST
    };
    assert_found(&SMALL, &broken, "an effect after the end");
}

#[test]
fn replacements_without_a_version() {
    let broken = Rules {
        compares: false,
        audited: false,
        ..Rules::HONEST
    };
    let explored = explore(&SMALL, &broken);
    assert!(explored.counterexample.is_some(), "nothing found");
}

#[test]
fn settling_without_a_fence() {
    let broken = Rules {
        settle: |job, _, outcome, now| (Rules::HONEST.settle)(job, job.fence(), outcome, now),
        ..Rules::HONEST
    };
    assert_found(&SMALL, &broken, "a stale attempt settled the job");
}

#[test]
fn a_reclaim_before_the_lease_is_over() {
    let broken = Rules {
        reclaim: |job, now| {
            let until = job.lease_until.unwrap_or(now);
            protocol::reclaim(job, now.max(until))
        },
        ..Rules::HONEST
    };
    assert_found(&SMALL, &broken, "no live lease is reclaimed");
}

#[test]
fn a_retry_that_leaves_the_due_index() {
    let broken = Rules {
        settle: |job, fence, outcome, now| {
            let mut settled = (Rules::HONEST.settle)(job, fence, outcome, now)?;
            if settled.state == JobState::Ready {
                settled.ring_at = None;
            }
            Ok(settled)
        },
        audited: false,
        ..Rules::HONEST
    };
    assert_found(&SMALL, &broken, "from here no job can end");
}

#[test]
fn a_wake_that_is_lost_on_a_running_attempt() {
    let broken = Rules {
        wake: |job, now| {
            if job.state == JobState::Leased {
                return Ok(None);
            }
            protocol::wake(job, now)
        },
        ..Rules::HONEST
    };
    assert_found(&WITH_APPROVAL, &broken, "from here no job can end");
}

#[test]
fn nobody_sweeps() {
    let broken = Rules {
        sweeps: false,
        ..Rules::HONEST
    };
    assert_found(&SMALL, &broken, "from here no job can end");
}
