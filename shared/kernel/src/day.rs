//! Days in UTC: what is counted by the day is counted alike wherever its readers live.

use std::fmt;
use std::str::FromStr;

use jiff::civil::Date;
use jiff::tz::Offset;
use jiff::{Span, ToSpan as _};

use crate::Timestamp;

/// The whole calendar, from its first day to its last, and no more than a span may have.
const MAX_DAYS: u32 = 7_000_000;

/// A day in UTC, such as `2026-01-31`. Days sort as their texts do.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(Date);

impl Day {
    /// The day in which a moment lies.
    #[must_use]
    pub fn of(moment: Timestamp) -> Self {
        let at = jiff::Timestamp::from_millisecond(moment.as_millis()).unwrap_or_default();
        Self(Offset::UTC.to_datetime(at).date())
    }

    /// The moment at which the day begins.
    #[must_use]
    pub fn start(self) -> Timestamp {
        let midnight = self.0.at(0, 0, 0, 0);
        let start = Offset::UTC.to_timestamp(midnight).unwrap_or_default();
        Timestamp::from_millis(start.as_millisecond())
    }

    /// The day that comes so many days after this one. Stays within the calendar.
    #[must_use]
    pub fn plus_days(self, days: u32) -> Self {
        self.moved(i64::from(days.min(MAX_DAYS)).days())
    }

    /// The day so many days before this one. Stays within the calendar.
    #[must_use]
    pub fn minus_days(self, days: u32) -> Self {
        self.moved((-i64::from(days.min(MAX_DAYS))).days())
    }

    /// How many days lie from this one to `later`; none if that is not later.
    #[must_use]
    pub fn days_until(self, later: Self) -> u32 {
        let days = later.0.since(self.0).map_or(0, |span| span.get_days());
        u32::try_from(days).unwrap_or(0)
    }

    /// The days from this one to the one before `end`.
    pub fn until(self, end: Self) -> impl Iterator<Item = Self> {
        (0..self.days_until(end)).map(move |days| self.plus_days(days))
    }

    fn moved(self, by: Span) -> Self {
        Self(self.0.saturating_add(by))
    }
}

/// A text that is no day.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be a day of the form 2026-01-31")]
pub struct NotADay;

impl FromStr for Day {
    type Err = NotADay;

    fn from_str(text: &str) -> Result<Self, NotADay> {
        // A date alone: neither with a time nor with a year of another length.
        let has_form = text.bytes().enumerate().all(|(place, byte)| match place {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        });
        if text.len() != 10 || !has_form {
            return Err(NotADay);
        }
        text.parse().map(Self).map_err(|_| NotADay)
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl serde::Serialize for Day {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Day {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl utoipa::PartialSchema for Day {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::String)
            .format(Some(utoipa::openapi::SchemaFormat::KnownFormat(
                utoipa::openapi::KnownFormat::Date,
            )))
            .description(Some("A day in UTC."))
            .into()
    }
}

impl utoipa::ToSchema for Day {}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> Day {
        text.parse().expect("a day")
    }

    #[test]
    fn midnight_in_utc_parts_the_days() {
        let midnight: Timestamp = "2026-03-01T00:00:00Z".parse().expect("a moment");
        let before = Timestamp::from_millis(midnight.as_millis() - 1);
        assert_eq!(Day::of(midnight), day("2026-03-01"));
        assert_eq!(Day::of(before), day("2026-02-28"));
        assert_eq!(Day::of(midnight).start(), midnight);
        assert_eq!(Day::of(midnight).to_string(), "2026-03-01");
    }

    #[test]
    fn days_are_counted_over_the_ends_of_months_and_years() {
        let (first, end) = (day("2027-12-30"), day("2028-01-02"));
        let days: Vec<String> = first.until(end).map(|day| day.to_string()).collect();
        assert_eq!(days, ["2027-12-30", "2027-12-31", "2028-01-01"]);
        assert_eq!(first.plus_days(3), end);
        assert_eq!(end.minus_days(3), first);
        assert_eq!(first.days_until(end), 3);
        assert_eq!(end.days_until(first), 0);
        assert_eq!(day("2028-02-28").plus_days(1), day("2028-02-29"));
        assert_eq!(day("2024-01-01").days_until(day("2026-01-01")), 731);
    }

    #[test]
    fn what_is_no_day_is_refused() {
        for text in [
            "",
            "2026-1-1",
            "2026-02-30",
            "2026-01-01T00:00:00Z",
            "20260101",
            "-02026-01-01",
            "today",
            "２026-01-01",
        ] {
            assert_eq!(text.parse::<Day>(), Err(NotADay), "{text}");
        }
    }
}
