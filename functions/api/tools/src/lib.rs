//! Tools: what agents may call besides the built-in ones, which need no registration.
//!
//! | method | path | permission | file |
//! |---|---|---|---|
//! | GET | `/v1/tools` | `tools:read` | `list.rs` |
//! | POST | `/v1/tools` | `tools:write` | `create.rs` |
//! | GET | `/v1/tools/{tool_id}` | `tools:read` | `get.rs` |
//! | PATCH | `/v1/tools/{tool_id}` | `tools:write` | `update.rs` |
//! | DELETE | `/v1/tools/{tool_id}` | `tools:write` | `delete.rs` |
//! | GET | `/v1/tools/{tool_id}/credential` | `tools:read` | `credential_get.rs` |
//! | PUT | `/v1/tools/{tool_id}/credential` | `tools:write` | `credential_set.rs` |
//! | DELETE | `/v1/tools/{tool_id}/credential` | `tools:write` | `credential_remove.rs` |

use api::{Table, routes};

mod create;
mod credential_get;
mod credential_remove;
mod credential_set;
mod delete;
mod get;
mod list;
mod secret;
mod spec;
mod update;

/// The operations of this function.
#[must_use]
pub fn routes<T: Table>() -> T {
    T::new()
        .routes(routes!(list::list, create::create))
        .routes(routes!(get::get, update::update, delete::delete))
        .routes(routes!(
            credential_get::get,
            credential_set::set,
            credential_remove::remove
        ))
}
