//! What every other layer stands on: ids, time, money, signatures and cursors.
//!
//! Nothing here knows AWS, HTTP or any noun of the product.

pub mod clock;
pub mod credits;
pub mod cursor;
pub mod day;
pub mod digest;
pub mod env;
pub mod ids;
pub mod signing;

pub use clock::{Clock, ManualClock, SystemClock, Timestamp};
pub use credits::MicroCredits;
pub use day::Day;
pub use ids::*;
