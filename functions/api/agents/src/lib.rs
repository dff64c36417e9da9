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
//! | GET | `/v1/agents/{agent_id}/memory` | `agents:read` | `memory/list.rs` |
//! | POST | `/v1/agents/{agent_id}/memory` | `agents:write` | `memory/create.rs` |
//! | GET | `/v1/agents/{agent_id}/memory/recall` | `agents:read` | `memory/recall.rs` |
//! | GET | `/v1/agents/{agent_id}/memory/{memory_id}` | `agents:read` | `memory/get.rs` |
//! | PATCH | `/v1/agents/{agent_id}/memory/{memory_id}` | `agents:write` | `memory/update.rs` |
//! | DELETE | `/v1/agents/{agent_id}/memory/{memory_id}` | `agents:write` | `memory/delete.rs` |
//! | POST | `/v1/agents/{agent_id}/memory/{memory_id}/share` | `agents:write` | `memory/share.rs` |

use api::{Table, routes};

mod create;
mod delete;
mod get;
mod list;
mod memory;
mod rollback;
mod spec;
mod stats;
mod update;
mod versions;

/// The operations of this function.
#[must_use]
pub fn routes<T: Table>() -> T {
    T::new()
        .routes(routes!(list::list, create::create))
        .routes(routes!(get::get, update::update, delete::delete))
        .routes(routes!(versions::list_versions))
        .routes(routes!(versions::get_version))
        .routes(routes!(rollback::rollback))
        .routes(routes!(stats::stats))
        .routes(routes!(memory::list::list, memory::create::create))
        .routes(routes!(memory::recall::recall))
        .routes(routes!(
            memory::get::get,
            memory::update::update,
            memory::delete::delete
        ))
        .routes(routes!(memory::share::share))
}
