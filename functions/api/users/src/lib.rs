//! Users: what people see and change of themselves.
//!
//! | method | path | permission | file |
//! |---|---|---|---|
//! | GET | `/v1/users/me` | any person | `get.rs` |
//! | PATCH | `/v1/users/me` | any person | `update.rs` |

use api::Routes;
use utoipa_axum::routes;

mod get;
mod preferences;
mod update;

/// The operations of this function.
#[must_use]
pub fn routes() -> Routes {
    Routes::new().routes(routes!(get::get, update::update))
}
