//! Swarms: agents that work together under a coordinator, and what they tell each other.
//!
//! | method | path | permission | file |
//! |---|---|---|---|
//! | GET | `/v1/swarms` | `agents:read` | `list.rs` |
//! | POST | `/v1/swarms` | `agents:write` | `create.rs` |
//! | GET | `/v1/swarms/{swarm_id}` | `agents:read` | `get.rs` |
//! | PATCH | `/v1/swarms/{swarm_id}` | `agents:write` | `update.rs` |
//! | DELETE | `/v1/swarms/{swarm_id}` | `agents:write` | `delete.rs` |
//! | GET | `/v1/swarms/{swarm_id}/members` | `agents:read` | `members.rs` |
//! | PUT | `/v1/swarms/{swarm_id}/members/{agent_id}` | `agents:write` | `members.rs` |
//! | DELETE | `/v1/swarms/{swarm_id}/members/{agent_id}` | `agents:write` | `members.rs` |
//! | GET | `/v1/swarms/{swarm_id}/messages` | `executions:read` | `messages.rs` |
//! | POST | `/v1/swarms/{swarm_id}/messages` | `executions:write` | `messages.rs` |
//!
//! `POST /v1/swarms/{swarm_id}/executions` is served by the `executions` function.

use api::{Table, routes};

mod create;
mod delete;
mod get;
mod list;
mod members;
mod messages;
mod spec;
mod update;

/// The operations of this function.
#[must_use]
pub fn routes<T: Table>() -> T {
    T::new()
        .routes(routes!(list::list, create::create))
        .routes(routes!(get::get, update::update, delete::delete))
        .routes(routes!(members::list_members))
        .routes(routes!(members::set_member, members::remove_member))
        .routes(routes!(messages::list_messages, messages::post_message))
}
