//! Health: whether this function runs, and whether what it stands on answers.
//!
//! | method | path | permission | file |
//! |---|---|---|---|
//! | GET | `/health` | none | `live.rs` |
//! | GET | `/health/ready` | none | `ready.rs` |
//!
//! Anybody may ask, so the answers name no resource and no error; causes are in the log.

use api::{Table, routes};

mod live;
mod ready;

/// The operations of this function.
#[must_use]
pub fn routes<T: Table>() -> T {
    T::new()
        .routes(routes!(live::live))
        .routes(routes!(ready::ready))
}
