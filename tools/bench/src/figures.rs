//! Medians, percentiles, and how figures are written.

use std::time::Duration;

/// The value below which a share of the values lie, by the nearest rank. `None` without values.
pub fn percentile<T: Copy + PartialOrd>(values: &[T], share: f64) -> Option<T> {
    let mut sorted = values.to_vec();
    sorted.sort_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.max(1) - 1).copied()
}

/// The middle value; nothing of nothing.
pub fn median<T: Copy + PartialOrd + Default>(values: &[T]) -> T {
    percentile(values, 0.5).unwrap_or_default()
}

/// `12.3`: milliseconds, with as many decimals as mean something.
pub fn millis(duration: Duration) -> String {
    let millis = duration.as_secs_f64() * 1000.0;
    match millis {
        ..10.0 => format!("{millis:.2}"),
        10.0..100.0 => format!("{millis:.1}"),
        _ => format!("{millis:.0}"),
    }
}

/// `123.4`: a rate or a count.
pub fn amount(value: f64) -> String {
    match value {
        ..10.0 => format!("{value:.2}"),
        10.0..100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

/// `1.8×`.
pub fn ratio(value: f64) -> String {
    format!("{value:.2}×")
}

/// Millions of bytes in a second.
pub fn megabytes_per_second(bytes: usize, time: Duration) -> f64 {
    bytes as f64 / 1e6 / time.as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let values = [5, 1, 4, 2, 3];
        assert_eq!(percentile(&values, 0.5), Some(3));
        assert_eq!(percentile(&values, 0.95), Some(5));
        assert_eq!(percentile(&values, 0.0), Some(1));
        assert_eq!(percentile::<u32>(&[], 0.5), None);
        assert_eq!(median::<u32>(&[]), 0);
    }

    #[test]
    fn figures_have_the_decimals_that_mean_something() {
        assert_eq!(millis(Duration::from_micros(1_234)), "1.23");
        assert_eq!(millis(Duration::from_micros(12_345)), "12.3");
        assert_eq!(millis(Duration::from_millis(1_234)), "1234");
        assert_eq!((amount(0.5), amount(999.6)), ("0.50".into(), "1000".into()));
    }
}
