//! Which files of an org have, or had, a content with a certain checksum.

use domain::file::{File, FileStatus, FileVersion, MAX_REQUEST_BYTES};
use kernel::cursor::PageRequest;
use kernel::{FileId, OrgId};
use serde::{Deserialize, Serialize};

use super::Files;
use crate::ReadError;
use crate::keys::{self, Key};
use crate::read::Order;
use crate::record::Record;

/// How many files with one checksum are looked at. Most have had another content since, or were
/// deleted.
const LOOKED_AT: u32 = 50;

/// That a file was uploaded with this checksum.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileChecksum {
    pub(crate) org: OrgId,
    pub(crate) sha256: String,
    pub(crate) file: FileId,
}

impl Record for FileChecksum {
    const NOUN: &'static str = "checksum of a file";

    fn key(&self) -> Key {
        keys::file_checksum(self.org, &self.sha256, self.file)
    }
}

pub(super) fn of(content: &FileVersion) -> FileChecksum {
    FileChecksum {
        org: content.org,
        sha256: content.sha256.clone(),
        file: content.file,
    }
}

impl Files<'_> {
    /// The oldest file that has exactly this content and was read, or is about to be.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn with_content_like(
        &self,
        sha256: &str,
        size_bytes: u64,
    ) -> Result<Option<File>, ReadError> {
        let list = keys::files_with_checksum(self.tenant.org(), sha256);
        let first = PageRequest::first(LOOKED_AT);
        let found = self.store.page(&list, &first, Order::Ascending).await?;
        let found: Vec<FileChecksum> = found.items;
        let ids: Vec<FileId> = found.iter().map(|row| row.file).collect();
        let mut files = self.all_of(&ids).await?;
        files.retain(|file| {
            // What came in parts is compared with its checksum when it is read.
            let is_checked = match file.status {
                FileStatus::Ready => true,
                FileStatus::Processing => file.size_bytes <= MAX_REQUEST_BYTES,
                FileStatus::Pending | FileStatus::Failed | FileStatus::Deleted => false,
            };
            is_checked && file.sha256 == sha256 && file.size_bytes == size_bytes
        });
        Ok(files.into_iter().min_by_key(|file| file.id))
    }
}
