//! Files: what was uploaded, and what became of it.
//!
//! A file's row says which of its contents it has; each content that was ever announced has a row
//! of its own ([`versions`]). Whoever changes what a file is does so under the version that they
//! have read, so that of two who meet one has to look again.

pub mod checksums;
pub mod deletion;
pub mod links;
pub mod list;
pub mod received;
pub mod versions;

use domain::event::EventKind;
use domain::execution::Failure;
use domain::file::{File, FileProgress, FileStatus};
use domain::knowledge::{DocumentStatus, KnowledgeBase};
use kernel::FileId;
use serde::{Deserialize, Serialize};
use serde_json::json;
use work::{Fence, Job, Lane, NewJob};

use self::versions::UploadPlan;
use crate::documents::INDEX_JOB;
use crate::keys::{self, IndexKeys, Key};
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

    fn indexes(&self) -> IndexKeys {
        let listed = self.status != FileStatus::Deleted;
        let name = listed.then_some(self.name.as_str());
        keys::file_indexes(self.org, self.id, name, self.status.name())
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

    /// The file with this id, even if it was deleted.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn get_any(&self, id: FileId) -> Result<Option<File>, ReadError> {
        self.store.get(&keys::file(self.tenant.org(), id)).await
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
        plan: UploadPlan,
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
        let content = versions::first(&file, plan);
        let mut commit = Commit::new(self.tenant)
            .create(&file)
            .create(&content)
            .event(event)
            .job(self.expiry(cause, &content));
        if let Some(base) = base {
            let knowledge = self.store.knowledge(self.tenant);
            let document = knowledge.new_document(base.id, &file);
            commit = knowledge.add_document(commit, cause, base, &document);
        }
        self.store.commit(commit).await?;
        Ok(file)
    }

    /// Notes what a file turned out to be, and has its chunks embedded into every knowledge base
    /// that it is part of.
    ///
    /// # Errors
    /// [`Error::Commit`], as `FenceLost` if the attempt no longer holds its job, as `Changed` if
    /// the file is no longer at `current`'s version: it was deleted, put into or taken out of a
    /// knowledge base, or has another content. [`Error::Read`].
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
        for document in knowledge.documents_of(&file).await? {
            // A job that still brings in an earlier content finds its document changed.
            if document.status != DocumentStatus::Indexing
                || document.content_version != file.content_version
            {
                let next = knowledge.restated(&document, DocumentStatus::Indexing, &file);
                commit = commit.replace(&next, document.version);
            }
            let base = document.knowledge_base;
            commit = commit.job(knowledge.job(INDEX_JOB, cause, base, file.id));
        }
        Ok(self.store.commit(commit).await?)
    }

    /// Notes that a file cannot be read, and why; its documents fail with it.
    ///
    /// # Errors
    /// As [`processed`](Self::processed).
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
        for document in knowledge.documents_of(&file).await? {
            commit = knowledge.fail_document(commit, cause, &document, failure);
        }
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

    /// How far the reader of a file is, while it is being read and has said so.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn progress(&self, file: &File) -> Result<Option<FileProgress>, ReadError> {
        let Some(job) = file.job.filter(|_| file.status == FileStatus::Processing) else {
            return Ok(None);
        };
        let job: Option<Job> = self.store.get(&keys::job(self.tenant.org(), job)).await?;
        let progress = job.and_then(|job| job.progress);
        Ok(progress.map(|progress| FileProgress {
            bytes: progress.completed,
            message: progress.message,
        }))
    }

    /// The job that reads a file: the one that its row names.
    fn process_job(&self, cause: &Cause, file: &File) -> NewJob {
        let new = self.job(PROCESS_JOB, cause, file.id);
        match file.job {
            Some(job) => new.id(job),
            None => new,
        }
    }

    fn job(&self, kind: &str, cause: &Cause, file: FileId) -> NewJob {
        self.job_with(kind, cause, json!({ "file": file }))
    }

    fn job_with(&self, kind: &str, cause: &Cause, payload: serde_json::Value) -> NewJob {
        NewJob::new(self.tenant.org(), kind, Lane::Files, payload)
            .max_attempts(MAX_FILE_ATTEMPTS)
            .correlation_id(&cause.correlation_id)
    }
}
