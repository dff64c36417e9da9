//! Retrieval: from a question to what answers it, by its words and by its meaning.
//!
//! | module | for |
//! |---|---|
//! | here | passages of knowledge bases that are near in meaning; [`Retriever::passages`], by words too |
//! | [`hybrid`] | people who search an org: everything that is indexed, filtered and counted |
//! | [`grounding`] | what a run is shown before its model is asked |
//! | [`memories`] | what an agent is told of its memories |
//! | [`fuse`] | several rankings as one |
//!
//! The one place that turns a query into a vector, so that people and agents find the same things.
//! The order of passages with equal scores means nothing, and
//! the index behind them is approximate on AWS.
//!
//! Knowledge bases may have different models. A query is embedded once for each of them, a search
//! asks vectors of one, and what they find is merged by rank: their scores cannot be compared.

pub mod fuse;
pub mod grounding;
pub mod hybrid;
pub mod memories;
mod passages;
mod words;

use std::time::Duration;

use domain::knowledge::{Chunk, KnowledgeBase, Passage};
use domain::memory::recall::RELEVANCE_FLOOR;
use embedding::{
    Embedded, Embedder, Embedders, EmbeddingError, ModelId, Purpose, StaticModel, embed_all,
    is_zero,
};
use kernel::KnowledgeBaseId;
use store::vectors::SearchedSet;
use store::{ReadError, Store, Tenant};
use text_index::TextIndex;

use fuse::fuse;
pub use passages::{EmbedError, EmbeddedPassages, embed_passages};

/// The most passages that one search gives.
pub const MAX_PASSAGES: usize = 50;
/// The most characters of a query that a caller should let through. Longer ones are answered as
/// well, but a vector of so many words points nowhere.
pub const MAX_QUERY_CHARS: usize = 2_000;
/// Somebody waits for the answer to a query, so its vector must not take longer.
const QUERY_TIME: Duration = Duration::from_secs(10);

// A model must not be offered whose vectors no index takes.
const _: () = {
    let (models, indexes) = (embedding::WIDTHS, store::vectors::WIDTHS);
    assert!(models.len() == indexes.len());
    let mut at = 0;
    while at < models.len() {
        assert!(models[at] == indexes[at]);
        at += 1;
    }
};

/// Why a search gave nothing, not even an empty list.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// No word of the query is known to the embedding models, so nothing can be near it. Worth an
    /// empty list and a note.
    #[error(
        "No word of the query is known to the embedding model, so nothing can be found with it. \
         Ask in English words."
    )]
    NoKnownWords,
    /// A knowledge base holds vectors of a model that is not configured, so no query can be
    /// compared with them.
    #[error(
        "The knowledge base {base} was embedded with {held}, which is not configured here. Change \
         it to another model, or configure that one again."
    )]
    ModelNotConfigured { base: KnowledgeBaseId, held: String },
    /// The query could not be embedded.
    #[error(transparent)]
    Model(#[from] EmbeddingError),
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// What is searched through, and of which org.
#[derive(Clone, Copy)]
pub struct Retriever<'a> {
    pub store: &'a Store,
    pub embedders: &'a Embedders,
    pub index: &'a TextIndex,
    pub tenant: Tenant,
}

/// A chunk that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct FoundChunk {
    pub chunk: Chunk,
    /// How near it is in meaning, as in [`Passage`]; `None` if its words alone brought it.
    pub score: Option<f64>,
}

impl From<Passage> for FoundChunk {
    fn from(passage: Passage) -> Self {
        Self {
            chunk: passage.chunk,
            score: Some(passage.score),
        }
    }
}

impl Retriever<'_> {
    /// The chunks of these knowledge bases that answer `query` best, by their meaning and by their
    /// words, at most `limit` (which is at most [`MAX_PASSAGES`]). Knowledge bases that do not
    /// exist, or no longer, hold nothing.
    ///
    /// # Errors
    /// [`SearchError`]
    pub async fn passages(
        &self,
        bases: &[KnowledgeBaseId],
        query: &str,
        limit: usize,
    ) -> Result<Vec<FoundChunk>, SearchError> {
        let limit = limit.clamp(1, MAX_PASSAGES);
        let bases = bases_by_id(self.store, self.tenant, bases).await?;
        let all = |ranking: Ranking| ranking.passages;
        let lists = self.rankings(&bases, query, limit, all).await?;
        let mut found = fuse(lists, |found: &FoundChunk| {
            let chunk = &found.chunk;
            (chunk.knowledge_base, chunk.file, chunk.ordinal)
        });
        found.truncate(limit);
        Ok(found)
    }

    /// What each way of searching finds, best first: by each model what `taken` leaves of its
    /// ranking, then by words. What one way cannot answer, another does.
    pub(crate) async fn rankings(
        &self,
        bases: &[KnowledgeBase],
        query: &str,
        limit: usize,
        taken: impl Fn(Ranking) -> Vec<Passage>,
    ) -> Result<Vec<Vec<FoundChunk>>, SearchError> {
        let (near, said) = tokio::join!(
            rankings(self.store, self.embedders, self.tenant, bases, query, limit),
            self.by_words(bases, query, limit),
        );
        let said = said?
            .into_iter()
            .map(|chunk| FoundChunk { chunk, score: None });
        let said: Vec<FoundChunk> = said.collect();
        let near = match near {
            Ok(near) => near,
            Err(SearchError::Read(error)) => return Err(error.into()),
            Err(error) if said.is_empty() => return Err(error),
            Err(error) => {
                tracing::info!(%error, "passages are found by words alone");
                Vec::new()
            }
        };
        let near = near.into_iter().map(taken);
        let near = near.map(|passages| passages.into_iter().map(FoundChunk::from).collect());
        Ok(near.chain([said]).collect())
    }
}

