//! Hybrid search: what has the words of a query and what is near to it in meaning, as one ranking.
//!
//! Every hit, whichever way it was found, has gone through the text index with the viewer, the
//! filter and the signs of the query ([`TextIndex::chunks`](text_index::TextIndex::chunks)), so the
//! same may be seen by either way.

use std::collections::HashMap;

use kernel::cursor::PageRequest;
use store::ReadError;
use text_index::{ChunkPlace, Found, Hit, ItemKind, Query, Scope, Sort};

use crate::fuse::fuse_weighed;
use crate::{Retriever, SearchError, bases_by_id, rankings};

/// How many hits each ranking gives, and how many there are of them together.
pub const DEPTH: usize = 100;
/// How many knowledge bases are searched by meaning at once.
pub const MAX_BASES: u32 = 50;

/// Why a search gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum HybridError {
    /// The words could not be searched for.
    #[error(transparent)]
    Words(#[from] text_index::Error),
    /// Nothing could be searched for by meaning.
    #[error(transparent)]
    Meaning(#[from] MeaningError),
}

/// Why nothing could be searched for by meaning.
#[derive(Debug, thiserror::Error)]
pub enum MeaningError {
    /// The org has more knowledge bases than are searched at once, and none was named.
    #[error(
        "More than {MAX_BASES} knowledge bases are not searched by meaning at once. Name some of \
         them."
    )]
    TooManyBases,
    #[error(transparent)]
    Search(#[from] SearchError),
}

impl From<ReadError> for MeaningError {
    fn from(error: ReadError) -> Self {
        Self::Search(SearchError::Read(error))
    }
}

/// A ranking of what was found, at most [`DEPTH`] deep.
#[derive(Debug)]
pub struct Ranked {
    /// The best first. Their scores are reciprocal ranks, summed over the rankings that were fused.
    pub hits: Vec<Hit>,
    /// What the words found, but for its hits, where they were searched for.
    pub words: Option<Found>,
    /// Why nothing was searched for by meaning beside the words.
    pub without_meaning: Option<MeaningError>,
}

impl Retriever<'_> {
    /// What has the words of `query` and what is near to it in meaning. Where nothing can be
    /// searched for by meaning, the words alone answer. The query's sort, its limit and its position
    /// are passed over.
    ///
    /// # Errors
    /// [`HybridError`]; of those by meaning only that the store does not answer.
    pub async fn hybrid(&self, scope: &Scope, query: &Query) -> Result<Ranked, HybridError> {
        let query = &whole(query);
        let (words, near) = tokio::join!(
            self.index.search(self.tenant, scope, query),
            self.near(query),
        );
        let mut words = words?;
        let said = std::mem::take(&mut words.hits);
        let (near, without_meaning) = match near {
            Ok(near) => (near, None),
            Err(MeaningError::Search(error @ SearchError::Read(_))) => {
                return Err(MeaningError::Search(error).into());
            }
            Err(error) => (Vec::new(), Some(error)),
        };
        let mut lists = self.let_through(scope, query, near, &said).await?;
        lists.insert(0, said);
        Ok(Ranked {
            hits: fused(lists),
            words: Some(words),
            without_meaning,
        })
    }

    /// What is near to `query` in meaning: chunks, and nothing else.
    ///
    /// # Errors
    /// [`HybridError`].
    pub async fn by_meaning(&self, scope: &Scope, query: &Query) -> Result<Ranked, HybridError> {
        let query = &whole(query);
        let near = self.near(query).await?;
        let lists = self.let_through(scope, query, near, &[]).await?;
        Ok(Ranked {
            hits: fused(lists),
            words: None,
            without_meaning: None,
        })
    }

    /// The places that are nearest by each model, best first, in the knowledge bases that the filter
    /// names, or in all.
    async fn near(&self, query: &Query) -> Result<Vec<Vec<ChunkPlace>>, MeaningError> {
        let named = &query.filter.knowledge_bases;
        let bases = if named.is_empty() {
            let knowledge = self.store.knowledge(self.tenant);
            let page = knowledge.bases(&PageRequest::first(MAX_BASES + 1)).await?;
            if page.items.len() > MAX_BASES as usize {
                return Err(MeaningError::TooManyBases);
            }
            page.items
        } else {
            bases_by_id(self.store, self.tenant, named).await?
        };
        let text = text_index::plain_text(&query.text);
        let rankings = rankings(
            self.store,
            self.embedders,
            self.tenant,
            &bases,
            &text,
            DEPTH,
        );
        let places = |ranking: crate::Ranking| {
            let passages = ranking.into_near();
            let place = |passage: domain::knowledge::Passage| {
                let chunk = passage.chunk;
                (chunk.knowledge_base, chunk.file, chunk.ordinal)
            };
            passages.into_iter().map(place).collect()
        };
        Ok(rankings.await?.into_iter().map(places).collect())
    }

    /// The hits at these places that the viewer may see and the filter lets through, in the same
    /// order. Of those in `said` this is known.
    async fn let_through(
        &self,
        scope: &Scope,
        query: &Query,
        near: Vec<Vec<ChunkPlace>>,
        said: &[Hit],
    ) -> Result<Vec<Vec<Hit>>, HybridError> {
        let mut known: HashMap<ChunkPlace, Hit> = said
            .iter()
            .filter_map(|hit| Some((place(hit)?, hit.clone())))
            .collect();
        let mut unknown: Vec<ChunkPlace> = near.iter().flatten().copied().collect();
        unknown.retain(|place| !known.contains_key(place));
        unknown.sort_unstable();
        unknown.dedup();
        let found = self.index.chunks(self.tenant, scope, query, &unknown);
        for hit in found.await? {
            known.extend(place(&hit).map(|place| (place, hit)));
        }
        let hits = |places: Vec<ChunkPlace>| {
            let places = places.iter();
            places
                .filter_map(|place| known.get(place).cloned())
                .collect()
        };
        Ok(near.into_iter().map(hits).collect())
    }
}

