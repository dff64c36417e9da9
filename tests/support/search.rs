//! Looking into the text index of an org.

use domain::viewer::Viewer;
use store::{Store, Tenant};
use text_index::{ItemKind, Query, Scope, TextIndex};

const CACHE_BYTES: u64 = 16 * 1024 * 1024;

/// The titles of what is found, for a machine that may see every kind.
pub async fn found(store: &Store, tenant: Tenant, text: &str) -> Vec<String> {
    let index = TextIndex::new(store.clone(), CACHE_BYTES);
    let scope = Scope::new(ItemKind::ALL.iter().copied(), Viewer::Everything);
    let query = Query {
        limit: 100,
        typos: false,
        ..Query::new(text)
    };
    let found = index.search(tenant, &scope, &query).await;
    let hits = found.expect("an answer").hits;
    hits.into_iter().map(|hit| hit.item.title).collect()
}
