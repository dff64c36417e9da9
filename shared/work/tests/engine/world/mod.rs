//! A store, a bell, clocks and workers that misbehave by the roll of one seeded die.

pub mod bell;
pub mod chaos;
pub mod clock;
pub mod stage;
pub mod store;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};

/// The source of all chance in one simulated world.
#[derive(Clone)]
pub struct Dice(Arc<Mutex<SmallRng>>);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(SmallRng::seed_from_u64(seed))))
    }

    pub fn chance(&self, probability: f64) -> bool {
        probability > 0.0 && lock(&self.0).random_bool(probability)
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&self, low: u64, high: u64) -> u64 {
        lock(&self.0).random_range(low..=high)
    }

    pub fn millis(&self, low: u64, high: u64) -> Duration {
        Duration::from_millis(self.between(low, high))
    }

    pub fn seed(&self) -> u64 {
        lock(&self.0).random()
    }
}

/// How likely each misfortune is, per call.
#[derive(Debug, Clone, Copy, Default)]
pub struct Faults {
    /// A call of the store never arrives.
    pub request_lost: f64,
    /// It is carried out and the answer never arrives.
    pub reply_lost: f64,
    /// It arrives long after the caller has given up.
    pub request_late: f64,
    /// A change reaches the due index up to a minute after the row.
    pub index_lags: f64,
    /// A ring is taken and never heard.
    pub ring_lost: f64,
    /// A ring is refused; half of those are heard all the same.
    pub ring_refused: f64,
    /// A ring is heard twice or thrice.
    pub ring_repeated: f64,
    /// A ring is heard up to two minutes late, after others.
    pub ring_late: f64,
    /// A worker dies at some point of its run.
    pub crash: f64,
    /// A worker is killed at some moment.
    pub kill: f64,
    /// A worker stands still for longer than a lease, then goes on.
    pub freeze: f64,
}

impl Faults {
    pub const ALL: Self = Self {
        request_lost: 0.02,
        reply_lost: 0.02,
        request_late: 0.01,
        index_lags: 0.1,
        ring_lost: 0.15,
        ring_refused: 0.05,
        ring_repeated: 0.15,
        ring_late: 0.2,
        crash: 0.15,
        kill: 0.1,
        freeze: 0.2,
    };
}

pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
