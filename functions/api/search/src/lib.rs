//! Search: everything of an organization that its caller may see, by words and by meaning.
//!
//! | method | path | permission | file |
//! |---|---|---|---|
//! | POST | `/v1/orgs/{org_id}/search` | `knowledge:read` or `agents:read` or `tasks:read` or `executions:read` | `query.rs` |
//! | POST | `/v1/orgs/{org_id}/search/{search_id}/clicks` | `knowledge:read` or `agents:read` or `tasks:read` or `executions:read` | `clicks.rs` |
//! | GET | `/v1/orgs/{org_id}/search/suggest` | `knowledge:read` or `agents:read` or `tasks:read` or `executions:read` | `suggest.rs` |
//! | GET | `/v1/orgs/{org_id}/search/analytics` | `search-analytics:read` | `analytics.rs` |
//!
//! What is found are the kinds whose scope the caller has ([`access`]): documents and chunks with
//! `knowledge:read`, agents, tasks, and with `executions:read` executions and messages. Whoever has
//! none of them is refused, and so is who asks for a kind without its scope. What is kept of a search
//! ([`searched`]) belongs to who made it, and others are told sums.
//!
//! ```text
//! request ─► asked: what is meant, or which fields are wrong
//!               │
//!               ├─ words alone ──► text index ───────────────────────┐
//!               ├─ both ─────────► retrieval::hybrid, fused by rank ─┼─► answer
//!               └─ meaning alone ► retrieval::hybrid ────────────────┘
//! ```

use std::sync::{Arc, OnceLock};

use api::{Routes, Table, routes};
use embedding::Embedders;
use kernel::env::process_environment;
use store::Store;
use text_index::TextIndex;

mod access;
mod analytics;
mod answer;
mod asked;
mod clicks;
mod find;
mod hit;
mod own;
mod pages;
mod query;
mod request;
mod searched;
mod suggest;

/// How much of the function's disk copies of the orgs' text indexes may take.
const INDEX_BYTES: u64 = 768 * 1024 * 1024;

/// The text indexes of all orgs, over the store that the first request brings. Clones share them.
#[derive(Clone, Default)]
pub struct Indexes(Arc<OnceLock<TextIndex>>);

impl Indexes {
    pub(crate) fn over(&self, store: &Store) -> &TextIndex {
        let open = || TextIndex::new(store.clone(), INDEX_BYTES);
        self.0.get_or_init(open)
    }
}

/// The operations of this function, with the embedding models that the environment names.
///
/// # Errors
/// Names what is wrong with the environment.
pub fn from_environment() -> Result<Routes, lambda::Error> {
    let embedders: Embedders = llm::embedders_from_env(&process_environment)?;
    let routes = routes::<Routes>().with(embedders);
    Ok(routes.with(Indexes::default()))
}

/// The operations of this function. They need [`Embedders`] and [`Indexes`] beside them, by
/// [`Routes::with`].
#[must_use]
pub fn routes<T: Table>() -> T {
    T::new()
        .routes(routes!(query::search))
        .routes(routes!(clicks::click))
        .routes(routes!(suggest::suggest))
        .routes(routes!(analytics::analytics))
}
