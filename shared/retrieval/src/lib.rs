//! Retrieval: from a question to the passages of an org's knowledge bases that answer it.
//!
//! The one place that turns a query into a vector, so that people (`POST …/search`) and agents (the
//! search tool) find the same things. The order of passages with equal scores means nothing, and
//! the index behind them is approximate on AWS.

pub mod fuse;
pub mod grounding;
pub mod memories;

use domain::knowledge::{KnowledgeBase, Passage};
use embedding::{Embedder as _, StaticModel, is_zero};
use kernel::KnowledgeBaseId;
use store::{ReadError, Store, Tenant};

/// The most passages that one search gives.
pub const MAX_PASSAGES: usize = 50;
/// The most characters of a query that a caller should let through. Longer ones are answered as
/// well, but a vector of so many words points nowhere.
pub const MAX_QUERY_CHARS: usize = 2_000;

/// Why a search gave nothing, not even an empty list.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// No word of the query is known to the embedding model, so nothing can be near it. Worth an
    /// empty list and a note.
    #[error(
        "No word of the query is known to the embedding model, so nothing can be found with it. \
         Ask in English words."
    )]
    NoKnownWords,
    /// A knowledge base holds vectors of another model than the one at hand, which cannot be
    /// compared with it.
    #[error(
        "The knowledge base {base} was embedded with {held}, and queries are embedded with \
         {at_hand}. Embed its documents again."
    )]
    ModelMismatch {
        base: KnowledgeBaseId,
        held: String,
        at_hand: String,
    },
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// The model that embeds queries and documents, written `name@version`: what a new knowledge base
/// is marked with.
#[must_use]
pub fn embedding_model() -> String {
    StaticModel.model().to_string()
}

/// The vectors of these texts, in their order. One that the model finds nothing in is all zeros
/// ([`embedding::is_zero`]) and near to nothing.
#[must_use]
pub fn embed(texts: &[&str]) -> Vec<Vec<f32>> {
    texts
        .iter()
        .map(|text| StaticModel.embed_text(text))
        .collect()
}

/// Refuses a knowledge base whose vectors are of another model than [`embedding_model`].
///
/// # Errors
/// [`SearchError::ModelMismatch`], never another.
pub fn check_model(base: &KnowledgeBase) -> Result<(), SearchError> {
    let at_hand = embedding_model();
    if base.embedding_model == at_hand {
        return Ok(());
    }
    let held = base.embedding_model.clone();
    Err(SearchError::ModelMismatch {
        base: base.id,
        held,
        at_hand,
    })
}

/// The passages of these knowledge bases that are nearest to `query`, best first, at most `limit`
/// (which is at most [`MAX_PASSAGES`]). Knowledge bases that do not exist, or no longer, hold
/// nothing.
///
/// # Errors
/// [`SearchError`].
pub async fn search(
    store: &Store,
    tenant: Tenant,
    bases: &[KnowledgeBaseId],
    query: &str,
    limit: usize,
) -> Result<Vec<Passage>, SearchError> {
    let bases = store.knowledge(tenant).bases_by_id(bases).await?;
    search_in(store, tenant, &bases, query, limit).await
}

/// As [`search`], in knowledge bases that the caller has read already.
///
/// # Errors
/// [`SearchError`].
pub async fn search_in(
    store: &Store,
    tenant: Tenant,
    bases: &[KnowledgeBase],
    query: &str,
    limit: usize,
) -> Result<Vec<Passage>, SearchError> {
    bases.iter().try_for_each(check_model)?;
    let vector = StaticModel.embed_text(query);
    if is_zero(&vector) {
        return Err(SearchError::NoKnownWords);
    }
    let ids: Vec<KnowledgeBaseId> = bases.iter().map(|base| base.id).collect();
    let limit = limit.clamp(1, MAX_PASSAGES);
    Ok(store
        .knowledge(tenant)
        .nearest(&ids, &vector, limit)
        .await?)
}

#[cfg(test)]
mod tests {
    use domain::knowledge::KnowledgeBase;
    use kernel::{OrgId, Timestamp};

    use super::*;

    fn base(embedding_model: String) -> KnowledgeBase {
        let now = Timestamp::from_millis(1_767_225_600_000);
        KnowledgeBase {
            id: KnowledgeBaseId::from_u128(2),
            org: OrgId::from_u128(1),
            name: "Handbooks".to_owned(),
            description: String::new(),
            embedding_model,
            version: 1,
            created_at: now,
            updated_at: now,
        }
    }

    #[test]
    fn only_vectors_of_the_same_model_and_version_meet() {
        assert!(check_model(&base(embedding_model())).is_ok());
        let older = embedding_model().replace("@1", "@0");
        let Err(SearchError::ModelMismatch { held, at_hand, .. }) =
            check_model(&base(older.clone()))
        else {
            panic!("another version passed for the same model");
        };
        assert_eq!((held, at_hand), (older, embedding_model()));
    }
}
