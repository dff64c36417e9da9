//! What the runner does with one ring, case by case.

mod acts;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use kernel::{Clock as _, JobId, Timestamp};
use serde_json::json;
use work::protocol::{self, BACKOFF_BASE};
use work::{
    Control, ControlError, DeadReason, Delivery, Doorbell, Job, JobState, Lane, Runner,
    RunnerConfig,
};

use self::acts::{Acts, Recorder};
use crate::world::stage::{Mishap, ORG, Stage};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

struct Theatre {
    stage: Stage,
    acts: Arc<Acts>,
    recorder: Arc<Recorder>,
    runner: Arc<Runner>,
}

impl Theatre {
    fn new() -> Self {
        let stage = Stage::new();
        let acts = Arc::new(Acts::new(stage.clone()));
        let recorder = Arc::new(Recorder::default());
        let runner = Runner::new(
            Arc::new(stage.clone()),
            Arc::new(stage.clone()),
            Arc::new(stage.clock),
            RunnerConfig::default(),
        );
        let runner = runner
            .handler(acts.clone())
            .observer(recorder.clone())
            .seed(7);
        Self {
            stage,
            acts,
            recorder,
            runner: Arc::new(runner),
        }
    }

    fn in_time(&self, time: Duration) -> Timestamp {
        self.stage.clock.now().plus(time)
    }

    async fn run(&self, job: &Job) -> Delivery {
        self.runner.run(job.doorbell(), self.in_time(MINUTE)).await
    }

    /// A job of this kind, run once with a minute to go.
    async fn play(&self, kind: &str) -> Job {
        let job = self.stage.add(1, kind, Duration::ZERO);
        assert_eq!(self.run(&job).await, Delivery::Acknowledge);
        self.stage.assert_sound();
        self.stage.rows.job(job.id)
    }

    /// Starts an attempt in the background.
    fn start(&self, job: &Job, time: Duration) -> tokio::task::JoinHandle<Delivery> {
        let runner = Arc::clone(&self.runner);
        let doorbell = job.doorbell();
        let deadline = self.in_time(time);
        tokio::spawn(async move { runner.run(doorbell, deadline).await })
    }

