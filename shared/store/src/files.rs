//! Files: what was uploaded, and what became of it.

use domain::event::EventKind;
use domain::execution::Failure;
use domain::file::{File, FileStatus};
use domain::knowledge::KnowledgeBase;
use kernel::FileId;
use kernel::cursor::{Page, PageRequest};
use serde::{Deserialize, Serialize};
use serde_json::json;
use work::{Fence, Lane, NewJob};

use crate::documents::INDEX_JOB;
use crate::keys::{self, Key};
use crate::read::Order;
use crate::record::Record;
use crate::{Cause, Commit, Error, ReadError, Store, Tenant};

/// The kind of the job that reads an uploaded file.
pub const PROCESS_JOB: &str = "file.process";
/// The kind of the job that removes a deleted file's content and chunks.
pub const PURGE_JOB: &str = "file.purge";

/// How often a job of a file may fail. More than its handler allows: the handler ends with a
/// reason that people see, and must not be left behind by a job that gave up before.
pub(crate) const MAX_FILE_ATTEMPTS: u32 = 1_000;

/// What the jobs of a file hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilePayload {
    pub file: FileId,
}

/// What processing found in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// What the content turned out to be: `pdf`, `docx`, `markdown`, …
    pub format: String,
    /// The document's own title.
    pub title: Option<String>,
    /// The language of its text.
    pub language: Option<String>,
    /// The programming language of source code.
    pub programming_language: Option<String>,
    /// The length of its text, in characters.
    pub characters: u64,
    /// The number of pages, where the format has pages.
    pub pages: Option<u32>,
    /// The number of chunks that were made of it.
    pub chunks: u32,
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
        Files {
            store: self,
            tenant,
        }
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

    /// Files, newest first, without those that were deleted.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn page(&self, page: &PageRequest) -> Result<Page<File>, ReadError> {
        let list = keys::files(self.tenant.org());
        let mut items: Vec<File> = Vec::new();
        let mut after = page.after.clone();
        loop {
            let missing = page
                .limit
                .saturating_sub(u32::try_from(items.len()).unwrap_or(u32::MAX));
            let request = PageRequest {
                limit: missing,
                after,
            };
            let found: Page<File> = self.store.page(&list, &request, Order::Descending).await?;
            items.extend(
                found
                    .items
                    .into_iter()
                    .filter(|f| f.status != FileStatus::Deleted),
            );
            let full = items.len() >= page.limit as usize;
            match found.next {
                Some(next) if !full => after = Some(next),
                next => return Ok(Page { items, next }),
            }
        }
    }

    /// Notes a file whose upload is about to be offered, as part of a knowledge base if one is
    /// given.
    ///
    /// # Errors
    /// [`Error::Commit`], as `Changed` if the knowledge base was changed or deleted meanwhile.
    pub async fn create(
        &self,
        cause: &Cause,
        file: File,
        base: Option<&KnowledgeBase>,
    ) -> Result<File, Error> {
        let file = File {
            knowledge_bases: base.map(|base| base.id).into_iter().collect(),
            ..file
        };
        let data = json!({ "name": file.name, "size_bytes": file.size_bytes });
        let event = self.store.event(
            self.tenant,
            cause,
            EventKind::FileUploadRequested,
            file.id,
            data,
        );
        let mut commit = Commit::new(self.tenant).create(&file).event(event);
        if let Some(base) = base {
            let knowledge = self.store.knowledge(self.tenant);
            let document = knowledge.new_document(base.id, &file);
            commit = knowledge.add_document(commit, cause, base, &document);
        }
        self.store.commit(commit).await?;
        Ok(file)
    }

    /// Hands an uploaded file to a worker.
    ///
    /// # Errors
    /// [`Error::Commit`], as `Changed` if the file is no longer at `current`'s version.
    pub async fn confirm(&self, cause: &Cause, current: &File) -> Result<File, Error> {
        let file = self.next(current, FileStatus::Processing);
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
        let file = self.next(current, FileStatus::Deleted);
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

    /// Notes what a file turned out to be, and has its chunks embedded into every knowledge base
    /// that it is part of.
    ///
    /// # Errors
    /// [`Error::Commit`], as `FenceLost` if the attempt no longer holds its job, as `Changed` if
    /// the file is no longer at `current`'s version: it was deleted, or put into or taken out of a
    /// knowledge base.
    pub async fn processed(
        &self,
        fence: Fence,
        cause: &Cause,
        current: &File,
        found: &Reading,
    ) -> Result<(), Error> {
        let file = File {
            format: Some(found.format.clone()),
            title: found.title.clone(),
            language: found.language.clone(),
            programming_language: found.programming_language.clone(),
            characters: Some(found.characters),
            pages: found.pages,
            chunks: Some(found.chunks),
            ..self.next(current, FileStatus::Ready)
        };
        let data = json!({
            "name": file.name,
            "format": file.format,
            "pages": file.pages,
            "chunks": file.chunks,
        });
        let event = self
            .store
            .event(self.tenant, cause, EventKind::FileProcessed, file.id, data);
        let mut commit = Commit::new(self.tenant)
            .fenced_by(fence)
            .replace(&file, current.version)
            .event(event);
        let knowledge = self.store.knowledge(self.tenant);
        for base in &file.knowledge_bases {
            commit = commit.job(knowledge.job(INDEX_JOB, cause, *base, file.id));
        }
        Ok(self.store.commit(commit).await?)
    }

    /// Notes that a file cannot be read, and why; its documents fail with it.
    ///
    /// # Errors
    /// As [`processed`](Self::processed); also [`Error::Read`].
    pub async fn failed(
        &self,
        fence: Fence,
        cause: &Cause,
        current: &File,
        failure: &Failure,
    ) -> Result<(), Error> {
        let file = File {
            failure: Some(failure.clone()),
            ..self.next(current, FileStatus::Failed)
        };
        let data = json!({ "name": file.name, "failure": failure });
        let event = self
            .store
            .event(self.tenant, cause, EventKind::FileFailed, file.id, data);
        let mut commit = Commit::new(self.tenant)
            .fenced_by(fence)
            .replace(&file, current.version)
            .event(event);
        let knowledge = self.store.knowledge(self.tenant);
        for base in &file.knowledge_bases {
            if let Some(document) = knowledge.document(*base, file.id).await? {
                commit = knowledge.fail_document(commit, cause, &document, failure);
            }
        }
        Ok(self.store.commit(commit).await?)
    }

    /// Forgets a deleted file, once nothing of it is left.
    ///
    /// # Errors
    /// [`Error::Commit`], as `FenceLost` if the attempt no longer holds its job, as `Changed` if
    /// the file is no longer at `current`'s version.
    pub async fn forget(&self, fence: Fence, current: &File) -> Result<(), Error> {
        let commit = Commit::new(self.tenant)
            .fenced_by(fence)
            .delete(current, current.version);
        Ok(self.store.commit(commit).await?)
    }

    fn next(&self, current: &File, status: FileStatus) -> File {
        File {
            status,
            version: current.version + 1,
            updated_at: self.store.now(),
            ..current.clone()
        }
    }

    fn job(&self, kind: &str, cause: &Cause, file: FileId) -> NewJob {
        NewJob::new(
            self.tenant.org(),
            kind,
            Lane::Files,
            json!({ "file": file }),
        )
        .max_attempts(MAX_FILE_ATTEMPTS)
        .correlation_id(&cause.correlation_id)
    }
}
