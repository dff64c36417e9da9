use kernel::{JobId, OrgId};
use serde_json::{Value, json};

use super::*;
use crate::{Lane, NewJob};

const NOW: Timestamp = Timestamp::from_millis(1_767_225_600_000);
const LEASE: Duration = Duration::from_secs(30);
const TOKEN: u64 = 7;

fn later(seconds: u64) -> Timestamp {
    NOW.plus(Duration::from_secs(seconds))
}

fn ready() -> Job {
    NewJob::new(OrgId::from_u128(1), "test", Lane::Files, Value::Null)
        .id(JobId::from_u128(2))
        .max_attempts(3)
        .build(NOW)
}

fn leased() -> Job {
    claim(&ready(), NOW, LEASE, TOKEN).unwrap()
}

fn settled(job: &Job, outcome: &Outcome) -> Job {
    settle(job, job.fence(), outcome, None, later(5), Jitter::FULL).unwrap()
}

fn retry() -> Outcome {
    Outcome::retry("flaky", "it failed")
}

#[test]
fn a_claim_raises_the_fence_and_leases_the_job() {
    let job = leased();
    assert_eq!(job.state, JobState::Leased);
    assert_eq!((job.fence, job.version), (1, 2));
    assert_eq!(job.lease_token, Some(TOKEN));
    assert_eq!(job.lease_until, Some(later(30)));
    assert_eq!(
        job.ring_at,
        Some(later(30)),
        "looked at when the lease ends"
    );
}

#[test]
fn a_live_lease_is_not_claimed() {
    let held = ClaimRefused::Held { until: later(30) };
    let job = leased();
    assert_eq!(claim(&job, NOW, LEASE, 8), Err(held));
    let last_moment = Timestamp::from_millis(later(30).as_millis() - 1);
    assert_eq!(claim(&job, last_moment, LEASE, 8), Err(held));
}

#[test]
fn a_lease_that_is_over_is_taken_and_counts_as_a_failure() {
    let taken = claim(&leased(), later(30), LEASE, 8).unwrap();
    assert_eq!((taken.state, taken.fence), (JobState::Leased, 2));
    assert_eq!(taken.attempts, 1);
    assert_eq!(taken.error.unwrap().code, "worker_lost");
    assert_eq!(taken.lease_token, Some(8));
}

#[test]
fn a_job_that_lost_its_worker_is_rung_again_soon_and_not_for_ever() {
    let mut job = reclaim(&leased(), later(30)).unwrap();
    assert_eq!(job.ring_at, Some(later(30).plus(LOST_GRACE)));
    for _ in 0..LOST_RINGS {
        let now = job.ring_at.unwrap();
        assert_eq!(wants_ring(&job, now, Duration::ZERO), Some(Duration::ZERO));
        job = rung(&job, now).unwrap();
        assert_eq!(job.ring_at, Some(now.plus(LOST_GRACE)));
    }
    for pause in [RERING_BASE, RERING_BASE * 2] {
        let now = job.ring_at.unwrap();
        job = rung(&job, now).unwrap();
        assert_eq!(job.ring_at, Some(now.plus(pause)));
    }
    // One whose last attempt ended otherwise is left alone for longer.
    let failed = settled(&leased(), &retry());
    let again = rung(&failed, failed.ring_at.unwrap()).unwrap();
    let now = failed.ring_at.unwrap();
    assert_eq!(again.ring_at, Some(now.plus(RERING_BASE)));
}

#[test]
fn a_job_that_kills_its_workers_ends() {
    let mut job = ready();
    let mut now = NOW;
    for _ in 0..3 {
        job = claim(&job, now, LEASE, TOKEN).unwrap();
        now = now.plus(LEASE);
    }
    assert_eq!(
        claim(&job, now, LEASE, TOKEN),
        Err(ClaimRefused::MustEnd),
        "three attempts were lost"
    );
    let ended = reclaim(&job, now).unwrap();
    assert_eq!(ended.state, JobState::Dead);
    assert_eq!(ended.dead_reason, Some(DeadReason::Exhausted));
    assert_eq!(ended.ring_at, None);
}

