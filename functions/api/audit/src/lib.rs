//! Audit: an org's events in one chain, each entry sealed by the hash of the one before.
//!
//! | method | path | permission | file |
//! |---|---|---|---|
//! | GET | `/v1/audit` | `audit:read` | `list.rs` |
//! | POST | `/v1/audit/search` | `audit:read` | `search.rs` |
//! | GET | `/v1/audit/verify` | `audit:read` | `verify.rs` |
//!
//! The chain is written by the event router alone and follows the events by moments.

use api::{Table, routes};

mod list;
mod search;
mod verify;

/// The operations of this function.
#[must_use]
pub fn routes<T: Table>() -> T {
    T::new()
        .routes(routes!(list::list))
        .routes(routes!(search::search))
        .routes(routes!(verify::verify))
}
