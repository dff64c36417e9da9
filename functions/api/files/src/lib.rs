//! Files: uploaded by clients straight to the bucket, then read by a worker.
//!
//! | method | path | permission | file |
//! |---|---|---|---|
//! | POST | `/v1/orgs/{org_id}/files/upload` | `files:write` | `upload.rs` |
//! | GET | `/v1/files` | `files:read` | `list.rs` |
//! | GET | `/v1/files/{file_id}` | `files:read` | `get.rs` |
//! | DELETE | `/v1/files/{file_id}` | `files:write` | `delete.rs` |
//! | POST | `/v1/files/{file_id}/confirm` | `files:write` | `confirm.rs` |
//! | GET | `/v1/files/{file_id}/download` | `files:read` | `download.rs` |
//!
//! An upload into a knowledge base also needs `knowledge:write`.
//!
//! ```text
//! upload ► pending ── confirm ► processing ── worker ► ready | failed
//! ```
//! `DELETE` leads out of each of them, and a worker removes what the file has left behind.

use api::{Table, routes};

mod confirm;
mod delete;
mod download;
mod get;
mod list;
mod upload;

/// How often a change that meets one by a worker is tried.
const TRIES: u32 = 5;

/// The operations of this function.
#[must_use]
pub fn routes<T: Table>() -> T {
    T::new()
        .routes(routes!(upload::upload))
        .routes(routes!(list::list))
        .routes(routes!(get::get, delete::delete))
        .routes(routes!(confirm::confirm))
        .routes(routes!(download::download))
}