/// The passages of these knowledge bases that are nearest to `query`, best first, at most `limit`
/// (which is at most [`MAX_PASSAGES`]). Knowledge bases that do not exist, or no longer, hold
/// nothing.
///
/// # Errors
/// [`SearchError`].
pub async fn search(
    store: &Store,
    embedders: &Embedders,
    tenant: Tenant,
    bases: &[KnowledgeBaseId],
    query: &str,
    limit: usize,
) -> Result<Vec<Passage>, SearchError> {
    let bases = bases_by_id(store, tenant, bases).await?;
    search_in(store, embedders, tenant, &bases, query, limit).await
}

/// As [`search`], in knowledge bases that the caller has read already.
///
/// # Errors
/// [`SearchError`].
pub async fn search_in(
    store: &Store,
    embedders: &Embedders,
    tenant: Tenant,
    bases: &[KnowledgeBase],
    query: &str,
    limit: usize,
) -> Result<Vec<Passage>, SearchError> {
    let limit = limit.clamp(1, MAX_PASSAGES);
    let rankings = rankings(store, embedders, tenant, bases, query, limit).await?;
    let lists = rankings.into_iter().map(|ranking| ranking.passages);
    let mut passages = fuse(lists.collect(), |passage: &Passage| {
        let chunk = &passage.chunk;
        (chunk.knowledge_base, chunk.file, chunk.ordinal)
    });
    passages.truncate(limit);
    Ok(passages)
}

/// What is nearest to a query by one model.
pub(crate) struct Ranking {
    /// The best first.
    pub(crate) passages: Vec<Passage>,
    /// The score below which a passage has nothing to do with the query, where that is known of the
    /// model.
    pub(crate) floor: Option<f64>,
}

impl Ranking {
    /// Those that have something to do with the query.
    pub(crate) fn into_near(self) -> Vec<Passage> {
        let floor = self.floor.unwrap_or(f64::NEG_INFINITY);
        let passages = self.passages.into_iter();
        passages.filter(|passage| passage.score >= floor).collect()
    }
}

/// What is nearest to `query` by each model that one of these knowledge bases has.
pub(crate) async fn rankings(
    store: &Store,
    embedders: &Embedders,
    tenant: Tenant,
    bases: &[KnowledgeBase],
    query: &str,
    limit: usize,
) -> Result<Vec<Ranking>, SearchError> {
    let knowledge = store.knowledge(tenant);
    let groups = by_model(embedders, bases)?;
    let mut rankings = Vec::with_capacity(groups.len());
    for (embedder, sets) in &groups {
        let vector = embed_query(*embedder, query).await?;
        if !is_zero(&vector) {
            rankings.push(Ranking {
                passages: knowledge.nearest(sets, &vector, limit).await?,
                floor: floor(embedder.model()),
            });
        }
    }
    if rankings.is_empty() && !groups.is_empty() {
        return Err(SearchError::NoKnownWords);
    }
    Ok(rankings)
}

/// Only the static model's scores were looked at; those of another are spread otherwise.
fn floor(model: &ModelId) -> Option<f64> {
    (model == StaticModel.model()).then(|| f64::from(RELEVANCE_FLOOR) / 1000.0)
}

/// The knowledge bases with these ids that there are. What is equally near comes in one order,
/// whatever order they were read in.
pub(crate) async fn bases_by_id(
    store: &Store,
    tenant: Tenant,
    bases: &[KnowledgeBaseId],
) -> Result<Vec<KnowledgeBase>, ReadError> {
    let mut bases = store.knowledge(tenant).bases_by_id(bases).await?;
    bases.sort_unstable_by_key(|base| base.id);
    Ok(bases)
}

/// The sets that answer, together with the model that they are of.
type Group<'a> = (&'a dyn Embedder, Vec<SearchedSet>);

fn by_model<'a>(
    embedders: &'a Embedders,
    bases: &[KnowledgeBase],
) -> Result<Vec<Group<'a>>, SearchError> {
    let mut groups: Vec<Group<'a>> = Vec::new();
    for base in bases {
        let embedder = embedders.get(&base.embedding_model).ok_or_else(|| {
            let held = base.embedding_model.clone();
            SearchError::ModelNotConfigured {
                base: base.id,
                held,
            }
        })?;
        let set = SearchedSet {
            knowledge_base: base.id,
            number: base.vectors.current,
        };
        let known = groups
            .iter_mut()
            .find(|(known, _)| known.model() == embedder.model());
        match known {
            Some((_, sets)) => sets.push(set),
            None => groups.push((embedder.as_ref(), vec![set])),
        }
    }
    Ok(groups)
}

async fn embed_query(embedder: &dyn Embedder, query: &str) -> Result<Vec<f32>, EmbeddingError> {
    let texts = [query];
    let embedding = embed_all(embedder, &texts, Purpose::Query);
    let Ok(embedded) = tokio::time::timeout(QUERY_TIME, embedding).await else {
        return Err(EmbeddingError::Unavailable {
            model: embedder.model().clone(),
            reason: format!("it did not answer within {} s", QUERY_TIME.as_secs()),
            retry_after: None,
        });
    };
    let Embedded { mut vectors, .. } = embedded?;
    Ok(vectors.pop().unwrap_or_default())
}
