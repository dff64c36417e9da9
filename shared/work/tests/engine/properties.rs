//! Random sequences of transitions, in any order, at any time, with any fence.

use std::time::Duration;

use kernel::{JobId, OrgId, Timestamp};
use proptest::prelude::*;
use serde_json::{Value, json};
use work::protocol::{self, Jitter};
use work::{Fence, Job, JobError, JobState, Lane, NewJob, Outcome, Progress};

use crate::audit;
use crate::world::clock::START;

const LEASE: Duration = Duration::from_secs(30);

#[derive(Debug, Clone)]
enum Step {
    Claim,
    Heartbeat { stale: u64 },
    Settle { stale: u64, outcome: Outcome },
    Reclaim,
    Rung,
    Cancel,
    Redrive,
    Wake,
}

fn outcome() -> impl Strategy<Value = Outcome> {
    let error = || JobError::new("code", "message");
    prop_oneof![
        Just(Outcome::done()),
        Just(Outcome::done_with(json!({"pages": 3}))),
        prop::option::of(0u64..100_000).prop_map(move |after| Outcome::Retry {
            error: error(),
            after: after.map(Duration::from_secs),
        }),
        (0i64..100_000).prop_map(|seconds| Outcome::Park {
            until: Timestamp::from_millis(START.as_millis() + seconds * 1_000),
        }),
        Just(Outcome::Yield),
        Just(Outcome::Fail { error: error() }),
        Just(Outcome::Reject { error: error() }),
        Just(Outcome::Cancelled),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    // Mostly the present fence, so that most sequences go somewhere.
    let stale = || prop_oneof![3 => Just(0u64), 1 => 1u64..3];
    prop_oneof![
        4 => Just(Step::Claim),
        1 => stale().prop_map(|stale| Step::Heartbeat { stale }),
        3 => (stale(), outcome()).prop_map(|(stale, outcome)| Step::Settle { stale, outcome }),
        1 => Just(Step::Reclaim),
        1 => Just(Step::Rung),
        1 => Just(Step::Cancel),
        1 => Just(Step::Redrive),
        1 => Just(Step::Wake),
    ]
}

fn apply(job: &Job, step: &Step, now: Timestamp, part: f64) -> Option<Job> {
    let fence = |stale: u64| Fence {
        number: job.fence.wrapping_sub(stale),
        ..job.fence()
    };
    let progress = Progress {
        completed: 1,
        total: None,
        message: None,
    };
    match step {
        Step::Claim => protocol::claim(job, now, LEASE, 1).ok(),
        Step::Heartbeat { stale } => {
            protocol::heartbeat(job, fence(*stale), now, LEASE, Some(&progress)).ok()
        }
        Step::Settle { stale, outcome } => {
            protocol::settle(job, fence(*stale), outcome, None, now, Jitter::of(part)).ok()
        }
        Step::Reclaim => protocol::reclaim(job, now),
        Step::Rung => protocol::rung(job, now),
        Step::Cancel => protocol::request_cancel(job, now).ok().flatten(),
        Step::Redrive => protocol::redrive(job, now).ok().flatten(),
        Step::Wake => protocol::wake(job, now).ok().flatten(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn every_sequence_of_transitions_is_legal(
        max_attempts in 1u32..4,
        steps in prop::collection::vec((step(), 0u64..70, 0.0f64..=1.0), 1..40),
    ) {
        let mut now = START;
        let mut job = NewJob::new(OrgId::from_u128(1), "test", Lane::Files, Value::Null)
            .id(JobId::from_u128(2))
            .max_attempts(max_attempts)
            .build(now);
        audit::row(&job).map_err(TestCaseError::fail)?;
        for (step, seconds, part) in steps {
            now = now.plus(Duration::from_secs(seconds));
            let Some(next) = apply(&job, &step, now, part) else {
                continue;
            };
            prop_assert!(
                job.state.may_become(next.state),
                "{:?}: {} -> {}", step, job.state, next.state
            );
            audit::change(&job, &next, now, Duration::ZERO)
                .map_err(|rule| TestCaseError::fail(format!("{step:?}: {rule}")))?;
            if let Step::Heartbeat { stale } | Step::Settle { stale, .. } = step {
                prop_assert_eq!(stale, 0, "a stale fence was accepted");
            }
            if job.state == JobState::Leased && next.state != JobState::Leased {
                let mut late = job.fence();
                late.number = job.fence;
                prop_assert!(!late.is_held_by(&next), "a released fence is still held");
            }
            job = next;
        }
    }

    #[test]
    fn every_row_survives_storage(
        steps in prop::collection::vec((step(), 0u64..70, 0.0f64..=1.0), 0..12),
    ) {
        let mut now = START;
        let mut job = NewJob::new(OrgId::from_u128(1), "test", Lane::Files, json!({"a": [1, null]}))
            .build(now);
        for (step, seconds, part) in steps {
            now = now.plus(Duration::from_secs(seconds));
            job = apply(&job, &step, now, part).unwrap_or(job);
        }
        let stored = serde_json::to_value(&job).unwrap();
        prop_assert_eq!(serde_json::from_value::<Job>(stored).unwrap(), job);
    }
}
