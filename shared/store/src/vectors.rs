//! The vectors of chunks, in sets: what a semantic search compares.
//!
//! A vector is a row of its own beside its chunk, so that a knowledge base can have two sets of them
//! for a while: the one that answers, and the one of another model that is being made. The index is
//! narrowed to one set by [`keys::vector_set`], so no search sees vectors of two.
//!
//! An index holds vectors of one length, and each length that there can be has an index.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::types::AttributeValue;
use domain::knowledge::{Chunk, Passage};
use futures::{StreamExt as _, TryStreamExt as _};
use kernel::{FileId, KnowledgeBaseId, OrgId};
use serde::{Deserialize, Serialize};

use crate::ReadError;
use crate::config::Table;
use crate::keys::{self, Key};
use crate::knowledge::Knowledge;
use crate::record::{Item, Record, from_item, to_item};

/// The lengths that vectors can have.
pub const WIDTHS: [usize; 3] = [256, 384, 1024];
const BACKFILL_RETRIES: u32 = 6;
const MAX_TOP_K: usize = 100;
/// How many sets are searched at the same time.
const SEARCHES_AT_ONCE: usize = 8;
const REMOVED_AT_ONCE: i32 = 500;

/// The set of vectors that a search asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SearchedSet {
    pub knowledge_base: KnowledgeBaseId,
    /// Its number in the knowledge base.
    pub number: u32,
}

/// What vectors are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VectorsOf {
    pub knowledge_base: KnowledgeBaseId,
    /// The number of the set that they are in.
    pub set: u32,
    pub file: FileId,
    /// Which content of the file the chunks are from.
    pub content_version: u32,
}

/// Where a vector belongs, without its numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct VectorRow {
    org: OrgId,
    base: KnowledgeBaseId,
    set: u32,
    /// The name of the set, by which the index is narrowed.
    knowledge_base: String,
    file: FileId,
    content_version: u32,
    ordinal: u32,
}

impl Record for VectorRow {
    const NOUN: &'static str = "vector";

    fn key(&self) -> Key {
        keys::vector(self.org, self.base, self.file, self.set, self.ordinal)
    }
}

/// The index of vectors of a length, and the attribute that it reads.
fn index(width: usize) -> Result<(&'static str, &'static str), ReadError> {
    match width {
        256 => Ok(("chunks", "embedding")),
        384 => Ok(("chunks-384", "embedding_384")),
        1024 => Ok(("chunks-1024", "embedding_1024")),
        other => Err(ReadError::Unavailable(format!(
            "there is no index of vectors with {other} dimensions"
        ))),
    }
}

