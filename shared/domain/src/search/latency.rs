//! How long something took, counted in buckets: a few numbers for any number of searches, which can
//! be added up over days and instances, and from which percentiles follow with a known error.
//!
//! Up to 15 ms each millisecond has a bucket of its own; beyond, each doubling has eight. What is
//! told is the middle of a bucket, which differs from what was measured by at most a sixteenth.

use std::collections::BTreeMap;

/// Everything that takes longer is counted as this.
pub const MAX_MILLIS: u64 = 65_535;

/// Milliseconds below this have buckets of their own.
const EXACT: u64 = 16;
/// The exponent of [`EXACT`].
const EXACT_BITS: u32 = 4;
/// Each doubling has as many buckets as this many bits tell apart.
const PART_BITS: u32 = 3;
const PARTS: u64 = 1 << PART_BITS;

/// Which bucket counts it that something took so long.
#[must_use]
pub fn bucket_of(millis: u64) -> u16 {
    let millis = millis.min(MAX_MILLIS);
    if millis < EXACT {
        return u16::try_from(millis).unwrap_or(0);
    }
    let doubling = millis.ilog2();
    let part = (millis >> (doubling - PART_BITS)) & (PARTS - 1);
    let bucket = EXACT + u64::from(doubling - EXACT_BITS) * PARTS + part;
    u16::try_from(bucket).unwrap_or(u16::MAX)
}

/// The middle of a bucket, in milliseconds.
fn middle_of(bucket: u16) -> u64 {
    let bucket = u64::from(bucket);
    if bucket < EXACT {
        return bucket;
    }
    let beyond = bucket - EXACT;
    let shift = u32::try_from(beyond / PARTS).unwrap_or(0) + EXACT_BITS - PART_BITS;
    let first = (PARTS + beyond % PARTS) << shift;
    first + (1 << shift) / 2
}

/// How many took how long.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Histogram(BTreeMap<u16, u64>);

impl Histogram {
    /// Counts so many more in a bucket.
    pub fn add(&mut self, bucket: u16, count: u64) {
        *self.0.entry(bucket).or_default() += count;
    }

    /// Counts in all that another has counted.
    pub fn merge(&mut self, other: &Self) {
        for (bucket, count) in &other.0 {
            self.add(*bucket, *count);
        }
    }

    /// The milliseconds within which so many of a hundred were done; none if nothing was counted.
    #[must_use]
    pub fn percentile(&self, percent: u8) -> Option<u64> {
        let all: u64 = self.0.values().sum();
        let rank = (all * u64::from(percent)).div_ceil(100).max(1);
        let mut counted = 0;
        let bucket = self.0.iter().find(|(_, count)| {
            counted += **count;
            counted >= rank
        });
        bucket.map(|(bucket, _)| middle_of(*bucket))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(times: impl IntoIterator<Item = u64>) -> Histogram {
        let mut histogram = Histogram::default();
        for millis in times {
            histogram.add(bucket_of(millis), 1);
        }
        histogram
    }

    #[test]
    fn percentiles_are_by_rank() {
        assert_eq!(Histogram::default().percentile(50), None);
        let histogram = of(1..=10);
        assert_eq!(histogram.percentile(50), Some(5));
        assert_eq!(histogram.percentile(95), Some(10));
        assert_eq!(histogram.percentile(1), Some(1));
        assert_eq!(of([7]).percentile(95), Some(7));
    }

    #[test]
    fn halves_add_up_to_the_whole() {
        let mut all = of(0..500);
        all.merge(&of(500..1_000));
        assert_eq!(all, of(0..1_000));
    }

    #[test]
    fn buckets_are_few_and_the_last_takes_what_is_beyond() {
        assert_eq!(bucket_of(MAX_MILLIS), 111);
        assert_eq!(bucket_of(u64::MAX), 111);
    }

    proptest! {
        #[test]
        fn what_is_told_is_near_to_what_was_measured(millis in 0..=MAX_MILLIS) {
            let told = of([millis]).percentile(50).expect("one was counted");
            prop_assert!(told.abs_diff(millis) * 16 <= millis, "{told} for {millis}");
        }

        #[test]
        fn a_longer_time_is_in_no_earlier_bucket(a in 0..=MAX_MILLIS, b in 0..=MAX_MILLIS) {
            prop_assert_eq!(a.cmp(&b), bucket_of(a).cmp(&bucket_of(b)).then(a.cmp(&b)));
        }
    }
}
