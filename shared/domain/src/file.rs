//! Files: uploads and what processing made of them.

use std::time::Duration;

use kernel::{AgentId, FileId, JobId, KnowledgeBaseId, OrgId, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::event::Actor;
use crate::execution::Failure;

/// The largest file that can be uploaded, in bytes. What can be read of it is another matter.
pub const MAX_FILE_BYTES: u64 = 1024 * 1024 * 1024;
/// The most bytes that one request uploads. What is larger comes in parts.
pub const MAX_REQUEST_BYTES: u64 = 100 * 1024 * 1024;
/// The bytes of every part but the last.
pub const PART_BYTES: u64 = 16 * 1024 * 1024;
/// The most knowledge bases one file can be part of: what becomes of the file is told to all of
/// them in one transaction.
pub const MAX_KNOWLEDGE_BASES: usize = 40;

/// The most contents one file can have had: its purge removes them all.
pub const MAX_CONTENTS: u32 = 100;
/// The code of the failure of a file whose content does not have the announced checksum.
pub const CHECKSUM_MISMATCH: &str = "checksum_mismatch";
/// How long a deleted file can be restored.
pub const RESTORE_WINDOW: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// An uploaded file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct File {
    pub id: FileId,
    pub org: OrgId,
    /// The name it was uploaded under; no path.
    pub name: String,
    /// The address that it was read from, if it comes from the web.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub url: Option<String>,
    /// The media type the uploader declared, to which the upload was bound.
    pub content_type: String,
    /// Its length in bytes, to which the upload was bound.
    pub size_bytes: u64,
    /// Its SHA-256 in base64, to which the upload was bound.
    pub sha256: String,
    pub status: FileStatus,
    /// Which of its contents it has now: 1 for the first, one more for each that was announced
    /// since.
    #[serde(default = "first")]
    #[schema(minimum = 1)]
    pub content_version: u32,
    /// The highest number that was given to a content.
    #[serde(default = "first")]
    #[schema(minimum = 1)]
    pub last_content_version: u32,
    /// The number of the content with which its bytes were uploaded: an earlier one after a
    /// rollback.
    #[serde(default = "first")]
    #[schema(minimum = 1)]
    pub uploaded_as: u32,
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
    /// The job that reads it, or has read it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub job: Option<JobId>,
    /// Why processing failed, once failed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub failure: Option<Failure>,
    /// Until when it can be restored, once deleted.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub deletion: Option<Deletion>,
    /// The knowledge bases that it is part of.
    #[serde(default)]
    pub knowledge_bases: Vec<KnowledgeBaseId>,
    pub uploaded_by: Actor,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// Rises by one with every change; the ETag of the file.
    pub version: u64,
}

const fn first() -> u32 {
    1
}

impl File {
    /// Where its bytes are.
    #[must_use]
    pub const fn content(&self) -> Content {
        Content {
            file: self.id,
            number: self.uploaded_as,
        }
    }

    /// Whether it is deleted and may be restored at `now`.
    #[must_use]
    pub fn may_be_restored(&self, now: Timestamp) -> bool {
        self.status == FileStatus::Deleted
            && self
                .deletion
                .as_ref()
                .is_some_and(|deletion| !deletion.purging && now < deletion.purge_at)
    }
}

/// The bytes of one upload of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Content {
    pub file: FileId,
    /// The number of the content that was uploaded.
    pub number: u32,
}

/// How a file was deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Deletion {
    pub deleted_at: Timestamp,
    /// Until then it can be restored; then everything of it is removed.
    pub purge_at: Timestamp,
    /// Where it stood, and stands again if it is restored.
    pub was: FileStatus,
    /// Whether its removal has begun, after which nothing brings it back.
    #[serde(default)]
    pub purging: bool,
}

/// One of the contents that a file has had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FileVersion {
    pub org: OrgId,
    pub file: FileId,
    /// The number of the content, from 1.
    #[schema(minimum = 1)]
    pub number: u32,
    pub status: FileVersionStatus,
    /// The media type the uploader declared, to which the upload was bound.
    pub content_type: String,
    /// Its length in bytes, to which the upload was bound.
    pub size_bytes: u64,
    /// Its SHA-256 in base64, to which the upload was bound.
    pub sha256: String,
    /// The number of the content that has these bytes: another one after a rollback.
    #[schema(minimum = 1)]
    pub uploaded_as: u32,
    /// The parts it is uploaded in, if it is too large for one request.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub parts: Option<Parts>,
    /// When what was not confirmed is given up.
    pub upload_expires_at: Timestamp,
    pub uploaded_by: Actor,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// Rises by one with every change.
    pub version: u64,
}

impl FileVersion {
    /// Where its bytes are.
    #[must_use]
    pub const fn content(&self) -> Content {
        Content {
            file: self.file,
            number: self.uploaded_as,
        }
    }
}

/// How a large content is cut into parts, numbered from 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Parts {
    /// The upload that the parts belong to, as S3 knows it.
    pub upload_id: String,
    pub count: u32,
    /// The length of every part but the last.
    pub part_bytes: u64,
    /// The length of the last part.
    pub last_part_bytes: u64,
}

