//! Jobs and effects in memory, behind a network that loses, delays and repeats.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use kernel::{Clock as _, JobId, OrgId, Timestamp};
use tokio::sync::oneshot;
use work::{Fence, Job, JobState, JobStore, StoreError, due_shard};

use super::clock::SimClock;
use super::{Dice, Faults, lock};
use crate::audit;

/// A rule of the engine that is broken on purpose, to see that the tests notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sabotage {
    /// None.
    Nothing,
    /// Effects are accepted whatever fence they carry.
    EffectsWithoutFence,
    /// Claimants see every lease as over.
    ClaimsWithoutLease,
    /// Rows are replaced whatever their version.
    WritesWithoutVersion,
    /// A wake that meets a running attempt is not noted.
    ForgetsWakes,
    /// Nobody sweeps.
    NobodySweeps,
}

/// What happened to the jobs of a world, for its report.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tally {
    pub claims: u64,
    pub takeovers: u64,
    pub reclaims: u64,
    pub heartbeats: u64,
    pub effects: u64,
    pub stale_effects_refused: u64,
    pub stale_writes_refused: u64,
    pub requests_lost: u64,
    pub replies_lost: u64,
    pub requests_late: u64,
    pub redrives: u64,
    pub done: u64,
    pub dead: u64,
    pub cancelled: u64,
}

/// What is kept of one job beside its row.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    /// The fence under which each step was done.
    pub effects: Vec<u64>,
    /// Whether what the job waits for has happened.
    pub approved: bool,
    /// Attempts that were granted.
    pub granted: u64,
    /// Times the count of failures began anew: yields, parks, redrives.
    pub renewed: u64,
}

#[derive(Default)]
pub struct Rows {
    pub jobs: BTreeMap<JobId, Job>,
    pub ledgers: BTreeMap<JobId, Ledger>,
    /// The due index, which may lag behind `jobs`.
    index: BTreeMap<JobId, Job>,
    pub violations: Vec<String>,
    pub tally: Tally,
    /// Every change, if somebody wants to read it.
    pub log: Option<Vec<String>>,
}

struct Shared {
    rows: Mutex<Rows>,
    dice: Dice,
    clock: SimClock,
    skew: Duration,
    faults: Faults,
    sabotage: Sabotage,
    healed: AtomicBool,
}

#[derive(Clone)]
pub struct SimStore(Arc<Shared>);

impl SimStore {
    /// `skew` is how far the clocks of workers may be apart.
    pub fn new(
        dice: Dice,
        clock: SimClock,
        skew: Duration,
        faults: Faults,
        sabotage: Sabotage,
    ) -> Self {
        Self(Arc::new(Shared {
            rows: Mutex::default(),
            dice,
            clock,
            skew,
            faults,
            sabotage,
            healed: AtomicBool::new(false),
        }))
    }

    /// A store without faults.
    pub fn reliable(clock: SimClock) -> Self {
        let none = Faults::default();
        Self::new(Dice::new(0), clock, Duration::ZERO, none, Sabotage::Nothing)
    }

    /// From now on nothing goes wrong any more.
    pub fn heal(&self) {
        self.0.healed.store(true, Ordering::Relaxed);
    }

    pub fn is_healed(&self) -> bool {
        self.0.healed.load(Ordering::Relaxed)
    }

    pub fn read<T>(&self, read: impl FnOnce(&mut Rows) -> T) -> T {
        read(&mut lock(&self.0.rows))
    }

    pub fn job(&self, id: JobId) -> Job {
        self.read(|rows| rows.jobs[&id].clone())
    }

    pub fn insert(&self, job: Job) {
        self.read(|rows| {
            if let Err(rule) = audit::row(&job) {
                rows.violations.push(format!("inserted {}: {rule}", job.id));
            }
            rows.ledgers.insert(job.id, Ledger::default());
            rows.index.insert(job.id, job.clone());
            rows.jobs.insert(job.id, job);
        });
    }

