//! Conversations: threads of turns with one agent, of which one at a time is open.
//!
//! | method | path | permission | file |
//! |---|---|---|---|
//! | GET | `/v1/conversations` | `executions:read` | `list.rs` |
//! | POST | `/v1/conversations` | `executions:write` | `create.rs` |
//! | GET | `/v1/conversations/{conversation_id}` | `executions:read` | `get.rs` |
//! | PATCH | `/v1/conversations/{conversation_id}` | `executions:write` | `update.rs` |
//! | DELETE | `/v1/conversations/{conversation_id}` | `executions:write` | `delete.rs` |
//! | GET | `/v1/conversations/{conversation_id}/turns` | `executions:read` | `turns.rs` |
//! | POST | `/v1/conversations/{conversation_id}/stop` | `executions:write` | `stop.rs` |
//!
//! A turn is an execution, and is begun as one, with its `conversation_id`, or by the function
//! `chat`.

use api::{Table, routes};

mod create;
mod delete;
mod get;
mod list;
mod stop;
mod turns;
mod update;

/// The operations of this function.
#[must_use]
pub fn routes<T: Table>() -> T {
    T::new()
        .routes(routes!(list::list, create::create))
        .routes(routes!(get::get, update::update, delete::delete))
        .routes(routes!(turns::list))
        .routes(routes!(stop::stop))
}