impl Knowledge<'_> {
    /// Writes the vectors of a document's chunks in one set, from number `from` on, over those that
    /// are there. A vector that is all zeros, in which the model found nothing, is kept as a row
    /// that the index passes over: no direction is near to it.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not take them all; those taken stay.
    pub async fn write_vectors(
        &self,
        of: &VectorsOf,
        from: u32,
        vectors: &[Vec<f32>],
    ) -> Result<(), ReadError> {
        let mut items = Vec::with_capacity(vectors.len());
        for (ordinal, vector) in (from..).zip(vectors) {
            let row = VectorRow {
                org: self.tenant.org(),
                base: of.knowledge_base,
                set: of.set,
                knowledge_base: keys::vector_set(of.knowledge_base, of.set),
                file: of.file,
                content_version: of.content_version,
                ordinal,
            };
            let mut item: Item = to_item(&row)?;
            if vector.iter().any(|number| *number != 0.0) {
                let (_, attribute) = index(vector.len())?;
                item.insert(attribute.to_owned(), AttributeValue::L(numbers(vector)));
            }
            items.push(item);
        }
        self.store.put_all(Table::Knowledge, items).await
    }

    /// Whether a set holds a row for every chunk of a document below number `until`.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn holds_vectors(
        &self,
        base: KnowledgeBaseId,
        file: FileId,
        set: u32,
        until: u32,
    ) -> Result<bool, ReadError> {
        let Some(last) = until.checked_sub(1) else {
            return Ok(true);
        };
        let [first, last] =
            [0, last].map(|ordinal| keys::vector(self.tenant.org(), base, file, set, ordinal));
        Ok(self.store.count_between(&first, &last).await? == u64::from(until))
    }

    /// Removes the vectors of a document that are in none of the sets `keep`, and in those whatever
    /// is numbered `until` or higher; one batch of a few hundred. `true` if more may be left: call
    /// again.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer; those removed stay removed.
    pub async fn remove_vectors(
        &self,
        base: KnowledgeBaseId,
        file: FileId,
        keep: &[u32],
        until: u32,
    ) -> Result<bool, ReadError> {
        let pk = keys::vectors(self.tenant.org(), base, file);
        for (first, last) in outside(keep, until) {
            let doomed = self.vector_keys(&pk, first, last).await?;
            if !doomed.is_empty() {
                self.store.delete_all(Table::Knowledge, &doomed).await?;
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn vector_keys(
        &self,
        pk: &str,
        first: String,
        last: String,
    ) -> Result<Vec<Key>, ReadError> {
        let query = self
            .store
            .clients
            .dynamo
            .query()
            .table_name(self.store.config.table(Table::Knowledge))
            .consistent_read(true)
            .projection_expression("sk")
            .key_condition_expression("pk = :pk AND sk BETWEEN :first AND :last")
            .expression_attribute_values(":pk", AttributeValue::S(pk.to_owned()))
            .expression_attribute_values(":first", AttributeValue::S(first))
            .expression_attribute_values(":last", AttributeValue::S(last))
            .limit(REMOVED_AT_ONCE);
        let output = Box::pin(query.send()).await.map_err(ReadError::sdk)?;
        let keys = output.items.unwrap_or_default().into_iter();
        Ok(keys
            .filter_map(|mut item| match item.remove("sk") {
                Some(AttributeValue::S(sk)) => Some(Key {
                    table: Table::Knowledge,
                    pk: pk.to_owned(),
                    sk,
                }),
                _ => None,
            })
            .collect())
    }

    /// The chunks whose vectors in these sets are nearest to `vector`, best first, at most `limit`.
    /// All sets must be of the model that `vector` is of. Chunks of documents that were taken out
    /// meanwhile are not among them.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn nearest(
        &self,
        sets: &[SearchedSet],
        vector: &[f32],
        limit: usize,
    ) -> Result<Vec<Passage>, ReadError> {
        // Some of what is near may be gone, and is then made up for.
        let most = (limit.max(1) * 2).min(MAX_TOP_K);
        let searches = futures::stream::iter(sets.to_vec())
            .map(|set| self.nearest_in(set, vector, most))
            .buffer_unordered(SEARCHES_AT_ONCE);
        let found: Vec<Vec<Hit>> = searches.try_collect().await?;
        let mut hits: Vec<Hit> = found.into_iter().flatten().collect();
        hits.sort_by(|a, b| {
            a.distance
                .total_cmp(&b.distance)
                .then_with(|| (a.file, a.ordinal).cmp(&(b.file, b.ordinal)))
        });
        let mut seen = HashSet::new();
        hits.retain(|hit| seen.insert((hit.base, hit.file, hit.ordinal)));
        let mut passages = Vec::new();
        for hits in hits.chunks(most) {
            passages.extend(self.passages(hits).await?);
            if passages.len() >= limit {
                break;
            }
        }
        passages.truncate(limit);
        Ok(passages)
    }

    async fn nearest_in(
        &self,
        set: SearchedSet,
        vector: &[f32],
        limit: usize,
    ) -> Result<Vec<Hit>, ReadError> {
        let (index, _) = index(vector.len())?;
        let numbers = numbers(vector);
        let name = keys::vector_set(set.knowledge_base, set.number);
        let org = self.tenant.org().to_string();
        let mut attempt = 0;
        let output = loop {
            let search = self
                .store
                .clients
                .dynamo
                .search_vectors()
                .table_name(self.store.config.table(Table::Knowledge))
                .index_name(index)
                .set_search_vector(Some(numbers.clone()))
                .top_k(i32::try_from(limit).unwrap_or(i32::MAX))
                .search_condition_expression("#org = :org AND #set = :set")
                .expression_attribute_names("#org", "org")
                .expression_attribute_names("#set", "knowledge_base")
                .expression_attribute_values(":org", AttributeValue::S(org.clone()))
                .expression_attribute_values(":set", AttributeValue::S(name.clone()));
            match Box::pin(search.send()).await {
                Ok(output) => break output,
                // An index that was just made refuses searches for a while.
                Err(error)
                    if attempt < BACKFILL_RETRIES
                        && error
                            .message()
                            .is_some_and(|text| text.contains("backfilling")) =>
                {
                    attempt += 1;
                    tokio::time::sleep(Duration::from_millis(100 << attempt)).await;
                }
                Err(error) => return Err(ReadError::sdk(error)),
            }
        };
        let results = output.search_results.unwrap_or_default().into_iter();
        results
            .filter_map(|result| result.item.map(|item| (item, result.score)))
            .map(|(item, distance)| {
                let row: VectorRow = from_item(item)?;
                Ok(Hit {
                    base: set.knowledge_base,
                    file: row.file,
                    content_version: row.content_version,
                    ordinal: row.ordinal,
                    distance,
                })
            })
            .collect()
    }

    /// What was hit, as it is there now, in the same order.
    async fn passages(&self, hits: &[Hit]) -> Result<Vec<Passage>, ReadError> {
        let places: Vec<(KnowledgeBaseId, FileId, u32)> = hits
            .iter()
            .map(|hit| (hit.base, hit.file, hit.ordinal))
            .collect();
        let chunks = self.chunks_at(&places).await?;
        let mut chunks: HashMap<(KnowledgeBaseId, FileId, u32), Chunk> = chunks
            .into_iter()
            .map(|chunk| ((chunk.knowledge_base, chunk.file, chunk.ordinal), chunk))
            .collect();
        let passage = |hit: &Hit| {
            let chunk = chunks.remove(&(hit.base, hit.file, hit.ordinal))?;
            // The index answers with cosine distance, 0 for the same direction.
            let score = 1.0 - hit.distance;
            // A vector of another content says nothing about this one.
            (chunk.content_version == hit.content_version).then_some(Passage { chunk, score })
        };
        Ok(hits.iter().filter_map(passage).collect())
    }
}

/// A vector that was found.
struct Hit {
    base: KnowledgeBaseId,
    file: FileId,
    content_version: u32,
    ordinal: u32,
    distance: f64,
}

fn numbers(vector: &[f32]) -> Vec<AttributeValue> {
    let number = |number: &f32| AttributeValue::N(number.to_string());
    vector.iter().map(number).collect()
}

/// The ranges of sort keys that hold what is in none of the sets `keep`, and what is numbered
/// `until` or higher in those.
fn outside(keep: &[u32], until: u32) -> Vec<(String, String)> {
    let mut keep = keep.to_vec();
    keep.sort_unstable();
    keep.dedup();
    let mut first = keys::vector_sort_key(0, 0);
    let mut ranges = Vec::new();
    for set in keep {
        // Below every key of the set, above every key of the one before.
        let last = format!("{set:010}");
        if first < last {
            ranges.push((first, last));
        }
        first = keys::vector_sort_key(set, until);
    }
    ranges.push((first, "~".to_owned()));
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_outside(keep: &[u32], until: u32, set: u32, ordinal: u32) -> bool {
        let key = keys::vector_sort_key(set, ordinal);
        let ranges = outside(keep, until);
        assert!(
            ranges.iter().all(|(first, last)| first <= last),
            "a range the wrong way round is refused: {ranges:?}"
        );
        ranges
            .iter()
            .any(|(first, last)| *first <= key && key <= *last)
    }

    #[test]
    fn what_is_kept_is_spared_and_nothing_else() {
        for (keep, until) in [
            (vec![], 0),
            (vec![0], 3),
            (vec![2], 3),
            (vec![2, 0], 1),
            (vec![0, 1, 4], 2),
            (vec![1], u32::MAX),
        ] {
            for set in 0..6 {
                for ordinal in 0..5 {
                    let kept = keep.contains(&set) && ordinal < until;
                    assert_eq!(
                        is_outside(&keep, until, set, ordinal),
                        !kept,
                        "{keep:?} {until} {set} {ordinal}"
                    );
                }
            }
        }
    }

    #[test]
    fn every_width_has_an_index() {
        let mut indexes: Vec<_> = WIDTHS
            .iter()
            .map(|width| index(*width).expect("an index"))
            .collect();
        indexes.dedup();
        assert_eq!(indexes.len(), WIDTHS.len());
        assert!(index(512).is_err());
    }
}