/// A query for all that one ranking gives.
fn whole(query: &Query) -> Query {
    Query {
        limit: DEPTH,
        sort: Sort::Relevance,
        after: None,
        ..query.clone()
    }
}

fn place(hit: &Hit) -> Option<ChunkPlace> {
    let item = &hit.item;
    if item.kind != ItemKind::Chunk {
        return None;
    }
    Some((item.knowledge_base?, item.file?, item.ordinal?))
}

fn fused(lists: Vec<Vec<Hit>>) -> Vec<Hit> {
    let name = |hit: &Hit| (hit.item.kind, hit.item.id.clone());
    let weighed = fuse_weighed(lists, name).into_iter().take(DEPTH);
    weighed
        .map(|(hit, weight)| Hit {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "a score is shown, not counted with"
            )]
            score: weight as f32,
            ..hit
        })
        .collect()
}

/// Whether a filter asks for what chunks have, so that a search by meaning can obey it.
#[must_use]
pub fn suits_chunks(filter: &text_index::Filter) -> bool {
    let any_chunk = filter.kinds.is_empty() || filter.kinds.contains(&ItemKind::Chunk);
    any_chunk
        && filter.statuses.is_empty()
        && filter.agents.is_empty()
        && filter.tasks.is_empty()
        && filter.executions.is_empty()
        && filter.conversations.is_empty()
}

#[cfg(test)]
mod tests {
    use kernel::{FileId, Timestamp};
    use text_index::{Filter, Item};

    use super::*;

    fn hit(kind: ItemKind, id: &str, score: f32) -> Hit {
        Hit {
            item: Item::new(kind, id, Timestamp::from_millis(0)),
            score,
            highlights: Vec::new(),
        }
    }

    #[test]
    fn hits_are_fused_by_kind_and_id_and_scored_by_their_ranks() {
        let said = vec![
            hit(ItemKind::Task, "a", 9.0),
            hit(ItemKind::Chunk, "a", 8.0),
        ];
        let near = vec![
            hit(ItemKind::Chunk, "a", 0.0),
            hit(ItemKind::Chunk, "b", 0.0),
        ];
        let found = fused(vec![said, near]);
        let names: Vec<(ItemKind, &str)> = found
            .iter()
            .map(|hit| (hit.item.kind, hit.item.id.as_str()))
            .collect();
        let expected = [
            (ItemKind::Chunk, "a"),
            (ItemKind::Task, "a"),
            (ItemKind::Chunk, "b"),
        ];
        assert_eq!(names, expected);
        let sums = [1.0 / 62.0 + 1.0 / 61.0, 1.0 / 61.0, 1.0 / 62.0];
        for (hit, sum) in found.iter().zip(sums) {
            assert!((hit.score - sum).abs() < 1e-6, "{found:?}");
        }
    }

    #[test]
    fn two_rankings_together_are_no_deeper_than_one() {
        let list = |kind| (0..DEPTH).map(|n| hit(kind, &n.to_string(), 0.0)).collect();
        let found = fused(vec![list(ItemKind::Task), list(ItemKind::Chunk)]);
        assert_eq!(found.len(), DEPTH);
    }

    #[test]
    fn what_chunks_do_not_have_is_no_matter_of_meaning() {
        assert!(suits_chunks(&Filter::default()));
        let file = Filter {
            files: vec![FileId::from_u128(1)],
            kinds: vec![ItemKind::Task, ItemKind::Chunk],
            languages: vec!["eng".to_owned()],
            ..Filter::default()
        };
        assert!(suits_chunks(&file));
        for filter in [
            Filter {
                kinds: vec![ItemKind::Task],
                ..Filter::default()
            },
            Filter {
                statuses: vec!["todo".to_owned()],
                ..Filter::default()
            },
            Filter {
                agents: vec![kernel::AgentId::from_u128(1)],
                ..Filter::default()
            },
        ] {
            assert!(!suits_chunks(&filter), "{filter:?}");
        }
    }
}
