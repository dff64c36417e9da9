//! Looking into the text index of an org.

use store::{Store, Tenant};
use text_index::{ItemKind, Query, Sees, TextIndex, Viewer};

const CACHE_BYTES: u64 = 16 * 1024 * 1024;

/// The titles of what is found, for a machine that may see every kind.
pub async fn found(store: &Store, tenant: Tenant, text: &str) -> Vec<String> {
    let index = TextIndex::new(store.clone(), CACHE_BYTES);
    let viewer = Viewer::new(ItemKind::ALL.iter().copied(), Sees::Shared);
    let query = Query {
        limit: 100,
        typos: false,
        ..Query::new(text)
    };
    let found = index.search(tenant, &viewer, &query).await;
    let hits = found.expect("an answer").hits;
    hits.into_iter().map(|hit| hit.item.title).collect()
}
