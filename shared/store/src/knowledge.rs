//! Knowledge bases, the documents in them, and chunks with their vectors.

use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::types::{AttributeValue, PutRequest, WriteRequest};
use domain::event::EventKind;
use domain::file::{File, FileStatus};
use domain::knowledge::{Chunk, Document, DocumentStatus, KnowledgeBase, Passage};
use kernel::cursor::{Page, PageRequest};
use kernel::{FileId, KnowledgeBaseId};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::time::Duration;
use work::{Lane, NewJob};

use crate::commit::key_item;
use crate::config::Table;
use crate::keys::{self, IndexKeys, Key};
use crate::read::Order;
use crate::record::{Item, Record, from_item, to_item};
use crate::{Cause, Commit, Error, ReadError, Store, Tenant, changes};

/// The kind of the job that embeds a file's chunks into a knowledge base.
pub const INDEX_JOB: &str = "document.index";
/// The kind of the job that removes the chunks of a document that was taken out.
pub const UNINDEX_JOB: &str = "document.unindex";
/// The name of the vector index.
const VECTOR_INDEX: &str = "chunks";
/// The most documents one file can be part of.
const MAX_DOCUMENTS_OF_FILE: usize = 100;
/// The most chunks of one document.
pub const MAX_CHUNKS: usize = 20_000;
const WRITE_BATCH: usize = 25;
const WRITE_ROUNDS: u32 = 8;
const BACKFILL_RETRIES: u32 = 6;

/// What the jobs of a document hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentPayload {
    pub knowledge_base: KnowledgeBaseId,
    pub file: FileId,
}

impl Record for KnowledgeBase {
    const NOUN: &'static str = "knowledge base";

    fn key(&self) -> Key {
        keys::knowledge_base(self.org, self.id)
    }

    fn version(&self) -> u64 {
        self.version
    }
}

impl Record for Document {
    const NOUN: &'static str = "document";

    fn key(&self) -> Key {
        keys::document(self.org, self.knowledge_base, self.file)
    }

    fn indexes(&self) -> IndexKeys {
        keys::document_indexes(self.org, self.knowledge_base, self.file)
    }

    fn version(&self) -> u64 {
        self.version
    }
}

impl Record for Chunk {
    const NOUN: &'static str = "chunk";

    fn key(&self) -> Key {
        keys::chunk(self.org, self.knowledge_base, self.file, self.ordinal)
    }
}

/// The knowledge of one org.
#[derive(Debug, Clone, Copy)]
pub struct Knowledge<'a> {
    store: &'a Store,
    tenant: Tenant,
}

impl Store {
    /// The knowledge of an org.
    #[must_use]
    pub fn knowledge(&self, tenant: Tenant) -> Knowledge<'_> {
        Knowledge { store: self, tenant }
    }
}