    /// Does the next step of a job: an effect that is not idempotent, on the condition of the
    /// fence. `false` if the fence is stale.
    pub async fn append(&self, fence: Fence) -> Result<bool, StoreError> {
        self.call(move |shared| shared.append(fence)).await
    }

    /// How many steps of a job are done.
    pub async fn steps(&self, job: JobId) -> Result<usize, StoreError> {
        self.call(move |shared| lock(&shared.rows).ledgers[&job].effects.len())
            .await
    }

    pub async fn approved(&self, job: JobId) -> Result<bool, StoreError> {
        self.call(move |shared| lock(&shared.rows).ledgers[&job].approved)
            .await
    }

    pub fn approve(&self, job: JobId) {
        self.read(|rows| {
            if let Some(ledger) = rows.ledgers.get_mut(&job) {
                ledger.approved = true;
            }
        });
    }

    /// Carries a request over the network. Once sent, it is on its own: it arrives even if the
    /// sender is dropped.
    async fn call<T: Send + 'static>(
        &self,
        apply: impl FnOnce(&Shared) -> T + Send + 'static,
    ) -> Result<T, StoreError> {
        let faults = if self.is_healed() {
            Faults::default()
        } else {
            self.0.faults
        };
        let dice = &self.0.dice;
        let request_lost = dice.chance(faults.request_lost);
        let reply_lost = dice.chance(faults.reply_lost);
        let late = dice.chance(faults.request_late);
        self.read(|rows| {
            rows.tally.requests_lost += u64::from(request_lost);
            rows.tally.replies_lost += u64::from(reply_lost);
            rows.tally.requests_late += u64::from(late);
        });
        let calm = faults.request_lost == 0.0 && faults.reply_lost == 0.0;
        if !(request_lost || reply_lost || late) && (calm || dice.chance(0.5)) {
            tokio::task::yield_now().await;
            let answer = apply(&self.0);
            tokio::task::yield_now().await;
            return Ok(answer);
        }
        let there = if late {
            dice.millis(4_500, 90_000)
        } else {
            dice.millis(0, 40)
        };
        let back = dice.millis(0, 40);
        let shared = Arc::clone(&self.0);
        let (answer, answered) = oneshot::channel();
        tokio::spawn(async move {
            tokio::time::sleep(there).await;
            if request_lost {
                return;
            }
            let value = apply(&shared);
            tokio::time::sleep(back).await;
            if !reply_lost {
                // The caller may have given up.
                let _ = answer.send(value);
            }
        });
        answered
            .await
            .map_err(|_| StoreError::unavailable("simulated loss"))
    }
}

impl Shared {
    fn append(&self, fence: Fence) -> bool {
        let mut rows = lock(&self.rows);
        let held = fence.is_held_by(&rows.jobs[&fence.job]);
        if !held && self.sabotage != Sabotage::EffectsWithoutFence {
            rows.tally.stale_effects_refused += 1;
            return false;
        }
        if !held {
            let text = format!("{}: effect of stale fence {}", fence.job, fence.number);
            rows.violations.push(text);
        }
        rows.tally.effects += 1;
        rows.note(self.clock.now(), || {
            format!("{} step under fence {}", fence.job, fence.number)
        });
        if let Some(ledger) = rows.ledgers.get_mut(&fence.job) {
            ledger.effects.push(fence.number);
        }
        true
    }

