//! Rings again for what waits too long, and takes back what died.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use kernel::{Clock, JobId, OrgId, Timestamp};
use serde::Serialize;
use tracing::{error, info, warn};

use crate::{
    Bell, DUE_SHARDS, Job, JobState, JobStore, Observer, Silent, StoreError, WorkEvent, protocol,
};

/// The bounds of a sweep.
#[derive(Debug, Clone)]
pub struct SweeperConfig {
    /// How far ahead a sweep looks. The time between two sweeps, so that what becomes due before
    /// the next one is rung in time, by a delayed ring. At most
    /// [`MAX_RING_DELAY`](crate::MAX_RING_DELAY).
    pub horizon: Duration,
    /// Jobs read from the index at a time.
    pub page: usize,
    /// Pages read from one shard at most.
    pub pages_per_shard: usize,
    /// How long a sweep may take. What it does not reach comes first in the next.
    pub budget: Duration,
    /// How long one call of the store or the bell may take.
    pub call_timeout: Duration,
    /// Shards that are swept at the same time.
    pub concurrency: usize,
}

impl Default for SweeperConfig {
    fn default() -> Self {
        Self {
            horizon: Duration::from_secs(60),
            page: 50,
            pages_per_shard: 20,
            budget: Duration::from_secs(40),
            call_timeout: Duration::from_secs(4),
            concurrency: 4,
        }
    }
}

/// What a sweep did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct SweepReport {
    /// Jobs looked at.
    pub examined: u64,
    /// Rings sent.
    pub rung: u64,
    /// Leases of dead attempts taken back; the job waits again.
    pub reclaimed: u64,
    /// Leases taken back from a last attempt; the job is dead or cancelled.
    pub ended: u64,
    /// Jobs that somebody else changed meanwhile.
    pub raced: u64,
    /// Calls of the store or the bell that failed.
    pub failed: u64,
    /// Shards that were not swept to their end. Not zero again and again: sweep more often.
    pub unfinished_shards: u64,
}

impl SweepReport {
    fn add(&mut self, other: &Self) {
        self.examined += other.examined;
        self.rung += other.rung;
        self.reclaimed += other.reclaimed;
        self.ended += other.ended;
        self.raced += other.raced;
        self.failed += other.failed;
        self.unfinished_shards += other.unfinished_shards;
    }
}

/// Makes sure that no job waits for a ring that was lost. Any number may sweep at the same time.
pub struct Sweeper {
    store: Arc<dyn JobStore>,
    bell: Arc<dyn Bell>,
    clock: Arc<dyn Clock>,
    config: SweeperConfig,
    observer: Arc<dyn Observer>,
}

impl Sweeper {
    /// A sweeper over the jobs of `store`.
    #[must_use]
    pub fn new(
        store: Arc<dyn JobStore>,
        bell: Arc<dyn Bell>,
        clock: Arc<dyn Clock>,
        config: SweeperConfig,
    ) -> Self {
        Self {
            store,
            bell,
            clock,
            config,
            observer: Arc::new(Silent),
        }
    }

