//! A store and a bell without chance, which misbehave only as told.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use kernel::{Clock as _, JobId, OrgId, Timestamp};
use serde_json::{Value, json};
use work::{Bell, BellError, Doorbell, Job, JobStore, Lane, NewJob, StoreError};

use super::clock::SimClock;
use super::lock;
use super::store::SimStore;

pub const ORG: OrgId = OrgId::from_u128(1);

/// What happens to the next replacements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mishap {
    Nothing,
    RequestLost,
    ReplyLost,
    /// A retry inside the client finds its own first write, and says that it was refused.
    OwnWriteRefused,
    Unwritable,
    /// The store has a bug.
    Panic,
}

/// Keeps jobs, takes rings, and remembers both.
#[derive(Clone)]
pub struct Stage {
    pub clock: SimClock,
    pub rows: SimStore,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    mishaps: VecDeque<Mishap>,
    down: bool,
    bell_broken: bool,
    bell_takes: Duration,
    rings: Vec<Ring>,
}

/// A ring as it was taken.
#[derive(Debug, Clone, Copy)]
pub struct Ring {
    pub doorbell: Doorbell,
    pub delay: Duration,
    pub at: Timestamp,
}

impl Stage {
    pub fn new() -> Self {
        let clock = SimClock::start();
        Self {
            clock,
            rows: SimStore::reliable(clock),
            shared: Arc::default(),
        }
    }

    /// Puts a job of this kind on the stage, due after `delay`.
    pub fn add(&self, number: u128, kind: &str, delay: Duration) -> Job {
        let job = NewJob::new(ORG, kind, Lane::Files, json!({ "number": 1 }))
            .id(JobId::from_u128(number))
            .delay(delay)
            .max_attempts(3)
            .correlation_id("req_1")
            .build(self.clock.now());
        self.rows.insert(job.clone());
        job
    }

    pub fn add_with_payload(&self, number: u128, kind: &str, payload: Value) -> Job {
        let job = NewJob::new(ORG, kind, Lane::Files, payload)
            .id(JobId::from_u128(number))
            .build(self.clock.now());
        self.rows.insert(job.clone());
        job
    }

    pub fn mishaps(&self, mishaps: impl IntoIterator<Item = Mishap>) {
        lock(&self.shared).mishaps.extend(mishaps);
    }

    pub fn take_down(&self, down: bool) {
        lock(&self.shared).down = down;
    }

    pub fn break_bell(&self, broken: bool) {
        lock(&self.shared).bell_broken = broken;
    }

    pub fn slow_bell(&self, takes: Duration) {
        lock(&self.shared).bell_takes = takes;
    }

    pub fn rings(&self) -> Vec<Ring> {
        lock(&self.shared).rings.clone()
    }

    /// Nothing that the audit forbids was written.
    pub fn assert_sound(&self) {
        let violations = self.rows.read(|rows| rows.violations.clone());
        assert_eq!(violations, Vec::<String>::new());
    }
}

#[async_trait]
impl JobStore for Stage {
    async fn load(&self, org: OrgId, id: JobId) -> Result<Option<Job>, StoreError> {
        if lock(&self.shared).down {
            return Err(StoreError::unavailable("down"));
        }
        self.rows.load(org, id).await
    }

    async fn replace(&self, new: &Job, expected_version: u64) -> Result<bool, StoreError> {
        let mishap = {
            let mut shared = lock(&self.shared);
            if shared.down {
                return Err(StoreError::unavailable("down"));
            }
            shared.mishaps.pop_front().unwrap_or(Mishap::Nothing)
        };
        match mishap {
            Mishap::Nothing => self.rows.replace(new, expected_version).await,
            Mishap::RequestLost => std::future::pending().await,
            Mishap::ReplyLost => {
                self.rows.replace(new, expected_version).await?;
                std::future::pending().await
            }
            Mishap::OwnWriteRefused => {
                self.rows.replace(new, expected_version).await?;
                Ok(false)
            }
            Mishap::Panic => panic!("a bug in the store"),
            Mishap::Unwritable => Err(StoreError::unreadable("too large")),
        }
    }

    async fn due(
        &self,
        shard: u32,
        until: Timestamp,
        limit: usize,
    ) -> Result<Vec<Job>, StoreError> {
        self.rows.due(shard, until, limit).await
    }
}

#[async_trait]
impl Bell for Stage {
    async fn ring(&self, doorbell: &Doorbell, delay: Duration) -> Result<(), BellError> {
        let takes = lock(&self.shared).bell_takes;
        tokio::time::sleep(takes).await;
        let mut shared = lock(&self.shared);
        if shared.bell_broken {
            return Err(BellError::new("broken"));
        }
        let at = self.clock.now();
        shared.rings.push(Ring {
            doorbell: *doorbell,
            delay,
            at,
        });
        Ok(())
    }
}
