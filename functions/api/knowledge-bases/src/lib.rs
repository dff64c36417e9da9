//! Knowledge bases: sets of documents that people and agents search.
//!
//! | method | path | permission | file |
//! |---|---|---|---|
//! | GET | `/v1/knowledge-bases` | `knowledge:read` | `list.rs` |
//! | POST | `/v1/knowledge-bases` | `knowledge:write` | `create.rs` |
//! | GET | `/v1/knowledge-bases/{knowledge_base_id}` | `knowledge:read` | `get.rs` |
//! | PATCH | `/v1/knowledge-bases/{knowledge_base_id}` | `knowledge:write` | `update.rs` |
//! | DELETE | `/v1/knowledge-bases/{knowledge_base_id}` | `knowledge:write` | `delete.rs` |
//! | GET | `/v1/knowledge-bases/{knowledge_base_id}/documents` | `knowledge:read` | `documents.rs` |
//! | POST | `/v1/knowledge-bases/{knowledge_base_id}/documents` | `knowledge:write` | `documents.rs` |
//! | DELETE | `/v1/knowledge-bases/{knowledge_base_id}/documents/{file_id}` | `knowledge:write` | `documents.rs` |
//! | POST | `/v1/knowledge-bases/{knowledge_base_id}/search` | `knowledge:read` | `search.rs` |
//!
//! To add a document also needs `files:read`: whoever may search the knowledge base will read it.

use api::{Table, routes};

mod create;
mod delete;
mod documents;
mod get;
mod list;
mod search;
mod update;

/// The most characters of a knowledge base's description.
const MAX_DESCRIPTION: usize = 2_000;

/// The operations of this function.
#[must_use]
pub fn routes<T: Table>() -> T {
    T::new()
        .routes(routes!(list::list, create::create))
        .routes(routes!(get::get, update::update, delete::delete))
        .routes(routes!(documents::list_documents, documents::add_document))
        .routes(routes!(documents::remove_document))
        .routes(routes!(search::search))
}
