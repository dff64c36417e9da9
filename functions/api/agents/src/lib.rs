//! Agents: what they are told, what they may call and search, what they have done.
//!
//! | method | path | permission | file |
//! |---|---|---|---|
//! | GET | `/v1/agents` | `agents:read` | `list.rs` |
//! | POST | `/v1/agents` | `agents:write` | `create.rs` |
//! | GET | `/v1/agents/{agent_id}` | `agents:read` | `get.rs` |
//! | PATCH | `/v1/agents/{agent_id}` | `agents:write` | `update.rs` |
//! | DELETE | `/v1/agents/{agent_id}` | `agents:write` | `delete.rs` |
//! | GET | `/v1/agents/{agent_id}/versions` | `agents:read` | `versions.rs` |
//! | GET | `/v1/agents/{agent_id}/versions/{version}` | `agents:read` | `versions.rs` |
//! | POST | `/v1/agents/{agent_id}/rollback` | `agents:write` | `rollback.rs` |
//! | GET | `/v1/agents/{agent_id}/stats` | `agents:read` | `stats.rs` |
//! | GET | `/v1/agents/{agent_id}/memories` | `agents:read` | `memories.rs` |
//! | DELETE | `/v1/agents/{agent_id}/memories/{memory_id}` | `agents:write` | `memories.rs` |

use api::Routes;
use utoipa_axum::routes;

mod create;
mod delete;
mod get;
mod list;
mod memories;
mod rollback;
mod spec;
mod stats;
mod update;
mod versions;

/// The operations of this function.
#[must_use]
pub fn routes() -> Routes {
    Routes::new()
        .routes(routes!(list::list, create::create))
        .routes(routes!(get::get, update::update, delete::delete))
        .routes(routes!(versions::list_versions))
        .routes(routes!(versions::get_version))
        .routes(routes!(rollback::rollback))
        .routes(routes!(stats::stats))
        .routes(routes!(memories::list_memories))
        .routes(routes!(memories::delete_memory))
}