#[test]
fn an_early_ring_is_refused() {
    let job = NewJob::new(OrgId::from_u128(1), "test", Lane::Files, Value::Null)
        .delay(Duration::from_secs(60))
        .build(NOW);
    let due_at = later(60);
    assert_eq!(
        claim(&job, later(59), LEASE, TOKEN),
        Err(ClaimRefused::NotDue { due_at })
    );
    assert!(claim(&job, due_at, LEASE, TOKEN).is_ok());
}

#[test]
fn a_heartbeat_moves_the_lease_and_only_under_its_fence() {
    let job = leased();
    let kept = heartbeat(&job, job.fence(), later(10), LEASE, None).unwrap();
    assert_eq!(kept.lease_until, Some(later(40)));
    assert_eq!(kept.ring_at, Some(later(40)));

    let taken = claim(&job, later(30), LEASE, 8).unwrap();
    assert_eq!(
        heartbeat(&taken, job.fence(), later(31), LEASE, None),
        Err(StaleFence::Replaced)
    );
}

#[test]
fn a_clock_that_is_behind_does_not_shorten_the_lease() {
    let job = leased();
    let early = Timestamp::from_millis(NOW.as_millis() - 5_000);
    let kept = heartbeat(&job, job.fence(), early, LEASE, None).unwrap();
    assert_eq!(kept.lease_until, job.lease_until);
}

#[test]
fn done_keeps_the_result_and_forgets_the_failures() {
    let job = settled(&leased(), &retry());
    let job = claim(&job, later(60), LEASE, TOKEN).unwrap();
    let done = settle(
        &job,
        job.fence(),
        &Outcome::done_with(json!({"pages": 3})),
        None,
        later(61),
        Jitter::FULL,
    )
    .unwrap();
    assert_eq!(done.state, JobState::Done);
    assert_eq!(done.result, Some(json!({"pages": 3})));
    assert_eq!((done.attempts, done.error, done.ring_at), (0, None, None));
}

#[test]
fn a_result_that_does_not_fit_is_a_failure_with_a_reason() {
    let outcome = Outcome::done_with(Value::String("x".repeat(MAX_RESULT_BYTES)));
    let job = settled(&leased(), &outcome);
    assert_eq!(job.state, JobState::Dead);
    assert_eq!(job.result, None);
    assert_eq!(job.error.unwrap().code, "result_too_large");
}

#[test]
fn a_retry_waits_longer_each_time_and_dies_at_the_limit() {
    let first = settled(&leased(), &retry());
    assert_eq!((first.state, first.attempts), (JobState::Ready, 1));
    assert_eq!(first.due_at, later(5 + 2));

    let second = settled(&claim(&first, later(10), LEASE, TOKEN).unwrap(), &retry());
    assert_eq!((second.state, second.attempts), (JobState::Ready, 2));
    assert_eq!(second.due_at, later(5 + 4));

    let third = settled(&claim(&second, later(20), LEASE, TOKEN).unwrap(), &retry());
    assert_eq!((third.state, third.attempts), (JobState::Dead, 3));
    assert_eq!(third.dead_reason, Some(DeadReason::Exhausted));
    assert_eq!(third.error.unwrap().code, "flaky");
}

#[test]
fn a_wait_that_was_asked_for_is_kept_to_within_reason() {
    let after = |seconds| Outcome::Retry {
        error: JobError::new("busy", "asked to wait"),
        after: Some(Duration::from_secs(seconds)),
    };
    assert_eq!(settled(&leased(), &after(90)).due_at, later(5 + 90));
    assert_eq!(
        settled(&leased(), &after(u64::MAX / 1_000)).due_at,
        later(5).plus(RETRY_AFTER_MAX)
    );
}

