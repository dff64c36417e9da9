//! Health: whether this function runs, and whether what it stands on answers.
//!
//! | method | path | permission | file |
//! |---|---|---|---|
//! | GET | `/health` | none | `live.rs` |
//! | GET | `/health/ready` | none | `ready.rs` |
//!
//! Anybody may ask, so the answers name no resource and no error; causes are in the log.

use api::Routes;
use utoipa_axum::routes;

mod live;
mod ready;

/// The operations of this function.
#[must_use]
pub fn routes() -> Routes {
    Routes::new()
        .routes(routes!(live::live))
        .routes(routes!(ready::ready))
}