    /// Sends what happens to `observer`.
    #[must_use]
    pub fn observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = observer;
        self
    }

    /// Sweeps all shards once. `now` decides what is due and when the budget began.
    pub async fn sweep(&self, now: Timestamp) -> SweepReport {
        // A sweep that runs out of time must not starve the same shards every time.
        let first = (now.as_seconds() / 60).rem_euclid(i64::from(DUE_SHARDS)) as u32;
        let shards = (0..DUE_SHARDS).map(|offset| (first + offset) % DUE_SHARDS);
        let report = futures::stream::iter(shards)
            .map(|shard| self.sweep_shard(shard, now))
            .buffer_unordered(self.config.concurrency.max(1))
            .fold(SweepReport::default(), |mut sum, part| async move {
                sum.add(&part);
                sum
            })
            .await;
        info!(
            examined = report.examined,
            rung = report.rung,
            reclaimed = report.reclaimed,
            ended = report.ended,
            raced = report.raced,
            failed = report.failed,
            unfinished_shards = report.unfinished_shards,
            "sweep done"
        );
        self.observer.observe(&WorkEvent::Swept { report: &report });
        report
    }

    async fn sweep_shard(&self, shard: u32, started: Timestamp) -> SweepReport {
        let mut report = SweepReport::default();
        let until = started.plus(self.config.horizon);
        let mut seen: BTreeSet<(OrgId, JobId)> = BTreeSet::new();
        let mut limit = self.config.page;
        for _ in 0..self.config.pages_per_shard {
            if self.is_over(started) {
                break;
            }
            let page = match self.in_time(self.store.due(shard, until, limit)).await {
                Ok(page) => page,
                Err(error) => {
                    error!(shard, %error, "due index not read");
                    report.failed += 1;
                    break;
                }
            };
            // A job that was dealt with leaves the front of the index, unless the index lags or
            // there was nothing to do for it. Those are read past by reading more.
            let fresh: Vec<&Job> = page
                .iter()
                .filter(|job| seen.insert((job.org, job.id)))
                .collect();
            if fresh.is_empty() {
                return report;
            }
            limit = self.config.page + page.len() - fresh.len();
            for job in fresh {
                if self.is_over(started) {
                    report.unfinished_shards = 1;
                    return report;
                }
                report.examined += 1;
                self.look_at(job, &mut report).await;
            }
        }
        report.unfinished_shards = 1;
        report
    }

    async fn look_at(&self, job: &Job, report: &mut SweepReport) {
        let now = self.clock.now();
        match job.state {
            JobState::Leased => {
                let Some(freed) = protocol::reclaim(job, now) else {
                    return;
                };
                let written = self.write(&freed, job.version, report).await;
                if written {
                    warn!(org = %job.org, job = %job.id, state = %freed.state, "lease reclaimed");
                    self.observer.observe(&WorkEvent::Reclaimed { job: &freed });
                }
                if freed.state.is_terminal() {
                    report.ended += u64::from(written);
                    return;
                }
                report.reclaimed += u64::from(written);
                // Also where the write was refused: it may have been this very one, whose answer
                // was lost. A ring too many is refused by the claim.
                self.ring(&freed, Duration::ZERO, report).await;
            }
            JobState::Ready | JobState::Parked => {
                let Some(delay) = protocol::wants_ring(job, now, self.config.horizon) else {
                    return;
                };
                // Ring first: if the note is lost, the job is rung once too often, never too
                // rarely.
                if self.ring(job, delay, report).await
                    && let Some(noted) = protocol::rung(job, now)
                {
                    self.write(&noted, job.version, report).await;
                }
            }
            // The index lags.
            JobState::Done | JobState::Dead | JobState::Cancelled => {}
        }
    }

    async fn ring(&self, job: &Job, delay: Duration, report: &mut SweepReport) -> bool {
        let doorbell = job.doorbell();
        let ring = self.bell.ring(&doorbell, delay);
        let rung = match tokio::time::timeout(self.config.call_timeout, ring).await {
            Ok(Ok(())) => true,
            Ok(Err(error)) => {
                warn!(org = %job.org, job = %job.id, %error, "ring failed");
                false
            }
            Err(_) => {
                warn!(org = %job.org, job = %job.id, "ring not answered");
                false
            }
        };
        if rung {
            report.rung += 1;
        } else {
            report.failed += 1;
        }
        rung
    }

    async fn write(&self, next: &Job, expected_version: u64, report: &mut SweepReport) -> bool {
        match self
            .in_time(self.store.replace(next, expected_version))
            .await
        {
            Ok(true) => return true,
            Ok(false) => report.raced += 1,
            Err(error) => {
                warn!(org = %next.org, job = %next.id, %error, "job not written");
                report.failed += 1;
            }
        }
        false
    }

    async fn in_time<T>(
        &self,
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let limit = self.config.call_timeout;
        tokio::time::timeout(limit, call)
            .await
            .unwrap_or_else(|_| Err(StoreError::unavailable(format!("no reply in {limit:?}"))))
    }

    fn is_over(&self, started: Timestamp) -> bool {
        self.clock.now().since(started) >= self.config.budget
    }
}
