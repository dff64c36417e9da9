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
//! | GET | `/v1/knowledge-bases/{knowledge_base_id}/sources` | `knowledge:read` | `sources/list.rs` |
//! | POST | `/v1/knowledge-bases/{knowledge_base_id}/sources` | `knowledge:write` | `sources/create.rs` |
//! | GET | `/v1/knowledge-bases/{knowledge_base_id}/sources/{source_id}` | `knowledge:read` | `sources/get.rs` |
//! | PATCH | `/v1/knowledge-bases/{knowledge_base_id}/sources/{source_id}` | `knowledge:write` | `sources/update.rs` |
//! | DELETE | `/v1/knowledge-bases/{knowledge_base_id}/sources/{source_id}` | `knowledge:write` | `sources/delete.rs` |
//! | GET | `/v1/knowledge-bases/{knowledge_base_id}/sources/{source_id}/pages` | `knowledge:read` | `sources/pages.rs` |
//! | POST | `/v1/knowledge-bases/{knowledge_base_id}/sources/{source_id}/refresh` | `knowledge:write` | `sources/refresh.rs` |
//!
//! To add a file as a document also needs `files:read`: whoever may search the knowledge base will
//! read it. To add a text, and to make a source, also needs `files:write`: both become files.

use api::{Routes, Table, routes};
use embedding::Embedders;
use kernel::env::process_environment;
use outbound::Policy;

mod create;
mod delete;
mod documents;
mod get;
mod list;
mod model;
mod search;
mod sources;
mod texts;
mod update;

/// The most characters of a knowledge base's description.
const MAX_DESCRIPTION: usize = 2_000;
/// The most characters of the id of a model.
const MAX_MODEL: usize = 200;

/// The operations of this function, with the embedding models that the environment names.
///
/// # Errors
/// Names what is wrong with the environment.
pub fn from_environment() -> Result<Routes, lambda::Error> {
    let embedders: Embedders = llm::embedders_from_env(&process_environment)?;
    Ok(routes::<Routes>().with(embedders).with(Policy::public()))
}

/// The operations of this function. They need [`Embedders`] beside them, and the [`Policy`] of what a
/// source may be, by [`Routes::with`].
#[must_use]
pub fn routes<T: Table>() -> T {
    T::new()
        .routes(routes!(list::list, create::create))
        .routes(routes!(get::get, update::update, delete::delete))
        .routes(routes!(documents::list_documents, documents::add_document))
        .routes(routes!(documents::remove_document))
        .routes(routes!(search::search))
        .routes(routes!(sources::list::list, sources::create::create))
        .routes(routes!(
            sources::get::get,
            sources::update::update,
            sources::delete::delete
        ))
        .routes(routes!(sources::pages::pages))
        .routes(routes!(sources::refresh::refresh))
}
