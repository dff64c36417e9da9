//! Knowledge bases, the documents in them, and chunks: what agents search.

use kernel::{FileId, KnowledgeBaseId, OrgId, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::execution::Failure;

/// A set of documents that agents may search.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KnowledgeBase {
    pub id: KnowledgeBaseId,
    pub org: OrgId,
    pub name: String,
    #[serde(default)]
    pub description: String,
    /// The model whose vectors this knowledge base holds; vectors of two models never meet.
    pub embedding_model: String,
    /// Rises by one with every change; the ETag of the knowledge base.
    pub version: u64,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

const fn first() -> u32 {
    1
}

/// A file as part of a knowledge base.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Document {
    pub org: OrgId,
    pub knowledge_base: KnowledgeBaseId,
    pub file: FileId,
    /// The name of the file.
    pub name: String,
    pub status: DocumentStatus,
    /// Which content of the file it is about.
    #[serde(default = "first")]
    #[schema(minimum = 1)]
    pub content_version: u32,
    /// The number of chunks that can be found.
    pub chunks: u32,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub failure: Option<Failure>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// Rises by one with every change.
    pub version: u64,
}

/// Where a document stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DocumentStatus {
    /// Its file is not processed, or its chunks are not all embedded yet.
    Indexing,
    /// All its chunks can be found.
    Ready,
    /// It cannot be searched; `failure` says why.
    Failed,
    /// Its file was deleted. It comes back if the file is restored.
    Withdrawn,
}

impl DocumentStatus {
    /// Whether its chunks may answer a query, as far as they are there.
    #[must_use]
    pub const fn may_be_found(self) -> bool {
        matches!(self, Self::Indexing | Self::Ready)
    }
}

/// The unit of retrieval: a piece of a document with the place it came from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Chunk {
    pub org: OrgId,
    pub knowledge_base: KnowledgeBaseId,
    pub file: FileId,
    /// The name of the document.
    pub document: String,
    /// Which content of the file it is from.
    #[serde(default = "first")]
    #[schema(minimum = 1)]
    pub content_version: u32,
    /// The chunk's number in its document, from 0.
    pub ordinal: u32,
    pub text: String,
    /// The page, from 1, where the format has pages.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub page: Option<u32>,
    /// The headings above the place, outermost first.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub heading_path: Vec<String>,
    /// The first character of `text` in the text of the document, from 0. A character is a Unicode
    /// scalar value.
    pub start: u32,
    /// One past its last character.
    pub end: u32,
}

impl Chunk {
    /// The headings above the place in one line, outermost first.
    #[must_use]
    pub fn heading(&self) -> Option<String> {
        (!self.heading_path.is_empty()).then(|| self.heading_path.join(" > "))
    }
}

/// A chunk that answers a query.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Passage {
    #[serde(flatten)]
    pub chunk: Chunk,
    /// Cosine similarity of query and chunk, from -1 to 1.
    pub score: f64,
}