#[test]
fn parking_counts_no_attempt_and_never_spins() {
    let job = settled(
        &leased(),
        &Outcome::Park {
            until: later(3_600),
        },
    );
    assert_eq!((job.state, job.attempts), (JobState::Parked, 0));
    assert_eq!(
        job.ring_at,
        Some(later(3_600)),
        "too far for a delayed ring"
    );

    let job = settled(&leased(), &Outcome::Park { until: NOW });
    assert_eq!(job.due_at, later(5).plus(PARK_MIN));
    assert_eq!(job.ring_at, Some(job.due_at.plus(RING_GRACE)));
}

#[test]
fn a_yield_is_due_at_once_and_starts_the_count_of_failures_anew() {
    let failed = settled(&leased(), &retry());
    let job = settled(
        &claim(&failed, later(20), LEASE, TOKEN).unwrap(),
        &Outcome::Yield,
    );
    assert_eq!((job.state, job.due_at), (JobState::Ready, later(5)));
    assert_eq!((job.attempts, job.yields), (0, 1));
}

#[test]
fn endless_yielding_ends() {
    let mut job = leased();
    job.yields = MAX_YIELDS - 1;
    let job = settled(&job, &Outcome::Yield);
    assert_eq!(job.state, JobState::Dead);
    assert_eq!(job.dead_reason, Some(DeadReason::YieldLimit));
}

#[test]
fn permanent_failures_are_dead_at_once_and_say_which_kind() {
    let failed = settled(&leased(), &Outcome::fail("no_such_file", "it is gone"));
    assert_eq!(failed.dead_reason, Some(DeadReason::Failed));
    let rejected = settled(&leased(), &Outcome::reject("unknown_kind", "what?"));
    assert_eq!(rejected.dead_reason, Some(DeadReason::Rejected));
    assert_eq!(
        (failed.state, rejected.state),
        (JobState::Dead, JobState::Dead)
    );
}

#[test]
fn settling_twice_is_told_from_being_replaced() {
    let job = leased();
    let done = settled(&job, &Outcome::done());
    let again = settle(
        &done,
        job.fence(),
        &Outcome::done(),
        None,
        later(6),
        Jitter::FULL,
    );
    assert_eq!(again, Err(StaleFence::Settled));

    let reclaimed = reclaim(&job, later(30)).unwrap();
    let late = settle(
        &reclaimed,
        job.fence(),
        &Outcome::done(),
        None,
        later(31),
        Jitter::FULL,
    );
    assert_eq!(late, Err(StaleFence::Replaced));
}

#[test]
fn a_waiting_job_is_cancelled_at_once() {
    let cancelled = request_cancel(&ready(), later(1)).unwrap().unwrap();
    assert_eq!(cancelled.state, JobState::Cancelled);
    assert_eq!(request_cancel(&cancelled, later(2)), Ok(None));
    assert!(claim(&cancelled, later(2), LEASE, TOKEN).is_err());
    assert!(redrive(&cancelled, later(2)).is_err());
}

#[test]
fn a_running_job_is_asked_to_stop_and_only_success_comes_first() {
    let asked = request_cancel(&leased(), later(1)).unwrap().unwrap();
    assert!(asked.cancel_requested);
    assert_eq!(asked.state, JobState::Leased);
    assert_eq!(request_cancel(&asked, later(2)), Ok(None));

    for outcome in [
        Outcome::Cancelled,
        Outcome::Yield,
        Outcome::Park { until: later(60) },
        retry(),
        Outcome::fail("broken", "it broke"),
        Outcome::reject("odd", "it is odd"),
    ] {
        let ended = settled(&asked, &outcome);
        assert_eq!(ended.state, JobState::Cancelled, "{outcome:?}");
        assert!(!ended.cancel_requested);
    }
    assert_eq!(settled(&asked, &Outcome::done()).state, JobState::Done);
}

#[test]
fn a_job_whose_worker_is_gone_is_cancelled_without_it() {
    let cancelled = request_cancel(&leased(), later(30)).unwrap().unwrap();
    assert_eq!(cancelled.state, JobState::Cancelled);

    let asked = request_cancel(&leased(), later(1)).unwrap().unwrap();
    assert_eq!(
        claim(&asked, later(30), LEASE, 8),
        Err(ClaimRefused::MustEnd)
    );
    let ended = reclaim(&asked, later(30)).unwrap();
    assert_eq!(ended.state, JobState::Cancelled);
}

