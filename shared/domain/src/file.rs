//! Files: uploads and what processing made of them.

use kernel::{FileId, KnowledgeBaseId, OrgId, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::event::Actor;
use crate::execution::Failure;

/// The largest file that can be uploaded, in bytes: as much as the reader of documents takes of a
/// text, which it reads as it comes. Of formats that it reads whole it takes 50 MiB.
pub const MAX_FILE_BYTES: u64 = 256 * 1024 * 1024;
/// The most knowledge bases one file can be part of: what becomes of the file is told to all of
/// them in one transaction.
pub const MAX_KNOWLEDGE_BASES: usize = 40;

/// An uploaded file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct File {
    pub id: FileId,
    pub org: OrgId,
    /// The name it was uploaded under; no path.
    pub name: String,
    /// The media type the uploader declared, to which the upload was bound.
    pub content_type: String,
    /// Its length in bytes, to which the upload was bound.
    pub size_bytes: u64,
    /// Its SHA-256 in base64, to which the upload was bound.
    pub sha256: String,
    pub status: FileStatus,
    /// What its content turned out to be, once processed: `pdf`, `docx`, `markdown`, …
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub format: Option<String>,
    /// Its title as the document itself gives it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub title: Option<String>,
    /// The language that its text is written in, as ISO 639-3 names it, where that is certain.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(example = "eng")]
    pub language: Option<String>,
    /// The programming language of source code, in lower case.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(example = "rust")]
    pub programming_language: Option<String>,
    /// The length of its text in characters (Unicode scalar values).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub characters: Option<u64>,
    /// The number of pages, slides or sheets, where the format has them.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub pages: Option<u32>,
    /// The number of chunks that processing made.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub chunks: Option<u32>,
    /// Why processing failed, once failed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub failure: Option<Failure>,
    /// The knowledge bases that it is part of.
    #[serde(default)]
    pub knowledge_bases: Vec<KnowledgeBaseId>,
    pub uploaded_by: Actor,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// Rises by one with every change; the ETag of the file.
    pub version: u64,
}

/// Where a file stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FileStatus {
    /// An upload was offered; nothing is there yet.
    Pending,
    /// The upload is confirmed and a worker will read it.
    Processing,
    /// It can be searched.
    Ready,
    /// It could not be read; `failure` says why.
    Failed,
    /// It is gone; its content is being removed.
    Deleted,
}

impl FileStatus {
    /// The stable name of the status.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Processing => "processing",
            Self::Ready => "ready",
            Self::Failed => "failed",
            Self::Deleted => "deleted",
        }
    }

    /// Whether a file may go from this status to `next`.
    #[must_use]
    pub const fn may_become(self, next: Self) -> bool {
        use FileStatus::{Deleted, Failed, Pending, Processing, Ready};
        match self {
            Pending => matches!(next, Processing | Deleted),
            Processing => matches!(next, Ready | Failed | Deleted),
            Ready | Failed => matches!(next, Deleted),
            Deleted => false,
        }
    }
}

/// Whether `name` can be a file's name: one path segment of printable characters.
#[must_use]
pub fn is_file_name(name: &str) -> bool {
    !name.trim().is_empty()
        && name.chars().count() <= 255
        && name != "."
        && name != ".."
        && !name
            .chars()
            .any(|letter| letter.is_control() || letter == '/' || letter == '\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_name_is_one_segment() {
        assert!(is_file_name("Handbook (final).pdf"));
        for name in ["", " ", ".", "..", "a/b", "a\\b", "a\nb", &"x".repeat(256)] {
            assert!(!is_file_name(name), "{name:?}");
        }
    }

    #[test]
    fn deletion_is_always_possible_and_final() {
        use FileStatus::{Deleted, Failed, Pending, Processing, Ready};
        for status in [Pending, Processing, Ready, Failed] {
            assert!(status.may_become(Deleted), "{status:?}");
            assert!(!Deleted.may_become(status), "{status:?}");
        }
    }
}
