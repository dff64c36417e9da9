//! Exponential backoff with full jitter.

use std::time::Duration;

/// The longest wait after the first failure. It doubles with each further one.
pub const BACKOFF_BASE: Duration = Duration::from_secs(2);

/// The longest wait after any failure; also the longest a ring can be delayed.
pub const BACKOFF_MAX: Duration = Duration::from_secs(15 * 60);

/// Which part of a wait to wait, from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Jitter(f64);

impl Jitter {
    /// The whole wait.
    pub const FULL: Self = Self(1.0);
    /// No wait.
    pub const NONE: Self = Self(0.0);

    /// A part of the wait; what is not between 0 and 1 is brought there.
    #[must_use]
    pub fn of(part: f64) -> Self {
        if part.is_nan() {
            Self::FULL
        } else {
            Self(part.clamp(0.0, 1.0))
        }
    }
}

/// How long to wait after `failures` failed attempts in a row: a random part of a limit that
/// doubles with each. Full jitter spreads those who failed together over the whole interval.
#[must_use]
pub fn backoff(failures: u32, jitter: Jitter) -> Duration {
    let doublings = failures.saturating_sub(1).min(30);
    BACKOFF_BASE
        .saturating_mul(1 << doublings)
        .min(BACKOFF_MAX)
        .mul_f64(jitter.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_limit_doubles_up_to_the_longest() {
        let limits: Vec<u64> = (1..=11)
            .map(|failures| backoff(failures, Jitter::FULL).as_secs())
            .collect();
        assert_eq!(limits, [2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900]);
    }

    #[test]
    fn no_part_is_no_wait() {
        assert_eq!(backoff(7, Jitter::NONE), Duration::ZERO);
        assert_eq!(Jitter::of(f64::NAN), Jitter::FULL);
        assert_eq!(Jitter::of(-3.0), Jitter::NONE);
    }

    proptest! {
        #[test]
        fn every_wait_is_within_its_bounds(failures: u32, part in 0.0f64..=1.0) {
            let wait = backoff(failures, Jitter::of(part));
            prop_assert!(wait <= backoff(failures, Jitter::FULL));
            prop_assert!(wait <= BACKOFF_MAX);
        }

        #[test]
        fn more_failures_never_wait_less(failures in 0u32..1_000, part in 0.0f64..=1.0) {
            prop_assert!(
                backoff(failures, Jitter::of(part)) <= backoff(failures + 1, Jitter::of(part))
            );
        }
    }
}
