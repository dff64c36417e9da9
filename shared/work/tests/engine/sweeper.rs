//! What a sweep does, case by case.

use std::sync::Arc;
use std::time::Duration;

use kernel::{Clock as _, JobId};
use work::{
    DUE_SHARDS, DeadReason, JobState, MAX_RING_DELAY, SweepReport, Sweeper, SweeperConfig, protocol,
};

use crate::world::stage::Stage;

const MINUTE: Duration = Duration::from_secs(60);
const LEASE: Duration = Duration::from_secs(30);

fn sweeper(stage: &Stage, config: SweeperConfig) -> Sweeper {
    Sweeper::new(
        Arc::new(stage.clone()),
        Arc::new(stage.clone()),
        Arc::new(stage.clock),
        config,
    )
}

async fn sweep(stage: &Stage) -> SweepReport {
    let report = sweeper(stage, SweeperConfig::default())
        .sweep(stage.clock.now())
        .await;
    stage.assert_sound();
    report
}

/// Makes an attempt hold the job from now on.
fn claim(stage: &Stage, id: JobId) {
    stage.rows.read(|rows| {
        let job = rows.jobs.get_mut(&id).unwrap();
        *job = protocol::claim(job, stage.clock.now(), LEASE, 1).unwrap();
        let claimed = job.clone();
        rows.reindex(claimed);
    });
}

#[tokio::test(start_paused = true)]
async fn a_job_whose_ring_was_lost_is_rung_again() {
    let stage = Stage::new();
    let job = stage.add(1, "test", Duration::ZERO);
    tokio::time::sleep(MINUTE).await;
    let report = sweep(&stage).await;
    assert_eq!((report.examined, report.rung), (1, 1));
    let rings = stage.rings();
    assert_eq!(rings[0].doorbell, job.doorbell());
    assert_eq!(rings[0].delay, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_job_parked_for_long_is_rung_to_the_moment() {
    let stage = Stage::new();
    let far = MAX_RING_DELAY * 8 + Duration::from_secs(17);
    let job = stage.add(1, "test", far);
    while stage.rings().is_empty() {
        sweep(&stage).await;
        tokio::time::sleep(MINUTE).await;
    }
    let ring = stage.rings()[0];
    assert_eq!(ring.at.plus(ring.delay), job.due_at);
    assert!(ring.delay <= MINUTE, "{:?}", ring.delay);
}

#[tokio::test(start_paused = true)]
async fn a_backlog_is_not_rung_every_minute() {
    let stage = Stage::new();
    stage.add(1, "test", Duration::ZERO);
    for _ in 0..120 {
        tokio::time::sleep(MINUTE).await;
        sweep(&stage).await;
    }
    let rings = stage.rings().len();
    assert!((8..=14).contains(&rings), "{rings} rings in two hours");
}

#[tokio::test(start_paused = true)]
async fn a_live_lease_is_left_alone_and_a_dead_one_reclaimed() {
    let stage = Stage::new();
    let job = stage.add(1, "test", Duration::ZERO);
    claim(&stage, job.id);
    let report = sweep(&stage).await;
    assert_eq!((report.examined, report.reclaimed, report.rung), (1, 0, 0));

    tokio::time::sleep(LEASE).await;
    let report = sweep(&stage).await;
    assert_eq!((report.reclaimed, report.rung), (1, 1));
    let freed = stage.rows.job(job.id);
    assert_eq!((freed.state, freed.attempts), (JobState::Ready, 1));
}

#[tokio::test(start_paused = true)]
async fn the_last_lost_attempt_ends_the_job() {
    let stage = Stage::new();
    let job = stage.add(1, "test", Duration::ZERO);
    for _ in 0..3 {
        claim(&stage, job.id);
        tokio::time::sleep(LEASE).await;
    }
    let report = sweep(&stage).await;
    assert_eq!((report.ended, report.rung), (1, 0));
    let ended = stage.rows.job(job.id);
    assert_eq!(ended.dead_reason, Some(DeadReason::Exhausted));
    assert_eq!(sweep(&stage).await.examined, 0, "it left the index");
}

#[tokio::test(start_paused = true)]
async fn a_ring_that_failed_is_tried_in_the_next_sweep() {
    let stage = Stage::new();
    let job = stage.add(1, "test", Duration::ZERO);
    tokio::time::sleep(MINUTE).await;
    stage.break_bell(true);
    let report = sweep(&stage).await;
    assert_eq!((report.rung, report.failed), (0, 1));
    assert_eq!(stage.rows.job(job.id), job, "not noted as rung");
    stage.break_bell(false);
    assert_eq!(sweep(&stage).await.rung, 1);
}

#[tokio::test(start_paused = true)]
async fn every_page_of_a_shard_is_swept() {
    let stage = Stage::new();
    for number in 0..95 {
        // All in one shard.
        stage.add(number * u128::from(DUE_SHARDS), "test", Duration::ZERO);
    }
    tokio::time::sleep(MINUTE).await;
    let config = SweeperConfig {
        page: 10,
        pages_per_shard: 12,
        ..SweeperConfig::default()
    };
    let report = sweeper(&stage, config).sweep(stage.clock.now()).await;
    assert_eq!((report.rung, report.unfinished_shards), (95, 0));
}

#[tokio::test(start_paused = true)]
async fn a_sweep_keeps_to_its_bounds_and_says_so() {
    let stage = Stage::new();
    for number in 0..95 {
        stage.add(number * u128::from(DUE_SHARDS), "test", Duration::ZERO);
    }
    tokio::time::sleep(MINUTE).await;
    let bounded = SweeperConfig {
        page: 10,
        pages_per_shard: 3,
        ..SweeperConfig::default()
    };
    let report = sweeper(&stage, bounded).sweep(stage.clock.now()).await;
    assert_eq!((report.rung, report.unfinished_shards), (30, 1));

    stage.slow_bell(Duration::from_secs(2));
    let started = stage.clock.now();
    let config = SweeperConfig::default();
    let report = sweeper(&stage, config.clone()).sweep(started).await;
    let took = stage.clock.now().since(started);
    assert!(took <= config.budget + config.call_timeout, "{took:?}");
    assert_eq!((report.rung, report.unfinished_shards), (20, 1));
}

#[tokio::test(start_paused = true)]
async fn sweeping_twice_at_once_does_no_harm() {
    let stage = Stage::new();
    for number in 0..20 {
        let job = stage.add(number, "test", Duration::ZERO);
        if number % 2 == 0 {
            claim(&stage, job.id);
        }
    }
    tokio::time::sleep(MINUTE).await;
    let (one, other) = tokio::join!(sweep(&stage), sweep(&stage));
    assert_eq!(one.reclaimed + other.reclaimed, 10, "each lease once");
    assert!(one.raced + other.raced > 0, "{one:?} {other:?}");
    assert_eq!(one.failed + other.failed, 0);
}
