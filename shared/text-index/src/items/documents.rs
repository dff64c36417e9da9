//! Documents of knowledge bases, with their chunks.

use async_trait::async_trait;
use domain::file::File;
use domain::knowledge::{Chunk, Document, DocumentStatus};
use kernel::cursor::{Cursor, PageRequest};
use kernel::{FileId, KnowledgeBaseId};
use store::index_marks::Mark;
use store::{ReadError, Store, Tenant};

use super::{Indexer, Loaded, Marks, author, name};
use crate::item::{Item, ItemKind, Span};

/// Documents may be large: a rebuild takes few at once.
const PAGE: u32 = 8;
const CHUNKS_AT_ONCE: u32 = 1_000;

pub(crate) struct Documents;

#[async_trait]
impl Indexer for Documents {
    fn serves(&self, mark: Mark) -> bool {
        matches!(mark, Mark::Document { .. } | Mark::File(_))
    }

    async fn load(&self, store: &Store, tenant: Tenant, mark: Mark) -> Result<Loaded, ReadError> {
        let (base, file) = match mark {
            Mark::Document { base, file } => (base, file),
            Mark::File(file) => {
                let row = store.files(tenant).get_any(file).await?;
                let bases = row.map(|row| row.knowledge_bases).unwrap_or_default();
                return Ok(Loaded {
                    also: bases
                        .into_iter()
                        .map(|base| self::mark(base, file))
                        .collect(),
                    ..Loaded::default()
                });
            }
            _ => return Ok(Loaded::default()),
        };
        let knowledge = store.knowledge(tenant);
        let Some(document) = knowledge.document(base, file).await? else {
            return Ok(Loaded::default());
        };
        let Some(file) = store.files(tenant).get(file).await? else {
            return Ok(Loaded::default());
        };
        let mut items = vec![whole(&document, &file).into()];
        if document.status == DocumentStatus::Ready {
            let mut from = 0;
            loop {
                let chunks = knowledge
                    .chunks(base, file.id, from, CHUNKS_AT_ONCE)
                    .await?;
                let Some(last) = chunks.last() else { break };
                from = last.ordinal + 1;
                items.extend(
                    chunks
                        .iter()
                        .map(|chunk| piece(&document, &file, chunk).into()),
                );
            }
        }
        Ok(Loaded {
            items,
            ..Loaded::default()
        })
    }

    async fn all(
        &self,
        store: &Store,
        tenant: Tenant,
        after: Option<&str>,
    ) -> Result<Marks, ReadError> {
        let knowledge = store.knowledge(tenant);
        let (base, after) = match after.map(|position| position.split_once('/')) {
            Some(Some((base, ""))) => (self.base_after(store, tenant, Some(base)).await?, None),
            Some(Some((base, document))) => (base.parse().ok(), Some(Cursor::after(document))),
            _ => (self.base_after(store, tenant, None).await?, None),
        };
        let Some(base) = base else {
            return Ok(Marks::default());
        };
        let page = PageRequest { limit: PAGE, after };
        let page = knowledge.documents(base, &page).await?;
        let next = page.next.as_ref().map_or("", Cursor::sort_key);
        Ok(Marks {
            marks: page
                .items
                .iter()
                .map(|document| mark(base, document.file))
                .collect(),
            next: Some(format!("{base}/{next}")),
        })
    }
}

impl Documents {
    async fn base_after(
        &self,
        store: &Store,
        tenant: Tenant,
        after: Option<&str>,
    ) -> Result<Option<KnowledgeBaseId>, ReadError> {
        let page = PageRequest {
            limit: 1,
            after: after.map(Cursor::after),
        };
        let page = store.knowledge(tenant).bases(&page).await?;
        Ok(page.items.first().map(|base| base.id))
    }
}

/// What brings a document and its chunks into the index.
pub(crate) fn mark(base: KnowledgeBaseId, file: FileId) -> Mark {
    Mark::Document { base, file }
}

/// The id of a chunk as an item.
pub(crate) fn chunk_id(base: KnowledgeBaseId, file: FileId, ordinal: u32) -> String {
    format!("{base}/{file}/{ordinal:06}")
}

fn whole(document: &Document, file: &File) -> Item {
    let id = format!("{}/{}", document.knowledge_base, document.file);
    let title = file.title.clone().unwrap_or_else(|| document.name.clone());
    Item {
        body: if title == document.name {
            String::new()
        } else {
            document.name.clone()
        },
        title,
        status: name(&document.status),
        ..of(document, file, ItemKind::Document, id)
    }
}

fn piece(document: &Document, file: &File, chunk: &Chunk) -> Item {
    let id = chunk_id(chunk.knowledge_base, chunk.file, chunk.ordinal);
    Item {
        title: chunk.document.clone(),
        body: chunk.text.clone(),
        heading: chunk.heading(),
        page: chunk.page,
        span: Some(Span {
            start: chunk.start,
            end: chunk.end,
        }),
        ordinal: Some(chunk.ordinal),
        ..of(document, file, ItemKind::Chunk, id)
    }
}

fn of(document: &Document, file: &File, kind: ItemKind, id: String) -> Item {
    Item {
        knowledge_base: Some(document.knowledge_base),
        file: Some(document.file),
        author: author(&file.uploaded_by),
        language: file.language.clone(),
        type_: file.format.clone(),
        updated_at: document.updated_at,
        ..Item::new(kind, id, document.created_at)
    }
}