impl Parts {
    /// How a content of this length is cut.
    #[must_use]
    pub fn of(size_bytes: u64, upload_id: String) -> Self {
        let before_last = size_bytes.saturating_sub(1) / PART_BYTES;
        Self {
            upload_id,
            count: u32::try_from(before_last + 1).unwrap_or(u32::MAX),
            part_bytes: PART_BYTES,
            last_part_bytes: size_bytes - before_last * PART_BYTES,
        }
    }

    /// The length of a part; `None` if there is no part of this number.
    #[must_use]
    pub fn bytes_of(&self, number: u32) -> Option<u64> {
        match number {
            0 => None,
            _ if number < self.count => Some(self.part_bytes),
            _ if number == self.count => Some(self.last_part_bytes),
            _ => None,
        }
    }
}

/// Where a content stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FileVersionStatus {
    /// An upload was offered and not confirmed yet.
    Pending,
    /// It was uploaded, and the file had it from then on.
    Uploaded,
    /// Its upload was given up; its number is not used again.
    Abandoned,
}

/// The most characters of a text's preview.
const PREVIEW_CHARS: usize = 2_000;

/// What of a file is shown to people who have not opened it. Made when it is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Preview {
    /// Its beginning.
    Text { text: String, truncated: bool },
    /// The size of the picture that it is. A smaller one is kept beside it.
    Image { width: u32, height: u32 },
}

impl Preview {
    /// The beginning of a text.
    #[must_use]
    pub fn of_text(text: &str) -> Self {
        let end = text.char_indices().nth(PREVIEW_CHARS);
        let head = end.map_or(text, |(end, _)| &text[..end]);
        Self::Text {
            text: head.to_owned(),
            truncated: end.is_some(),
        }
    }

    /// The same beginning, of a text of which there may be more.
    #[must_use]
    pub fn cut_if(mut self, more: bool) -> Self {
        if let Self::Text { truncated, .. } = &mut self {
            *truncated |= more;
        }
        self
    }
}

/// That a file is linked to something else of its org.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FileLink {
    pub org: OrgId,
    pub file: FileId,
    pub target: LinkTarget,
    pub linked_by: Actor,
    pub created_at: Timestamp,
}

/// What a file can be linked to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum LinkTarget {
    Agent { id: AgentId },
}

/// How far the reader of a file is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FileProgress {
    /// The bytes of the file that it has taken.
    pub bytes: u64,
    /// What it is doing: which page it is at, how many passages there are.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "Reading: page 12, 340 passages")]
    pub message: Option<String>,
}

/// A heading of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OutlineHeading {
    /// How deep it is, 1 being the outermost.
    pub level: u8,
    pub title: String,
    /// The page it is on, from 1, where the format has pages.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub page: Option<u32>,
    /// The first character of what stands under it, in the text of the file.
    pub start: u64,
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
    /// It is gone. For a while it can be restored; then its content is removed.
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
            // Another content is read anew.
            Ready | Failed => matches!(next, Processing | Deleted),
            // Restored as it stood.
            Deleted => matches!(next, Processing | Ready | Failed),
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
    fn a_preview_is_cut_between_characters_and_says_so() {
        let whole = "é".repeat(PREVIEW_CHARS);
        let of = |text: &str, more| match Preview::of_text(text).cut_if(more) {
            Preview::Text { text, truncated } => (text, truncated),
            Preview::Image { .. } => panic!("a text"),
        };
        assert_eq!(of(&whole, false), (whole.clone(), false));
        assert_eq!(of(&whole, true), (whole.clone(), true));
        assert_eq!(of(&format!("{whole}x"), false), (whole, true));
    }

    #[test]
    fn parts_are_a_content_and_none_is_empty() {
        for (size, count, last) in [
            (1, 1, 1),
            (PART_BYTES - 1, 1, PART_BYTES - 1),
            (PART_BYTES, 1, PART_BYTES),
            (PART_BYTES + 1, 2, 1),
            (MAX_FILE_BYTES, 64, PART_BYTES),
        ] {
            let parts = Parts::of(size, String::new());
            assert_eq!(
                (parts.count, parts.last_part_bytes),
                (count, last),
                "{size}"
            );
            let sum: u64 = (1..=count).filter_map(|part| parts.bytes_of(part)).sum();
            assert_eq!(sum, size);
            assert_eq!(parts.bytes_of(0), None);
            assert_eq!(parts.bytes_of(count + 1), None);
        }
    }

    #[test]
    fn deletion_is_always_possible_and_what_was_uploaded_comes_back() {
        use FileStatus::{Deleted, Failed, Pending, Processing, Ready};
        for status in [Pending, Processing, Ready, Failed] {
            assert!(status.may_become(Deleted), "{status:?}");
            assert_eq!(Deleted.may_become(status), status != Pending, "{status:?}");
        }
        assert!(!Deleted.may_become(Deleted));
    }
}