impl Knowledge<'_> {
    /// The knowledge base with this id.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn base(&self, id: KnowledgeBaseId) -> Result<Option<KnowledgeBase>, ReadError> {
        self.store.get(&keys::knowledge_base(self.tenant.org(), id)).await
    }

    /// Those of the knowledge bases with these ids that exist.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn bases_by_id(
        &self,
        ids: &[KnowledgeBaseId],
    ) -> Result<Vec<KnowledgeBase>, ReadError> {
        let mut ids = ids.to_vec();
        ids.sort_unstable();
        ids.dedup();
        let keys: Vec<Key> =
            ids.iter().map(|id| keys::knowledge_base(self.tenant.org(), *id)).collect();
        self.store.get_batch(&keys).await
    }

    /// Knowledge bases, newest first.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn bases(&self, page: &PageRequest) -> Result<Page<KnowledgeBase>, ReadError> {
        self.store.page(&keys::knowledge_bases(self.tenant.org()), page, Order::Descending).await
    }

    /// Creates a knowledge base for vectors of `embedding_model`.
    ///
    /// # Errors
    /// [`Error::Commit`] if the store does not take it.
    pub async fn create(
        &self,
        cause: &Cause,
        name: String,
        description: String,
        embedding_model: String,
    ) -> Result<KnowledgeBase, Error> {
        let now = self.store.now();
        let base = KnowledgeBase {
            id: KnowledgeBaseId::generate(now),
            org: self.tenant.org(),
            name,
            description,
            embedding_model,
            version: 1,
            created_at: now,
            updated_at: now,
        };
        let data = json!({ "name": base.name });
        let event =
            self.store.event(self.tenant, cause, EventKind::KnowledgeBaseCreated, base.id, data);
        self.store.commit(Commit::new(self.tenant).create(&base).event(event)).await?;
        Ok(base)
    }

    /// Changes name and description.
    ///
    /// # Errors
    /// [`Error::Commit`], as `Changed` if it is no longer at `current`'s version.
    pub async fn update(
        &self,
        cause: &Cause,
        current: &KnowledgeBase,
        name: String,
        description: String,
    ) -> Result<KnowledgeBase, Error> {
        let base = KnowledgeBase {
            name,
            description,
            version: current.version + 1,
            updated_at: self.store.now(),
            ..current.clone()
        };
        let data = changes(current, &base);
        let event =
            self.store.event(self.tenant, cause, EventKind::KnowledgeBaseUpdated, base.id, data);
        let commit = Commit::new(self.tenant).replace(&base, current.version).event(event);
        self.store.commit(commit).await?;
        Ok(base)
    }

    /// Deletes a knowledge base that holds no documents.
    ///
    /// # Errors
    /// [`Error::Commit`], as `Changed` if it is no longer at `current`'s version.
    pub async fn delete(&self, cause: &Cause, current: &KnowledgeBase) -> Result<(), Error> {
        let data = json!({ "name": current.name });
        let event =
            self.store.event(self.tenant, cause, EventKind::KnowledgeBaseDeleted, current.id, data);
        let commit = Commit::new(self.tenant).delete(current, current.version).event(event);
        Ok(self.store.commit(commit).await?)
    }

    /// A file as part of a knowledge base.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn document(
        &self,
        base: KnowledgeBaseId,
        file: FileId,
    ) -> Result<Option<Document>, ReadError> {
        self.store.get(&keys::document(self.tenant.org(), base, file)).await
    }

    /// The documents of a knowledge base, newest file first.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn documents(
        &self,
        base: KnowledgeBaseId,
        page: &PageRequest,
    ) -> Result<Page<Document>, ReadError> {
        self.store
            .page(&keys::documents(self.tenant.org(), base), page, Order::Descending)
            .await
    }

    /// The knowledge bases that a file is part of. May lag behind by moments.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn documents_of_file(&self, file: FileId) -> Result<Vec<Document>, ReadError> {
        let list = keys::documents_of_file(self.tenant.org(), file);
        self.store.all(&list, MAX_DOCUMENTS_OF_FILE).await
    }

    /// Makes a file part of a knowledge base. If it is processed already, its chunks are embedded
    /// by a job; if not, processing will see to that.
    ///
    /// # Errors
    /// [`Error::Commit`], as `Exists` if it is part of it already.
    pub async fn add(
        &self,
        cause: &Cause,
        base: &KnowledgeBase,
        file: &File,
    ) -> Result<Document, Error> {
        let mut commit = Commit::new(self.tenant)
            .unless_changed(base, base.version)
            .unless_changed(file, file.version);
        commit = self.add_document(commit, cause, base.id, file);
        if file.status == FileStatus::Ready {
            commit = commit.job(self.job(INDEX_JOB, cause, base.id, file.id));
        }
        self.store.commit(commit).await?;
        Ok(self.new_document(base.id, file))
    }

    pub(crate) fn add_document(
        &self,
        commit: Commit,
        cause: &Cause,
        base: KnowledgeBaseId,
        file: &File,
    ) -> Commit {
        let data = json!({ "knowledge_base": base, "name": file.name });
        let event = self.store.event(self.tenant, cause, EventKind::DocumentAdded, file.id, data);
        commit.create(&self.new_document(base, file)).event(event)
    }

    /// Takes a file out of a knowledge base. It is found no more; a job removes its chunks.
    ///
    /// # Errors
    /// [`Error::Commit`], as `Changed` if the document was changed meanwhile.
    pub async fn remove(&self, cause: &Cause, document: &Document) -> Result<(), Error> {
        let data = json!({ "knowledge_base": document.knowledge_base });
        let event =
            self.store.event(self.tenant, cause, EventKind::DocumentRemoved, document.file, data);
        let commit = Commit::new(self.tenant)
            .delete(document, document.version)
            .event(event)
            .job(self.job(UNINDEX_JOB, cause, document.knowledge_base, document.file));
        Ok(self.store.commit(commit).await?)
    }

    /// The job that embeds a file's chunks into a knowledge base.
    #[must_use]
    pub fn job(
        &self,
        kind: &str,
        cause: &Cause,
        knowledge_base: KnowledgeBaseId,
        file: FileId,
    ) -> NewJob {
        let payload = json!({ "knowledge_base": knowledge_base, "file": file });
        NewJob::new(self.tenant.org(), kind, Lane::Files, payload)
            .correlation_id(&cause.correlation_id)
    }

    /// Writes chunks with their vectors, over those of the same numbers.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not take them all; those taken stay.
    pub async fn write_chunks(&self, chunks: &[(Chunk, Vec<f32>)]) -> Result<(), ReadError> {
        for batch in chunks.chunks(WRITE_BATCH) {
            let mut requests = Vec::with_capacity(batch.len());
            for (chunk, vector) in batch {
                let mut item: Item = to_item(chunk)?;
                let numbers =
                    vector.iter().map(|number| AttributeValue::N(number.to_string())).collect();
                item.insert("embedding".to_owned(), AttributeValue::L(numbers));
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

    /// Removes the chunks of a document from number `from` on.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer; those removed stay removed.
    pub async fn remove_chunks(
        &self,
        base: KnowledgeBaseId,
        file: FileId,
        from: u32,
    ) -> Result<(), ReadError> {
        let list = keys::chunks(self.tenant.org(), base, file);
        let chunks: Vec<Chunk> = self.store.all(&list, MAX_CHUNKS).await?;
        let doomed: Vec<Key> = chunks
            .iter()
            .filter(|chunk| chunk.ordinal >= from)
            .map(Record::key)
            .collect();
        for batch in doomed.chunks(WRITE_BATCH) {
            let requests = batch
                .iter()
                .map(|key| {
                    let delete = aws_sdk_dynamodb::types::DeleteRequest::builder()
                        .set_key(Some(key_item(key)))
                        .build()
                        .unwrap_or_else(|error| unreachable!("the key is set: {error}"));
                    WriteRequest::builder().delete_request(delete).build()
                })
                .collect();
            self.write_batch(requests).await?;
        }
        Ok(())
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
        let after = from.checked_sub(1).map(|last| kernel::cursor::Cursor::after(format!("{last:06}")));
        let page = self.store.page(&list, &PageRequest { limit, after }, Order::Ascending).await?;
        Ok(page.items)
    }

    /// The chunks of these knowledge bases nearest to `vector`, best first, at most `limit` (which
    /// is at most 100). Chunks of documents that were taken out meanwhile are not among them.
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
        let passages = self.without_removed(passages).await?;
        Ok(passages.into_iter().take(limit).collect())
    }

    async fn nearest_in(
        &self,
        base: KnowledgeBaseId,
        vector: &[f32],
        limit: usize,
    ) -> Result<Vec<Passage>, ReadError> {
        let numbers: Vec<AttributeValue> =
            vector.iter().map(|number| AttributeValue::N(number.to_string())).collect();
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
                        && error.message().is_some_and(|text| text.contains("backfilling")) =>
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
                Ok(Passage { chunk: from_item(item)?, score: 1.0 - distance })
            })
            .collect()
    }

    async fn without_removed(&self, passages: Vec<Passage>) -> Result<Vec<Passage>, ReadError> {
        let mut keys: Vec<Key> = passages
            .iter()
            .map(|passage| {
                let chunk = &passage.chunk;
                keys::document(self.tenant.org(), chunk.knowledge_base, chunk.file)
            })
            .collect();
        keys.sort_unstable_by(|a, b| (&a.pk, &a.sk).cmp(&(&b.pk, &b.sk)));
        keys.dedup();
        let documents: Vec<Document> = self.store.get_batch(&keys).await?;
        let there: std::collections::HashSet<(KnowledgeBaseId, FileId)> =
            documents.iter().map(|document| (document.knowledge_base, document.file)).collect();
        Ok(passages
            .into_iter()
            .filter(|passage| there.contains(&(passage.chunk.knowledge_base, passage.chunk.file)))
            .collect())
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
            requests =
                output.unprocessed_items.unwrap_or_default().into_values().flatten().collect();
            if requests.is_empty() {
                return Ok(());
            }
        }
        Err(ReadError::Unavailable("a batch was not written whole".to_owned()))
    }

    fn new_document(&self, base: KnowledgeBaseId, file: &File) -> Document {
        let now = self.store.now();
        Document {
            org: self.tenant.org(),
            knowledge_base: base,
            file: file.id,
            name: file.name.clone(),
            status: DocumentStatus::Indexing,
            chunks: 0,
            failure: None,
            created_at: now,
            updated_at: now,
            version: 1,
        }
    }
}