    fn control(&self) -> Control {
        self.runner.control()
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_is_done_and_keeps_its_result() {
    let theatre = Theatre::new();
    let job = theatre.play("succeed").await;
    assert_eq!(job.state, JobState::Done);
    assert_eq!(job.result, Some(json!({"pages": 3})));
    assert_eq!(theatre.recorder.names(), ["claimed", "settled done"]);
    assert!(theatre.stage.rings().is_empty(), "there is no successor");
}

#[tokio::test(start_paused = true)]
async fn a_handler_may_settle_its_job_with_the_last_of_its_work() {
    for kind in ["settle-itself", "settle-late"] {
        let theatre = Theatre::new();
        let job = theatre.play(kind).await;
        assert_eq!((job.state, job.attempts), (JobState::Done, 0), "{kind}");
        assert_eq!(theatre.recorder.names(), ["claimed", "settled done"]);
        assert!(theatre.stage.rings().is_empty(), "there is no successor");
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_a_failed_attempt_and_its_text_stays_in_the_log() {
    for kind in ["panic", "panic-at-once"] {
        let theatre = Theatre::new();
        let job = theatre.play(kind).await;
        assert_eq!((job.state, job.attempts), (JobState::Ready, 1), "{kind}");
        let error = job.error.unwrap();
        assert_eq!(error.code, "panicked");
        assert!(!error.message.contains("secret"), "{}", error.message);
    }
}

#[tokio::test(start_paused = true)]
async fn a_retry_rings_its_successor_within_the_backoff() {
    let theatre = Theatre::new();
    let job = theatre.play("retry").await;
    assert_eq!((job.state, job.attempts), (JobState::Ready, 1));
    let rings = theatre.stage.rings();
    assert_eq!(rings.len(), 1);
    assert!(rings[0].delay <= BACKOFF_BASE);
    assert_eq!(rings[0].at.plus(rings[0].delay), job.due_at);
    assert_eq!(rings[0].doorbell.lane, Lane::Files, "in its own lane");
}

#[tokio::test(start_paused = true)]
async fn unknown_kinds_and_unreadable_payloads_are_rejected_with_a_reason() {
    let theatre = Theatre::new();
    let job = theatre.play("no-such-kind").await;
    assert_eq!(job.dead_reason, Some(DeadReason::Rejected));
    assert_eq!(job.error.unwrap().code, "unknown_kind");

    let theatre = Theatre::new();
    let job = theatre
        .stage
        .add_with_payload(1, "decode", json!({"number": "one"}));
    theatre.run(&job).await;
    let job = theatre.stage.rows.job(job.id);
    assert_eq!(job.dead_reason, Some(DeadReason::Rejected));
    assert_eq!(job.error.unwrap().code, "payload_unreadable");
}

#[tokio::test(start_paused = true)]
async fn a_long_attempt_keeps_its_lease_and_a_second_ring_does_nothing() {
    let theatre = Theatre::new();
    let job = theatre.stage.add(1, "five-minutes", Duration::ZERO);
    let attempt = theatre.start(&job, 10 * MINUTE);
    for _ in 0..4 {
        tokio::time::sleep(MINUTE).await;
        assert_eq!(theatre.run(&job).await, Delivery::Acknowledge);
    }
    assert_eq!(attempt.await.unwrap(), Delivery::Acknowledge);
    let job = theatre.stage.rows.job(job.id);
    assert_eq!((job.state, job.fence), (JobState::Done, 1));
    assert_eq!(theatre.acts.runs.load(Ordering::Relaxed), 1);
    theatre.stage.assert_sound();
}

#[tokio::test(start_paused = true)]
async fn a_handler_yields_when_asked_and_its_successor_is_rung_at_once() {
    let theatre = Theatre::new();
    let job = theatre.play("until-told-to-yield").await;
    assert_eq!((job.state, job.yields), (JobState::Ready, 1));
    assert_eq!(job.attempts, 0);
    let rings = theatre.stage.rings();
    assert_eq!(rings.len(), 1);
    assert_eq!(rings[0].delay, Duration::ZERO);
    let config = RunnerConfig::default();
    let left = Duration::from_secs(60).saturating_sub(config.stop_margin + config.yield_margin);
    let ran = job.updated_at.since(job.created_at);
    assert!(ran >= left && ran <= left + SECOND, "ran for {ran:?}");
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_does_not_yield_is_stopped_before_the_deadline() {
    let theatre = Theatre::new();
    let deadline = theatre.in_time(MINUTE);
    let job = theatre.play("never-ends").await;
    assert_eq!((job.state, job.attempts), (JobState::Ready, 1));
    assert_eq!(job.error.unwrap().code, "deadline_exceeded");
    assert!(theatre.stage.clock.now() < deadline);
    assert_eq!(theatre.acts.dropped.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn too_little_time_is_not_begun_with() {
    let theatre = Theatre::new();
    let job = theatre.stage.add(1, "succeed", Duration::ZERO);
    let deadline = theatre.in_time(Duration::from_secs(20));
    let delivery = theatre.runner.run(job.doorbell(), deadline).await;
    assert_eq!(delivery, Delivery::Acknowledge);
    assert_eq!(theatre.stage.rows.job(job.id), job, "nothing was written");
    let rings = theatre.stage.rings();
    assert_eq!(rings.len(), 1, "another worker shall have it");
    assert_eq!(rings[0].doorbell.lane, Lane::Files);

    theatre.stage.break_bell(true);
    let delivery = theatre.runner.run(job.doorbell(), deadline).await;
    assert_eq!(delivery, Delivery::Redeliver);
}

#[tokio::test(start_paused = true)]
async fn a_cancellation_is_passed_on_within_a_heartbeat() {
    let theatre = Theatre::new();
    let job = theatre.stage.add(1, "until-cancelled", Duration::ZERO);
    let attempt = theatre.start(&job, 10 * MINUTE);
    tokio::time::sleep(MINUTE).await;
    let asked = theatre.control().cancel(ORG, job.id).await.unwrap();
    assert!(asked.cancel_requested);
    let asked_at = theatre.stage.clock.now();
    assert_eq!(attempt.await.unwrap(), Delivery::Acknowledge);
    let waited = theatre.stage.clock.now().since(asked_at);
    assert!(waited <= RunnerConfig::default().heartbeat, "{waited:?}");
    assert_eq!(theatre.stage.rows.job(job.id).state, JobState::Cancelled);
    assert_eq!(theatre.acts.dropped.load(Ordering::Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn a_cancellation_that_is_ignored_is_enforced() {
    let theatre = Theatre::new();
    let job = theatre.stage.add(1, "never-ends", Duration::ZERO);
    let attempt = theatre.start(&job, 10 * MINUTE);
    tokio::time::sleep(SECOND).await;
    theatre.runner.cancel(ORG, job.id).await.unwrap();
    let asked_at = theatre.stage.clock.now();
    attempt.await.unwrap();
    let config = RunnerConfig::default();
    let waited = theatre.stage.clock.now().since(asked_at);
    assert!(waited <= config.heartbeat + config.cancel_grace + SECOND);
    assert_eq!(theatre.stage.rows.job(job.id).state, JobState::Cancelled);
    assert_eq!(theatre.acts.dropped.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_lost_its_lease_is_dropped_and_leaves_no_trace() {
    let theatre = Theatre::new();
    let job = theatre.stage.add(1, "never-ends", Duration::ZERO);
    let attempt = theatre.start(&job, 10 * MINUTE);
    tokio::time::sleep(SECOND).await;
    // As if this worker had stood still for a lease and another had come.
    let taken = theatre.stage.rows.read(|rows| {
        let job = rows.jobs.get_mut(&job.id).unwrap();
        let over = job.lease_until.unwrap();
        *job = protocol::claim(job, over, MINUTE, 99).unwrap();
        job.clone()
    });
    assert_eq!(attempt.await.unwrap(), Delivery::Acknowledge);
    assert_eq!(theatre.stage.rows.job(job.id), taken);
    assert_eq!(theatre.acts.dropped.load(Ordering::Relaxed), 1);
    assert_eq!(theatre.recorder.names(), ["claimed", "lease lost"]);
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_cannot_renew_its_lease_stops_when_it_is_over() {
    let theatre = Theatre::new();
    let job = theatre.stage.add(1, "never-ends", Duration::ZERO);
    let attempt = theatre.start(&job, 10 * MINUTE);
    tokio::time::sleep(SECOND).await;
    theatre.stage.take_down(true);
    let down_at = theatre.stage.clock.now();
    attempt.await.unwrap();
    let config = RunnerConfig::default();
    let held_on = theatre.stage.clock.now().since(down_at);
    assert!(held_on <= config.lease + config.heartbeat, "{held_on:?}");
    assert_eq!(theatre.recorder.names(), ["claimed", "lease lost"]);
}

#[tokio::test(start_paused = true)]
async fn a_short_outage_does_not_cost_the_lease() {
    let theatre = Theatre::new();
    let job = theatre.stage.add(1, "five-minutes", Duration::ZERO);
    let attempt = theatre.start(&job, 10 * MINUTE);
    tokio::time::sleep(SECOND).await;
    theatre.stage.take_down(true);
    tokio::time::sleep(Duration::from_secs(15)).await;
    theatre.stage.take_down(false);
    attempt.await.unwrap();
    assert_eq!(theatre.stage.rows.job(job.id).state, JobState::Done);
}

#[tokio::test(start_paused = true)]
async fn progress_is_seen_while_the_attempt_runs_and_after_it() {
    let theatre = Theatre::new();
    let job = theatre.stage.add(1, "progress", Duration::ZERO);
    let attempt = theatre.start(&job, 10 * MINUTE);
    tokio::time::sleep(Duration::from_secs(3)).await;
    let seen = theatre.stage.rows.job(job.id).progress.unwrap();
    assert_eq!((seen.completed, seen.total), (1, Some(3)));
    assert_eq!(seen.message.as_deref(), Some("page 1"));
    attempt.await.unwrap();
    let seen = theatre.stage.rows.job(job.id).progress.unwrap();
    assert_eq!(seen.completed, 3);
}

#[tokio::test(start_paused = true)]
async fn answers_that_are_lost_change_nothing() {
    use Mishap::{Nothing, OwnWriteRefused, ReplyLost, RequestLost};
    for mishaps in [
        [RequestLost, Nothing, Nothing],
        [ReplyLost, Nothing, Nothing],
        [OwnWriteRefused, Nothing, Nothing],
        [Nothing, RequestLost, Nothing],
        [Nothing, ReplyLost, Nothing],
        [Nothing, OwnWriteRefused, Nothing],
        [ReplyLost, ReplyLost, Nothing],
        [RequestLost, RequestLost, RequestLost],
    ] {
        let theatre = Theatre::new();
        theatre.stage.mishaps(mishaps);
        let job = theatre.play("retry").await;
        assert_eq!((job.attempts, job.fence), (1, 1), "{mishaps:?}");
        assert_eq!(theatre.acts.runs.load(Ordering::Relaxed), 1, "{mishaps:?}");
        assert_eq!(theatre.stage.rings().len(), 1, "{mishaps:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_down_leaves_the_ring_in_the_queue() {
    let theatre = Theatre::new();
    let job = theatre.stage.add(1, "succeed", Duration::ZERO);
    theatre.stage.take_down(true);
    assert_eq!(theatre.run(&job).await, Delivery::Redeliver);

    // Down from the claim on: the outcome cannot be written either.
    theatre.stage.take_down(false);
    let attempt = theatre.start(&job, MINUTE);
    tokio::time::sleep(Duration::from_millis(1)).await;
    theatre.stage.take_down(true);
    assert_eq!(attempt.await.unwrap(), Delivery::Redeliver);
    let left = theatre.stage.rows.job(job.id);
    assert_eq!(left.state, JobState::Leased);
    assert_eq!(left.ring_at, left.lease_until, "the sweeper will see to it");
}

#[tokio::test(start_paused = true)]
async fn an_outcome_that_cannot_be_written_ends_the_job_with_a_reason() {
    let theatre = Theatre::new();
    theatre.stage.mishaps([Mishap::Nothing, Mishap::Unwritable]);
    let job = theatre.play("succeed").await;
    assert_eq!(job.state, JobState::Dead);
    assert_eq!(job.error.unwrap().code, "unwritable");
}

#[tokio::test(start_paused = true)]
async fn rings_that_are_early_or_late_or_for_nothing_are_answered() {
    let theatre = Theatre::new();
    let soon = theatre.stage.add(1, "succeed", 2 * SECOND);
    assert_eq!(theatre.run(&soon).await, Delivery::Acknowledge);
    let rings = theatre.stage.rings();
    assert_eq!(rings.len(), 1, "a little early: sent back");
    assert_eq!(rings[0].delay, 2 * SECOND);

    let distant = theatre.stage.add(2, "succeed", 10 * MINUTE);
    assert_eq!(theatre.run(&distant).await, Delivery::Acknowledge);
    assert_eq!(theatre.stage.rings().len(), 1, "its own ring will follow");

    let nothing = Doorbell {
        org: ORG,
        job: JobId::from_u128(77),
        lane: Lane::Files,
    };
    let delivery = theatre.runner.run(nothing, theatre.in_time(MINUTE)).await;
    assert_eq!(delivery, Delivery::Acknowledge);

    tokio::time::sleep(2 * SECOND).await;
    theatre.run(&soon).await;
    assert_eq!(theatre.run(&soon).await, Delivery::Acknowledge);
    assert_eq!(theatre.acts.runs.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn the_last_lost_attempt_is_buried_by_the_next_ring() {
    let theatre = Theatre::new();
    let job = theatre.stage.add(1, "never-ends", Duration::ZERO);
    for fence in 1..=3 {
        let attempt = theatre.start(&job, 10 * MINUTE);
        tokio::time::sleep(SECOND).await;
        assert_eq!(theatre.stage.rows.job(job.id).fence, fence);
        attempt.abort();
        tokio::time::sleep(MINUTE).await;
    }
    assert_eq!(theatre.run(&job).await, Delivery::Acknowledge);
    let job = theatre.stage.rows.job(job.id);
    assert_eq!(job.state, JobState::Dead);
    assert_eq!(job.dead_reason, Some(DeadReason::Exhausted));
    assert_eq!(theatre.acts.runs.load(Ordering::Relaxed), 3);
    theatre.stage.assert_sound();
}

#[tokio::test(start_paused = true)]
async fn the_rings_of_a_batch_do_not_harm_each_other() {
    let theatre = Theatre::new();
    let kinds = ["succeed", "panic", "no-such-kind", "retry", "succeed"];
    let jobs: Vec<Job> = (1..)
        .zip(kinds)
        .map(|(number, kind)| theatre.stage.add(number, kind, Duration::ZERO))
        .collect();
    let rings = jobs.iter().map(|job| (job.id, job.doorbell()));
    let answers = theatre
        .runner
        .run_batch(rings, theatre.in_time(MINUTE))
        .await;
    let expected: Vec<_> = jobs
        .iter()
        .map(|job| (job.id, Delivery::Acknowledge))
        .collect();
    assert_eq!(answers, expected);
    let states: Vec<_> = jobs
        .iter()
        .map(|job| theatre.stage.rows.job(job.id).state)
        .collect();
    use JobState::{Dead, Done, Ready};
    assert_eq!(states, [Done, Ready, Dead, Ready, Done]);
}

#[tokio::test(start_paused = true)]
async fn a_panic_outside_the_handler_leaves_the_ring_in_the_queue() {
    let theatre = Theatre::new();
    theatre.stage.mishaps([Mishap::Panic]);
    let jobs = [1, 2].map(|number| theatre.stage.add(number, "succeed", Duration::ZERO));
    let rings = jobs.iter().map(|job| ((), job.doorbell()));
    let answers = theatre
        .runner
        .run_batch(rings, theatre.in_time(MINUTE))
        .await;
    assert_eq!(
        answers,
        [((), Delivery::Redeliver), ((), Delivery::Acknowledge)]
    );
    let neighbour = theatre.stage.rows.job(jobs[1].id);
    assert_eq!(neighbour.state, JobState::Done);
}

#[tokio::test(start_paused = true)]
async fn a_batch_keeps_to_its_concurrency() {
    let theatre = Theatre::new();
    let jobs: Vec<Job> = (1..=10)
        .map(|number| theatre.stage.add(number, "ten-seconds", Duration::ZERO))
        .collect();
    let rings = jobs.iter().map(|job| ((), job.doorbell()));
    theatre
        .runner
        .run_batch(rings, theatre.in_time(5 * MINUTE))
        .await;
    assert_eq!(theatre.acts.runs.load(Ordering::Relaxed), 10);
    let most = theatre.acts.most_at_once.load(Ordering::Relaxed);
    assert_eq!(most, RunnerConfig::default().concurrency as u64);
}

#[tokio::test(start_paused = true)]
async fn dead_jobs_are_redriven_and_parked_ones_woken() {
    let theatre = Theatre::new();
    let parked = theatre.play("park-for-a-day").await;
    assert_eq!(parked.state, JobState::Parked);
    assert!(theatre.stage.rings().is_empty(), "too far for a ring");
    let woken = theatre.control().wake(ORG, parked.id).await.unwrap();
    assert_eq!(woken.state, JobState::Ready);
    assert_eq!(theatre.stage.rings().len(), 1);

    let dead = theatre.stage.add(2, "fail", Duration::ZERO);
    theatre.run(&dead).await;
    let redriven = theatre.runner.redrive(ORG, dead.id).await.unwrap();
    assert_eq!((redriven.state, redriven.attempts), (JobState::Ready, 0));
    assert_eq!(theatre.stage.rings().len(), 2);

    let missing = theatre.control().cancel(ORG, JobId::from_u128(77)).await;
    assert!(matches!(missing, Err(ControlError::NotFound)));
    let done = theatre.stage.add(3, "succeed", Duration::ZERO);
    theatre.run(&done).await;
    let refused = theatre.control().cancel(ORG, done.id).await;
    assert!(matches!(refused, Err(ControlError::Illegal(_))));
}

#[test]
#[should_panic(expected = "two handlers for jobs of kind succeed")]
fn two_handlers_for_one_kind_are_a_mistake() {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap()
        .block_on(async {
            let stage = Stage::new();
            let _ = Runner::new(
                Arc::new(stage.clone()),
                Arc::new(stage.clone()),
                Arc::new(stage.clock),
                RunnerConfig::default(),
            )
            .handler(Arc::new(Acts::new(stage.clone())))
            .handler(Arc::new(Acts::new(stage)));
        });
}
