//! Users: what people see and change of themselves.
//!
//! | method | path | permission | file |
//! |---|---|---|---|
//! | GET | `/v1/users/me` | any person | `get.rs` |
//! | PATCH | `/v1/users/me` | any person | `update.rs` |

use api::{Table, routes};

mod get;
mod preferences;
mod update;

/// The operations of this function.
#[must_use]
pub fn routes<T: Table>() -> T {
    T::new().routes(routes!(get::get, update::update))
}
