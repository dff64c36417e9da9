//! Chunks and their vectors: what a search finds.

use std::collections::HashSet;
use std::time::Duration;

use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::types::{AttributeValue, DeleteRequest, PutRequest, Select, WriteRequest};
use domain::knowledge::{Chunk, Document, Passage};
use kernel::cursor::{Cursor, PageRequest};
use kernel::{FileId, KnowledgeBaseId};

use crate::ReadError;
use crate::commit::key_item;
use crate::config::Table;
use crate::keys::{self, Key};
use crate::knowledge::Knowledge;
use crate::read::Order;
use crate::record::{Item, Record, from_item, to_item};

/// The name of the vector index.
const VECTOR_INDEX: &str = "chunks";
/// The most chunks of one document.
pub const MAX_CHUNKS: usize = 500_000;
const WRITE_BATCH: usize = 25;
const WRITE_ROUNDS: u32 = 8;
const REMOVED_AT_ONCE: u32 = 500;
const BACKFILL_RETRIES: u32 = 6;

impl Record for Chunk {
    const NOUN: &'static str = "chunk";

    fn key(&self) -> Key {
        keys::chunk(self.org, self.knowledge_base, self.file, self.ordinal)
    }
}

impl Knowledge<'_> {
    /// Writes chunks with their vectors, over those of the same numbers. A chunk whose vector is all
    /// zeros, in which the model found nothing, is kept to be read and is not in the index: no
    /// direction is near to it.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not take them all; those taken stay.
    pub async fn write_chunks(&self, chunks: &[(Chunk, Vec<f32>)]) -> Result<(), ReadError> {
        for batch in chunks.chunks(WRITE_BATCH) {
            let mut requests = Vec::with_capacity(batch.len());
            for (chunk, vector) in batch {
                let mut item: Item = to_item(chunk)?;
                if vector.iter().any(|number| *number != 0.0) {
                    let numbers = vector
                        .iter()
                        .map(|number| AttributeValue::N(number.to_string()))
                        .collect();
                    item.insert("embedding".to_owned(), AttributeValue::L(numbers));
                }
                let put = PutRequest::builder()
                    .set_item(Some(item))
                    .build()
                    .unwrap_or_else(|error| unreachable!("the item is set: {error}"));
                requests.push(WriteRequest::builder().put_request(put).build());
            }
            self.write_batch(requests).await?;
        }
        Ok(())
    }

    /// Removes chunks of a document from number `from` on, one batch of a few hundred. `true` if
    /// more may be left: call again.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer; those removed stay removed.
    pub async fn remove_chunks(
        &self,
        base: KnowledgeBaseId,
        file: FileId,
        from: u32,
    ) -> Result<bool, ReadError> {
        let chunks = self.chunks(base, file, from, REMOVED_AT_ONCE).await?;
        let doomed: Vec<Key> = chunks.iter().map(Record::key).collect();
        for batch in doomed.chunks(WRITE_BATCH) {
            let requests = batch
                .iter()
                .map(|key| {
                    let delete = DeleteRequest::builder()
                        .set_key(Some(key_item(key)))
                        .build()
                        .unwrap_or_else(|error| unreachable!("the key is set: {error}"));
                    WriteRequest::builder().delete_request(delete).build()
                })
                .collect();
            self.write_batch(requests).await?;
        }
        Ok(doomed.len() == REMOVED_AT_ONCE as usize)
    }

    /// The chunks of a document in order, from number `from` on, at most `limit`.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn chunks(
        &self,
        base: KnowledgeBaseId,
        file: FileId,
        from: u32,
        limit: u32,
    ) -> Result<Vec<Chunk>, ReadError> {
        let list = keys::chunks(self.tenant.org(), base, file);
        let after = from
            .checked_sub(1)
            .map(|last| Cursor::after(format!("{last:06}")));
        let page = self
            .store
            .page(&list, &PageRequest { limit, after }, Order::Ascending)
            .await?;
        Ok(page.items)
    }

    /// Whether every chunk of a document below number `until` is there.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn holds_chunks(
        &self,
        base: KnowledgeBaseId,
        file: FileId,
        until: u32,
    ) -> Result<bool, ReadError> {
        let end = keys::chunk(self.tenant.org(), base, file, until);
        let mut found = 0;
        let mut start = None;
        loop {
            let output = self
                .store
                .clients
                .dynamo
                .query()
                .table_name(self.store.config.table(end.table))
                .consistent_read(true)
                .select(Select::Count)
                .key_condition_expression("pk = :pk AND sk < :end")
                .expression_attribute_values(":pk", AttributeValue::S(end.pk.clone()))
                .expression_attribute_values(":end", AttributeValue::S(end.sk.clone()))
                .set_exclusive_start_key(start.take())
                .send()
                .await
                .map_err(ReadError::sdk)?;
            found += output.count;
            start = output.last_evaluated_key;
            if start.is_none() {
                return Ok(i64::from(found) == i64::from(until));
            }
        }
    }

    /// The chunks of these knowledge bases nearest to `vector`, best first, at most `limit` (which
    /// is at most 100). Not among them are chunks of documents that were taken out meanwhile, whose
    /// file was deleted or cannot be read, and those of an earlier content.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn nearest(
        &self,
        bases: &[KnowledgeBaseId],
        vector: &[f32],
        limit: usize,
    ) -> Result<Vec<Passage>, ReadError> {
        let mut passages = Vec::new();
        for base in bases {
            passages.extend(self.nearest_in(*base, vector, limit).await?);
        }
        passages.sort_by(|a, b| {
            b.score
                .total_cmp(&a.score)
                .then_with(|| (a.chunk.file, a.chunk.ordinal).cmp(&(b.chunk.file, b.chunk.ordinal)))
        });
        let passages = self
            .without_removed(passages, |passage| &passage.chunk)
            .await?;
        Ok(passages.into_iter().take(limit).collect())
    }

    async fn nearest_in(
        &self,
        base: KnowledgeBaseId,
        vector: &[f32],
        limit: usize,
    ) -> Result<Vec<Passage>, ReadError> {
        let numbers: Vec<AttributeValue> = vector
            .iter()
            .map(|number| AttributeValue::N(number.to_string()))
            .collect();
        let mut attempt = 0;
        let output = loop {
            let result = self
                .store
                .clients
                .dynamo
                .search_vectors()
                .table_name(self.store.config.table(Table::Knowledge))
                .index_name(VECTOR_INDEX)
                .set_search_vector(Some(numbers.clone()))
                .top_k(i32::try_from(limit.clamp(1, 100)).unwrap_or(100))
                .search_condition_expression("#org = :org AND #base = :base")
                .expression_attribute_names("#org", "org")
                .expression_attribute_names("#base", "knowledge_base")
                .expression_attribute_values(
                    ":org",
                    AttributeValue::S(self.tenant.org().to_string()),
                )
                .expression_attribute_values(":base", AttributeValue::S(base.to_string()))
                .send()
                .await;
            match result {
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
        output
            .search_results
            .unwrap_or_default()
            .into_iter()
            .filter_map(|result| result.item.map(|item| (item, result.score)))
            .map(|(item, distance)| {
                // The index answers with cosine distance, 0 for the same direction.
                Ok(Passage {
                    chunk: from_item(item)?,
                    score: 1.0 - distance,
                })
            })
            .collect()
    }

    /// Those of these chunks that are there, of documents that were not taken out meanwhile, in no
    /// certain order: each by its knowledge base, its file and its number.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn chunks_at(
        &self,
        places: &[(KnowledgeBaseId, FileId, u32)],
    ) -> Result<Vec<Chunk>, ReadError> {
        let org = self.tenant.org();
        let keys: Vec<Key> = places
            .iter()
            .map(|(base, file, ordinal)| keys::chunk(org, *base, *file, *ordinal))
            .collect();
        let chunks: Vec<Chunk> = self.store.get_batch(&keys).await?;
        self.without_removed(chunks, |chunk| chunk).await
    }

    /// Without those whose document was taken out.
    async fn without_removed<T>(
        &self,
        found: Vec<T>,
        chunk: impl Fn(&T) -> &Chunk,
    ) -> Result<Vec<T>, ReadError> {
        let mut keys: Vec<Key> = found
            .iter()
            .map(&chunk)
            .map(|chunk| keys::document(self.tenant.org(), chunk.knowledge_base, chunk.file))
            .collect();
        keys.sort_unstable_by(|a, b| (&a.pk, &a.sk).cmp(&(&b.pk, &b.sk)));
        keys.dedup();
        let documents: Vec<Document> = self.store.get_batch(&keys).await?;
        let there: HashSet<(KnowledgeBaseId, FileId, u32)> = documents
            .iter()
            .filter(|document| document.status.may_be_found())
            .map(|document| {
                (
                    document.knowledge_base,
                    document.file,
                    document.content_version,
                )
            })
            .collect();
        let is_there = |found: &T| {
            let chunk = chunk(found);
            there.contains(&(chunk.knowledge_base, chunk.file, chunk.content_version))
        };
        Ok(found.into_iter().filter(is_there).collect())
    }

    async fn write_batch(&self, mut requests: Vec<WriteRequest>) -> Result<(), ReadError> {
        let table = self.store.config.table(Table::Knowledge).to_owned();
        for round in 0..WRITE_ROUNDS {
            if round > 0 {
                let ceiling = 25u64 << round;
                let delay = rand::random_range(ceiling / 2..=ceiling);
                tokio::time::sleep(Duration::from_millis(delay)).await;
            }
            let output = self
                .store
                .clients
                .dynamo
                .batch_write_item()
                .request_items(&table, std::mem::take(&mut requests))
                .send()
                .await
                .map_err(ReadError::sdk)?;
            requests = output
                .unprocessed_items
                .unwrap_or_default()
                .into_values()
                .flatten()
                .collect();
            if requests.is_empty() {
                return Ok(());
            }
        }
        Err(ReadError::Unavailable(
            "a batch was not written whole".to_owned(),
        ))
    }
}
