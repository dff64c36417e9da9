//! Randomness that follows from one seed: each use has a sequence of its own, so that one more draw
//! here moves nothing there.

use std::sync::{Mutex, PoisonError};

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use sha2::{Digest as _, Sha256};

/// The sequence of one use, and of one number within it.
pub(crate) fn sequence(seed: u64, purpose: &str, number: u64) -> StdRng {
    let mut hash = Sha256::new();
    hash.update(seed.to_be_bytes());
    hash.update(number.to_be_bytes());
    hash.update(purpose);
    StdRng::from_seed(hash.finalize().into())
}

/// A sequence that several tasks draw from.
#[derive(Debug)]
pub(crate) struct Dice(Mutex<StdRng>);

impl Dice {
    pub(crate) fn new(seed: u64, purpose: &str) -> Self {
        Self(Mutex::new(sequence(seed, purpose, 0)))
    }

    /// Draws.
    pub(crate) fn roll<T>(&self, draw: impl FnOnce(&mut StdRng) -> T) -> T {
        draw(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use rand::Rng as _;

    use super::*;

    #[test]
    fn a_sequence_repeats_and_differs_from_every_other() {
        let first = |seed, purpose, number| sequence(seed, purpose, number).random::<u64>();
        assert_eq!(first(1, "kills", 2), first(1, "kills", 2));
        let others = [
            first(2, "kills", 2),
            first(1, "kill", 2),
            first(1, "kills", 3),
        ];
        assert!(!others.contains(&first(1, "kills", 2)));
    }
}
