//! How long a provider asks to wait.

use std::time::Duration;

use reqwest::header::{HeaderMap, RETRY_AFTER};

use super::header;

/// Longer waits are not hints any more but configuration errors of a provider.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// `retry-after-ms`, or `Retry-After` in seconds or as a date.
pub(super) fn retry_after(headers: &HeaderMap, now: jiff::Timestamp) -> Option<Duration> {
    let seconds = |text: &str| {
        text.parse::<f64>()
            .ok()
            .filter(|value| value.is_finite() && *value >= 0.0)
    };
    let wait = if let Some(milliseconds) = header(headers, "retry-after-ms").and_then(seconds) {
        Duration::try_from_secs_f64(milliseconds / 1000.0).ok()?
    } else {
        let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
        match seconds(text) {
            Some(value) => Duration::try_from_secs_f64(value).unwrap_or(MAX_RETRY_AFTER),
            None => {
                let at = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
                Duration::try_from(at.duration_since(now)).unwrap_or(Duration::ZERO)
            }
        }
    };
    Some(wait.min(MAX_RETRY_AFTER))
}

/// A duration as Google's APIs write it into a body: `34.5s`.
pub(super) fn seconds(text: &str) -> Option<Duration> {
    let seconds: f64 = text.strip_suffix('s')?.parse().ok()?;
    Duration::try_from_secs_f64(seconds)
        .ok()
        .map(|wait| wait.min(MAX_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_read_in_all_its_forms() {
        let now: jiff::Timestamp = "2026-03-01T10:00:00Z".parse().unwrap();
        let read = |name: &'static str, value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            retry_after(&headers, now)
        };
        assert_eq!(read("retry-after", "7"), Some(Duration::from_secs(7)));
        assert_eq!(read("retry-after", "0.5"), Some(Duration::from_millis(500)));
        assert_eq!(
            read("retry-after-ms", "250"),
            Some(Duration::from_millis(250))
        );
        assert_eq!(
            read("retry-after", "Sun, 01 Mar 2026 10:01:30 GMT"),
            Some(Duration::from_secs(90))
        );
        assert_eq!(
            read("retry-after", "Sun, 01 Mar 2026 09:00:00 GMT"),
            Some(Duration::ZERO)
        );
        assert_eq!(read("retry-after", "1e300"), Some(MAX_RETRY_AFTER));
        assert_eq!(read("retry-after", "soon"), None);
        assert_eq!(read("retry-after", "-3"), None);
    }

    #[test]
    fn durations_of_a_body_are_read() {
        assert_eq!(seconds("34.5s"), Some(Duration::from_millis(34_500)));
        assert_eq!(seconds("9e99s"), None);
        for wrong in ["34", "-1s", "s", "NaNs", ""] {
            assert_eq!(seconds(wrong), None, "{wrong}");
        }
    }
}
