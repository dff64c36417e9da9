//! Files: what was uploaded, and what became of it.

use domain::event::EventKind;
use domain::file::{File, FileStatus};
use kernel::cursor::{Page, PageRequest};
use kernel::{FileId, KnowledgeBaseId};
use serde::{Deserialize, Serialize};
use serde_json::json;
use work::{Lane, NewJob};

use crate::keys::{self, Key};
use crate::read::Order;
use crate::record::Record;
use crate::{Cause, Commit, Error, ReadError, Store, Tenant};

/// The kind of the job that reads an uploaded file.
pub const PROCESS_JOB: &str = "file.process";
/// The kind of the job that removes a deleted file's content and chunks.
pub const PURGE_JOB: &str = "file.purge";

/// What the jobs of a file hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilePayload {
    pub file: FileId,
}

impl Record for File {
    const NOUN: &'static str = "file";

    fn key(&self) -> Key {
        keys::file(self.org, self.id)
    }

    fn version(&self) -> u64 {
        self.version
    }
}

/// The files of one org.
#[derive(Debug, Clone, Copy)]
pub struct Files<'a> {
    store: &'a Store,
    tenant: Tenant,
}

impl Store {
    /// The files of an org.
    #[must_use]
    pub fn files(&self, tenant: Tenant) -> Files<'_> {
        Files { store: self, tenant }
    }
}

impl Files<'_> {
    /// The file with this id, unless it was deleted.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn get(&self, id: FileId) -> Result<Option<File>, ReadError> {
        let file: Option<File> = self.store.get(&keys::file(self.tenant.org(), id)).await?;
        Ok(file.filter(|file| file.status != FileStatus::Deleted))
    }

    /// The file with this id, even if it was deleted: for the job that removes its content.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn get_any(&self, id: FileId) -> Result<Option<File>, ReadError> {
        self.store.get(&keys::file(self.tenant.org(), id)).await
    }

    /// Files, newest first.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn page(&self, page: &PageRequest) -> Result<Page<File>, ReadError> {
        self.store.page(&keys::files(self.tenant.org()), page, Order::Descending).await
    }

    /// Notes a file whose upload is about to be offered, as part of a knowledge base if one is
    /// named.
    ///
    /// # Errors
    /// [`Error::Commit`] if the store does not take it.
    pub async fn create(
        &self,
        cause: &Cause,
        file: &File,
        knowledge_base: Option<KnowledgeBaseId>,
    ) -> Result<(), Error> {
        let data = json!({ "name": file.name, "size_bytes": file.size_bytes });
        let event =
            self.store.event(self.tenant, cause, EventKind::FileUploadRequested, file.id, data);
        let mut commit = Commit::new(self.tenant).create(file).event(event);
        if let Some(base) = knowledge_base {
            commit = self.store.knowledge(self.tenant).add_document(commit, cause, base, file);
        }
        Ok(self.store.commit(commit).await?)
    }

    /// Hands an uploaded file to a worker.
    ///
    /// # Errors
    /// [`Error::Commit`], as `Changed` if the file is no longer at `current`'s version.
    pub async fn confirm(&self, cause: &Cause, current: &File) -> Result<File, Error> {
        let file = File {
            status: FileStatus::Processing,
            version: current.version + 1,
            updated_at: self.store.now(),
            ..current.clone()
        };
        let event = self.store.event(
            self.tenant,
            cause,
            EventKind::FileConfirmed,
            file.id,
            json!({ "name": file.name }),
        );
        let commit = Commit::new(self.tenant)
            .replace(&file, current.version)
            .event(event)
            .job(self.job(PROCESS_JOB, cause, file.id));
        self.store.commit(commit).await?;
        Ok(file)
    }

    /// Deletes a file: it is gone at once, its content and chunks are removed by a job.
    ///
    /// # Errors
    /// [`Error::Commit`], as `Changed` if the file is no longer at `current`'s version.
    pub async fn delete(&self, cause: &Cause, current: &File) -> Result<(), Error> {
        let file = File {
            status: FileStatus::Deleted,
            version: current.version + 1,
            updated_at: self.store.now(),
            ..current.clone()
        };
        let event = self.store.event(
            self.tenant,
            cause,
            EventKind::FileDeleted,
            file.id,
            json!({ "name": file.name }),
        );
        let commit = Commit::new(self.tenant)
            .replace(&file, current.version)
            .event(event)
            .job(self.job(PURGE_JOB, cause, file.id));
        Ok(self.store.commit(commit).await?)
    }

    fn job(&self, kind: &str, cause: &Cause, file: FileId) -> NewJob {
        NewJob::new(self.tenant.org(), kind, Lane::Files, json!({ "file": file }))
            .correlation_id(&cause.correlation_id)
    }
}
