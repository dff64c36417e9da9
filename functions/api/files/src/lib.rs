//! Files: uploaded by clients straight to the bucket, then read by a worker.
//!
//! | method | path | permission | file |
//! |---|---|---|---|
//! | POST | `/v1/orgs/{org_id}/files/upload` | `files:write` | `upload.rs` |
//! | GET | `/v1/files` | `files:read` | `list.rs` |
//! | GET | `/v1/files/{file_id}` | `files:read` | `get.rs` |
//! | DELETE | `/v1/files/{file_id}` | `files:write` | `delete.rs` |
//! | POST | `/v1/files/{file_id}/restore` | `files:write` | `restore.rs` |
//! | POST | `/v1/files/{file_id}/confirm` | `files:write` | `confirm.rs` |
//! | GET | `/v1/files/{file_id}/download` | `files:read` | `download.rs` |
//! | GET | `/v1/files/{file_id}/outline` | `files:read` | `outline.rs` |
//! | GET | `/v1/files/{file_id}/text` | `files:read` | `text.rs` |
//! | GET | `/v1/files/{file_id}/preview` | `files:read` | `preview.rs` |
//! | GET | `/v1/files/{file_id}/versions` | `files:read` | `versions.rs` |
//! | POST | `/v1/files/{file_id}/versions` | `files:write` | `versions.rs` |
//! | GET | `/v1/files/{file_id}/versions/{version}` | `files:read` | `versions.rs` |
//! | POST | `/v1/files/{file_id}/versions/{version}/confirm` | `files:write` | `versions.rs` |
//! | POST | `/v1/files/{file_id}/versions/{version}/abort` | `files:write` | `versions.rs` |
//! | POST | `/v1/files/{file_id}/versions/{version}/parts` | `files:write` | `parts.rs` |
//! | GET | `/v1/files/{file_id}/versions/{version}/download` | `files:read` | `versions.rs` |
//! | POST | `/v1/files/{file_id}/rollback` | `files:write` | `rollback.rs` |
//! | GET | `/v1/files/{file_id}/links` | `files:read` | `links.rs` |
//! | POST | `/v1/files/{file_id}/links` | `files:write` | `links.rs` |
//! | DELETE | `/v1/files/{file_id}/links/agents/{agent_id}` | `files:write` | `links.rs` |
//!
//! An upload into a knowledge base also needs `knowledge:write`, one that may reuse a file
//! `files:read`, a list of a knowledge base `knowledge:read`, a link to an agent `agents:read`.
//!
//! ```text
//! upload ► pending ── confirm ► processing ── worker ► ready | failed
//!             │                     ▲                        │
//!          expiry                   └── version, rollback ───┘
//! ```
//! `DELETE` leads out of each of them. What was uploaded stands again as it did if it is restored in
//! time; else a worker removes what the file has left behind.

use api::{Table, routes};

mod confirm;
mod contents;
mod delete;
mod download;
mod get;
mod links;
mod list;
mod outline;
mod parts;
mod preview;
mod restore;
mod rollback;
mod text;
mod upload;
mod versions;

/// How often a change that meets one by a worker is tried.
const TRIES: u32 = 5;

/// The operations of this function.
#[must_use]
pub fn routes<T: Table>() -> T {
    T::new()
        .routes(routes!(upload::upload))
        .routes(routes!(list::list))
        .routes(routes!(get::get, delete::delete))
        .routes(routes!(restore::restore))
        .routes(routes!(confirm::confirm))
        .routes(routes!(download::download))
        .routes(routes!(outline::outline))
        .routes(routes!(text::text))
        .routes(routes!(preview::preview))
        .routes(routes!(versions::list_versions, versions::upload_version))
        .routes(routes!(versions::get_version))
        .routes(routes!(versions::abort_version))
        .routes(routes!(versions::confirm_version))
        .routes(routes!(versions::download_version))
        .routes(routes!(parts::upload_parts))
        .routes(routes!(rollback::rollback))
        .routes(routes!(links::list_links, links::link))
        .routes(routes!(links::unlink))
}
