//! Files on their way out: deleted, restored, given up before they were uploaded, removed.
//!
//! A deleted file keeps its row, its contents and its place in knowledge bases, where its documents
//! are withdrawn in the same transaction. Its removal begins with a change of the row, after which
//! no restoration commits.

use domain::event::EventKind;
use domain::file::{Deletion, File, FileStatus, FileVersion, FileVersionStatus, RESTORE_WINDOW};
use domain::knowledge::DocumentStatus;
use kernel::cursor::PageRequest;
use kernel::{JobId, Timestamp};
use serde_json::json;
use work::Fence;

use super::{Files, PURGE_JOB};
use crate::documents::{INDEX_JOB, UNINDEX_JOB};
use crate::keys;
use crate::read::Order;
use crate::record::Record as _;
use crate::{Cause, Commit, Error, ReadError};

/// How many rows one transaction of a removal takes, beside the job's.
const REMOVED_AT_ONCE: u32 = 40;

impl Files<'_> {
    /// Deletes a file: it is gone at once, from its knowledge bases too. What was uploaded can be
    /// restored for [`RESTORE_WINDOW`]; then a job removes it.
    ///
    /// # Errors
    /// [`Error::Commit`], as `Changed` if the file, or a document of it, was changed meanwhile.
    /// [`Error::Read`].
    pub async fn delete(&self, cause: &Cause, current: &File) -> Result<(), Error> {
        let commit = Commit::new(self.tenant);
        let commit = self.deleting(commit, cause, current).await?;
        Ok(self.store.commit(commit).await?)
    }

    /// The same change, which deletes a file as well.
    pub(crate) async fn deleting(
        &self,
        commit: Commit,
        cause: &Cause,
        current: &File,
    ) -> Result<Commit, ReadError> {
        let now = self.store.now();
        let purge_at = match current.status {
            FileStatus::Pending => now,
            _ => now.plus(RESTORE_WINDOW),
        };
        let data = json!({ "name": current.name, "purge_at": purge_at });
        let event = self
            .store
            .event(self.tenant, cause, EventKind::FileDeleted, current.id, data);
        self.withdraw(commit.event(event), cause, current, purge_at)
            .await
    }

    /// Gives up a file that was never uploaded.
    ///
    /// # Errors
    /// As [`delete`](Self::delete), and as `FenceLost` if the attempt no longer holds its job.
    pub async fn expire(
        &self,
        fence: Fence,
        cause: &Cause,
        current: &File,
        content: &FileVersion,
    ) -> Result<(), Error> {
        let data = json!({ "name": current.name });
        let kind = EventKind::FileUploadExpired;
        let event = self.store.event(self.tenant, cause, kind, current.id, data);
        let abandoned = self.moved(content, FileVersionStatus::Abandoned);
        let commit = Commit::new(self.tenant)
            .fenced_by(fence)
            .replace(&abandoned, content.version)
            .event(event);
        let now = self.store.now();
        let commit = self.withdraw(commit, cause, current, now).await?;
        Ok(self.store.commit(commit).await?)
    }

    async fn withdraw(
        &self,
        commit: Commit,
        cause: &Cause,
        current: &File,
        purge_at: Timestamp,
    ) -> Result<Commit, ReadError> {
        let file = File {
            deletion: Some(Deletion {
                deleted_at: self.store.now(),
                purge_at,
                was: current.status,
                purging: false,
            }),
            ..self.next(current, FileStatus::Deleted)
        };
        let mut commit = commit
            .replace(&file, current.version)
            .job(self.job(PURGE_JOB, cause, file.id).due_at(purge_at));
        let knowledge = self.store.knowledge(self.tenant);
        for document in knowledge.documents_of(&file).await? {
            let next = knowledge.restated(&document, DocumentStatus::Withdrawn, &file);
            let base = document.knowledge_base;
            commit = commit.replace(&next, document.version).job(knowledge.job(
                UNINDEX_JOB,
                cause,
                base,
                file.id,
            ));
        }
        Ok(commit)
    }

    /// Brings a deleted file back as it stood. Look first whether it
    /// [may be](File::may_be_restored).
    ///
    /// # Errors
    /// [`Error::Commit`], as `Changed` if its removal has begun, or the file or a document of it was
    /// changed meanwhile. [`Error::Read`].
    pub async fn restore(
        &self,
        cause: &Cause,
        current: &File,
        deletion: &Deletion,
    ) -> Result<File, Error> {
        let file = File {
            deletion: None,
            // Another job than the one that was overtaken by the deletion.
            job: (deletion.was == FileStatus::Processing)
                .then(|| JobId::generate(self.store.now()))
                .or(current.job),
            ..self.next(current, deletion.was)
        };
        let data = json!({ "name": file.name });
        let event = self
            .store
            .event(self.tenant, cause, EventKind::FileRestored, file.id, data);
        let mut commit = Commit::new(self.tenant)
            .replace(&file, current.version)
            .event(event);
        if file.status == FileStatus::Processing {
            commit = commit.job(self.process_job(cause, &file));
        }
        let knowledge = self.store.knowledge(self.tenant);
        for document in knowledge.documents_of(&file).await? {
            let base = document.knowledge_base;
            if let Some(failure) = file.failure.as_ref() {
                commit = knowledge.fail_document(commit, cause, &document, failure);
                continue;
            }
            let next = knowledge.restated(&document, DocumentStatus::Indexing, &file);
            commit = commit.replace(&next, document.version);
            if file.status == FileStatus::Ready {
                commit = commit.job(knowledge.job(INDEX_JOB, cause, base, file.id));
            }
        }
        self.store.commit(commit).await?;
        Ok(file)
    }

    /// Begins to remove a deleted file: nothing brings it back from now on.
    ///
    /// # Errors
    /// [`Error::Commit`], as `FenceLost` if the attempt no longer holds its job, as `Changed` if
    /// the file is no longer at `current`'s version: it was restored.
    pub async fn begin_purge(
        &self,
        fence: Fence,
        current: &File,
        deletion: &Deletion,
    ) -> Result<(), Error> {
        let file = File {
            deletion: Some(Deletion {
                purging: true,
                ..deletion.clone()
            }),
            ..self.next(current, FileStatus::Deleted)
        };
        let commit = Commit::new(self.tenant)
            .fenced_by(fence)
            .replace(&file, current.version);
        Ok(self.store.commit(commit).await?)
    }

    /// Forgets a file whose removal has begun, once its objects are gone: the rows of its contents
    /// and links first, its own last.
    ///
    /// # Errors
    /// [`Error::Commit`], as `FenceLost` if the attempt no longer holds its job, as `Changed` if
    /// the file is no longer at `current`'s version. [`Error::Read`].
    pub async fn forget(&self, fence: Fence, cause: &Cause, current: &File) -> Result<(), Error> {
        let org = self.tenant.org();
        let first = PageRequest::first(REMOVED_AT_ONCE);
        loop {
            let links = self.links(current.id, &first).await?.items;
            if links.is_empty() {
                break;
            }
            let mut commit = Commit::new(self.tenant).fenced_by(fence);
            for link in &links {
                commit = commit.discard(link.key());
            }
            self.store.commit(commit).await?;
        }
        loop {
            let list = keys::file_versions(org, current.id);
            let contents = self.store.page(&list, &first, Order::Descending).await?;
            let contents: Vec<FileVersion> = contents.items;
            if contents.is_empty() {
                break;
            }
            let mut commit = Commit::new(self.tenant).fenced_by(fence);
            let mut checksums: Vec<&str> = contents.iter().map(|c| c.sha256.as_str()).collect();
            checksums.sort_unstable();
            checksums.dedup();
            for sha256 in checksums {
                commit = commit.discard(keys::file_checksum(org, sha256, current.id));
            }
            for content in &contents {
                commit = commit.discard(keys::file_version(org, current.id, content.number));
            }
            self.store.commit(commit).await?;
        }
        let data = json!({ "name": current.name });
        let event = self
            .store
            .event(self.tenant, cause, EventKind::FilePurged, current.id, data);
        let commit = Commit::new(self.tenant)
            .fenced_by(fence)
            .delete(current, current.version)
            .event(event);
        Ok(self.store.commit(commit).await?)
    }
}
