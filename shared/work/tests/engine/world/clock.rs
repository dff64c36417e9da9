//! Clocks that follow the simulated time, each a little off.

use kernel::{Clock, Timestamp};
use tokio::time::Instant;

/// When every simulation begins.
pub const START: Timestamp = Timestamp::from_millis(1_767_225_600_000);

/// Reads the (paused) time of the runtime.
#[derive(Debug, Clone, Copy)]
pub struct SimClock {
    zero: Instant,
    off_by_millis: i64,
}

impl SimClock {
    /// A right clock. Must be made inside the runtime whose time it reads.
    pub fn start() -> Self {
        Self {
            zero: Instant::now(),
            off_by_millis: 0,
        }
    }

    /// The same clock, wrong by so many milliseconds.
    pub fn off_by(self, millis: i64) -> Self {
        Self {
            off_by_millis: millis,
            ..self
        }
    }
}

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        let right = START.plus(self.zero.elapsed());
        Timestamp::from_millis(right.as_millis() + self.off_by_millis)
    }
}