    fn replace(self: &Arc<Self>, mut new: Job, expected_version: u64) -> bool {
        if self.sabotage == Sabotage::ForgetsWakes {
            new.wake_requested = false;
        }
        let now = self.clock.now();
        let mut rows = lock(&self.rows);
        let old = rows.jobs[&new.id].clone();
        if old.version != expected_version && self.sabotage != Sabotage::WritesWithoutVersion {
            rows.tally.stale_writes_refused += 1;
            return false;
        }
        if let Err(rule) = audit::change(&old, &new, now, self.skew) {
            let text = format!("{}: {} -> {}: {rule}", new.id, old.state, new.state);
            rows.violations.push(text);
        }
        rows.count(&old, &new);
        rows.note(now, || {
            format!(
                "{} v{} {} -> {} fence {} attempts {}",
                new.id, new.version, old.state, new.state, new.fence, new.attempts
            )
        });
        rows.jobs.insert(new.id, new.clone());
        let lags = !self.healed.load(Ordering::Relaxed) && self.dice.chance(self.faults.index_lags);
        if lags {
            let lag = self.dice.millis(10, 70_000);
            let shared = Arc::clone(self);
            tokio::spawn(async move {
                tokio::time::sleep(lag).await;
                lock(&shared.rows).reindex(new);
            });
        } else {
            rows.reindex(new);
        }
        true
    }
}

impl Rows {
    /// Brings a row into the due index, unless a later one is there.
    pub fn reindex(&mut self, job: Job) {
        if self.index[&job.id].version < job.version {
            self.index.insert(job.id, job);
        }
    }

    fn note(&mut self, now: Timestamp, line: impl FnOnce() -> String) {
        if let Some(log) = &mut self.log {
            log.push(format!("{now} {}", line()));
        }
    }

    fn count(&mut self, old: &Job, new: &Job) {
        let was_leased = old.state == JobState::Leased;
        let claimed = new.state == JobState::Leased && (!was_leased || new.fence != old.fence);
        let redriven = old.state == JobState::Dead && new.state == JobState::Ready;
        let settled = was_leased && new.state != JobState::Leased && new.fence == old.fence;
        let tally = &mut self.tally;
        tally.claims += u64::from(claimed);
        tally.takeovers += u64::from(claimed && was_leased);
        tally.reclaims += u64::from(was_leased && !claimed && new.fence != old.fence);
        tally.heartbeats += u64::from(was_leased && new.state == JobState::Leased && !claimed);
        tally.redrives += u64::from(redriven);
        tally.done += u64::from(new.state == JobState::Done);
        tally.dead += u64::from(new.state == JobState::Dead);
        tally.cancelled += u64::from(new.state == JobState::Cancelled);
        if let Some(ledger) = self.ledgers.get_mut(&new.id) {
            ledger.granted += u64::from(claimed);
            ledger.renewed += u64::from(redriven || (settled && new.attempts == 0));
        }
    }
}

#[async_trait]
impl JobStore for SimStore {
    async fn load(&self, _org: OrgId, id: JobId) -> Result<Option<Job>, StoreError> {
        self.call(move |shared| {
            let mut job = lock(&shared.rows).jobs.get(&id).cloned();
            if shared.sabotage == Sabotage::ClaimsWithoutLease
                && let Some(job) = &mut job
                && job.lease_until.is_some()
            {
                job.lease_until = Some(job.created_at);
            }
            job
        })
        .await
    }

    async fn replace(&self, new: &Job, expected_version: u64) -> Result<bool, StoreError> {
        let shared = Arc::clone(&self.0);
        let new = new.clone();
        self.call(move |_| shared.replace(new, expected_version))
            .await
    }

    async fn due(
        &self,
        shard: u32,
        until: Timestamp,
        limit: usize,
    ) -> Result<Vec<Job>, StoreError> {
        if self.0.dice.chance(if self.is_healed() {
            0.0
        } else {
            self.0.faults.request_lost
        }) {
            return Err(StoreError::unavailable("simulated loss"));
        }
        tokio::task::yield_now().await;
        Ok(self.read(|rows| {
            let mut due: Vec<Job> = rows
                .index
                .values()
                .filter(|job| due_shard(job.id) == shard)
                .filter(|job| job.ring_at.is_some_and(|ring_at| ring_at <= until))
                .cloned()
                .collect();
            due.sort_by_key(|job| (job.ring_at, job.id));
            due.truncate(limit);
            due
        }))
    }
}
