//! API keys: the credentials of machines.
//!
//! | method | path | permission | file |
//! |---|---|---|---|
//! | GET | `/v1/api-keys` | `api-keys:read` | `list.rs` |
//! | POST | `/v1/api-keys` | `api-keys:write` | `create.rs` |
//! | GET | `/v1/api-keys/{key_id}` | `api-keys:read` | `get.rs` |
//! | DELETE | `/v1/api-keys/{key_id}` | `api-keys:write` | `revoke.rs` |
//! | POST | `/v1/api-keys/{key_id}/rotate` | `api-keys:write` | `rotate.rs` |

use api::{Table, routes};

mod create;
mod get;
mod grants;
mod list;
mod revoke;
mod rotate;
mod secret;

/// The operations of this function.
#[must_use]
pub fn routes<T: Table>() -> T {
    T::new()
        .routes(routes!(list::list, create::create))
        .routes(routes!(get::get, revoke::revoke))
        .routes(routes!(rotate::rotate))
}