#[test]
fn reclaiming_refuses_what_the_lost_attempt_still_sends() {
    let job = leased();
    assert_eq!(reclaim(&job, later(29)), None);
    let reclaimed = reclaim(&job, later(30)).unwrap();
    assert_eq!((reclaimed.state, reclaimed.attempts), (JobState::Ready, 1));
    assert!(reclaimed.fence > job.fence);
    assert!(!job.fence().is_held_by(&reclaimed));
    assert!(
        !job.fence()
            .is_held_by(&claim(&reclaimed, later(30), LEASE, 8).unwrap())
    );
}

#[test]
fn an_orphan_is_taken_back_before_its_lease_is_over() {
    let job = leased();
    assert_eq!(reclaim(&job, later(1)), None);
    let orphan = orphan(&job, later(1)).unwrap();
    assert_eq!((orphan.state, orphan.attempts), (JobState::Ready, 1));
    assert_eq!(orphan.due_at, later(1));
    assert!(!job.fence().is_held_by(&orphan));
    assert_eq!(super::orphan(&orphan, later(1)), None);
}

#[test]
fn a_redriven_job_has_all_its_attempts_again() {
    let dead = settled(&leased(), &Outcome::fail("broken", "it broke"));
    let job = redrive(&dead, later(60)).unwrap().unwrap();
    assert_eq!((job.state, job.attempts), (JobState::Ready, 0));
    assert_eq!((job.due_at, job.dead_reason), (later(60), None));
    assert_eq!(redrive(&job, later(61)), Ok(None));
    assert!(redrive(&settled(&leased(), &Outcome::done()), later(60)).is_err());
    assert!(
        claim(&job, later(60), LEASE, TOKEN).unwrap().fence > dead.fence,
        "no fence is ever given twice"
    );
}

#[test]
fn a_wake_is_not_lost_on_the_way_to_parking() {
    let park = Outcome::Park {
        until: later(3_600),
    };
    let parked = settled(&leased(), &park);
    let woken = wake(&parked, later(10)).unwrap().unwrap();
    assert_eq!((woken.state, woken.due_at), (JobState::Ready, later(10)));

    let running = wake(&leased(), later(1)).unwrap().unwrap();
    let job = settled(&running, &park);
    assert_eq!((job.state, job.due_at), (JobState::Ready, later(5)));

    // The next attempt sees what happened by itself: the note is used up.
    let next = claim(&job, later(5), LEASE, TOKEN).unwrap();
    assert_eq!(settled(&next, &park).state, JobState::Parked);
}

#[test]
fn a_ring_on_its_way_is_not_followed_by_another() {
    let horizon = Duration::from_secs(60);
    let job = ready();
    assert_eq!(wants_ring(&job, later(29), horizon), None);
    assert_eq!(wants_ring(&job, later(30), horizon), Some(Duration::ZERO));

    let parked = settled(
        &leased(),
        &Outcome::Park {
            until: later(3_600),
        },
    );
    assert_eq!(wants_ring(&parked, later(3_539), horizon), None);
    let in_time = Some(Duration::from_secs(45));
    assert_eq!(wants_ring(&parked, later(3_555), horizon), in_time);
    let rung = rung(&parked, later(3_555)).unwrap();
    assert_eq!(wants_ring(&rung, later(3_615), horizon), None);
    assert_eq!(wants_ring(&leased(), later(3_600), horizon), None);
}

#[test]
fn a_backlog_is_rung_less_and_less_often() {
    let mut job = ready();
    let mut now = later(30);
    let mut pauses = Vec::new();
    for _ in 0..7 {
        job = rung(&job, now).unwrap();
        let next = job.ring_at.unwrap();
        pauses.push(next.since(now).as_secs());
        now = next;
    }
    assert_eq!(pauses, [60, 120, 240, 480, 900, 900, 900]);
    assert_eq!(claim(&job, now, LEASE, TOKEN).unwrap().rings, 0);
    assert_eq!(rung(&leased(), now), None);
}
