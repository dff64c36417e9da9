//! Money: integer micro-credits.

use std::fmt;

/// A quantity of credits in millionths. Never a float; arithmetic is checked.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Default,
    serde::Serialize,
    serde::Deserialize,
    utoipa::ToSchema,
)]
#[serde(transparent)]
pub struct MicroCredits(i64);

impl MicroCredits {
    /// No credits.
    pub const ZERO: Self = Self(0);
    /// One whole credit.
    pub const ONE_CREDIT: Self = Self(1_000_000);

    /// A number of millionths of a credit.
    #[must_use]
    pub const fn new(micros: i64) -> Self {
        Self(micros)
    }

    /// Millionths of a credit.
    #[must_use]
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// The sum, or `None` where it does not fit.
    #[must_use]
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }

    /// The difference, or `None` where it does not fit.
    #[must_use]
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        self.0.checked_sub(other.0).map(Self)
    }

    /// The price of `units` at `self` for each million of them, rounded up: a fraction of a
    /// micro-credit is charged as one. `None` where the product does not fit.
    #[must_use]
    pub fn per_million(self, units: u64) -> Option<Self> {
        let product = i128::from(self.0).checked_mul(i128::from(units))?;
        let rounded_up = product.checked_add(999_999)?.div_euclid(1_000_000);
        i64::try_from(rounded_up).ok().map(Self)
    }
}

impl fmt::Display for MicroCredits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let micros = self.0.unsigned_abs();
        write!(f, "{sign}{}.{:06}", micros / 1_000_000, micros % 1_000_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fraction_of_a_micro_credit_is_charged_as_one() {
        let price = MicroCredits::new(150_000);
        assert_eq!(price.per_million(0), Some(MicroCredits::ZERO));
        assert_eq!(price.per_million(1), Some(MicroCredits::new(1)));
        assert_eq!(price.per_million(1_000_000), Some(price));
        assert_eq!(MicroCredits::new(i64::MAX).per_million(u64::MAX), None);
    }

    #[test]
    fn credits_show_with_six_decimals() {
        assert_eq!(MicroCredits::new(-1_500_000).to_string(), "-1.500000");
        assert_eq!(MicroCredits::new(42).to_string(), "0.000042");
    }
}
