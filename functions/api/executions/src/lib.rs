//! Executions: one run of an agent each, from the question to the answer or the reason why not.
//!
//! | method | path | permission | file |
//! |---|---|---|---|
//! | GET | `/v1/executions` | `executions:read` | `list.rs` |
//! | POST | `/v1/executions` | `executions:write` | `create.rs` |
//! | GET | `/v1/executions/{execution_id}` | `executions:read` | `get.rs` |
//! | GET | `/v1/executions/{execution_id}/trace` | `executions:read` | `trace.rs` |
//! | POST | `/v1/executions/{execution_id}/cancel` | `executions:write` | `cancel.rs` |
//!
//! `GET /v1/executions/{execution_id}/stream` is served by the `streams` function.

use api::Routes;
use utoipa_axum::routes;

mod cancel;
mod create;
mod get;
mod list;
mod trace;
mod view;

/// The operations of this function.
#[must_use]
pub fn routes() -> Routes {
    Routes::new()
        .routes(routes!(list::list, create::create))
        .routes(routes!(get::get))
        .routes(routes!(trace::trace))
        .routes(routes!(cancel::cancel))
}
