//! Chunks: what a search finds.

use std::collections::HashSet;

use domain::knowledge::{Chunk, Document};
use kernel::cursor::{Cursor, PageRequest};
use kernel::{FileId, KnowledgeBaseId};

use crate::ReadError;
use crate::config::Table;
use crate::keys::{self, Key};
use crate::knowledge::Knowledge;
use crate::read::Order;
use crate::record::{Record, to_item};

/// The most chunks of one document.
pub const MAX_CHUNKS: usize = 500_000;
const REMOVED_AT_ONCE: u32 = 500;

impl Record for Chunk {
    const NOUN: &'static str = "chunk";

    fn key(&self) -> Key {
        keys::chunk(self.org, self.knowledge_base, self.file, self.ordinal)
    }
}

impl Knowledge<'_> {
    /// Writes chunks over those of the same numbers. Their vectors are written apart, see
    /// [`vectors`](crate::vectors).
    ///
    /// # Errors
    /// [`ReadError`] if the store does not take them all; those taken stay.
    pub async fn write_chunks(&self, chunks: &[Chunk]) -> Result<(), ReadError> {
        let items = chunks.iter().map(to_item).collect::<Result<Vec<_>, _>>()?;
        self.store.put_all(Table::Knowledge, items).await
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
        self.store.delete_all(Table::Knowledge, &doomed).await?;
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
        let Some(last) = until.checked_sub(1) else {
            return Ok(true);
        };
        let [first, last] = [0, last].map(|n| keys::chunk(self.tenant.org(), base, file, n));
        Ok(self.store.count_between(&first, &last).await? == u64::from(until))
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
        self.without_removed(chunks).await
    }

    /// Without those whose document was taken out, whose file was deleted or cannot be read, and
    /// without those of an earlier content.
    async fn without_removed(&self, found: Vec<Chunk>) -> Result<Vec<Chunk>, ReadError> {
        let mut keys: Vec<Key> = found
            .iter()
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
        let is_there = |chunk: &Chunk| {
            there.contains(&(chunk.knowledge_base, chunk.file, chunk.content_version))
        };
        Ok(found.into_iter().filter(is_there).collect())
    }
}
