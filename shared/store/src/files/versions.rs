//! The contents of a file: announced, uploaded and confirmed one after the other, and gone back to.

use domain::event::{Actor, EventKind};
use domain::file::{File, FileStatus, FileVersion, FileVersionStatus, Parts};
use kernel::cursor::{Page, PageRequest};
use kernel::{FileId, JobId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::json;
use work::{Fence, NewJob};

use super::{Files, checksums};
use crate::keys::{self, Key};
use crate::objects::UPLOAD_GRACE;
use crate::read::Order;
use crate::record::Record;
use crate::{Cause, Commit, Error, ReadError};

/// The kind of the job that gives up an upload which nobody confirmed.
pub const EXPIRE_JOB: &str = "file.expire";

/// What the job that gives up an upload holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadPayload {
    pub file: FileId,
    pub content_version: u32,
}

/// A content that is about to be uploaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewContent {
    pub content_type: String,
    pub size_bytes: u64,
    pub sha256: String,
    pub plan: UploadPlan,
}

/// How a content is uploaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadPlan {
    /// Until when it can be uploaded and confirmed.
    pub expires_at: Timestamp,
    pub parts: Option<Parts>,
}

impl Record for FileVersion {
    const NOUN: &'static str = "file version";

    fn key(&self) -> Key {
        keys::file_version(self.org, self.file, self.number)
    }

    fn version(&self) -> u64 {
        self.version
    }
}

/// The first content of a file, as the file announces it.
pub(super) fn first(file: &File, plan: UploadPlan) -> FileVersion {
    FileVersion {
        org: file.org,
        file: file.id,
        number: file.content_version,
        status: FileVersionStatus::Pending,
        content_type: file.content_type.clone(),
        size_bytes: file.size_bytes,
        sha256: file.sha256.clone(),
        uploaded_as: file.uploaded_as,
        parts: plan.parts,
        upload_expires_at: plan.expires_at,
        uploaded_by: file.uploaded_by,
        created_at: file.created_at,
        updated_at: file.created_at,
        version: 1,
    }
}

impl Files<'_> {
    /// A content of a file by its number.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn version(
        &self,
        file: FileId,
        number: u32,
    ) -> Result<Option<FileVersion>, ReadError> {
        self.store
            .get(&keys::file_version(self.tenant.org(), file, number))
            .await
    }

    /// The contents of a file, newest first.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn versions(
        &self,
        file: FileId,
        page: &PageRequest,
    ) -> Result<Page<FileVersion>, ReadError> {
        self.store
            .page(
                &keys::file_versions(self.tenant.org(), file),
                page,
                Order::Descending,
            )
            .await
    }

    /// Notes a further content of a file, whose upload is about to be offered.
    ///
    /// # Errors
    /// [`Error::Commit`], as `Changed` if the file is no longer at `current`'s version.
    pub async fn add_version(
        &self,
        cause: &Cause,
        current: &File,
        new: NewContent,
    ) -> Result<FileVersion, Error> {
        let file = self.numbered(current);
        let content = self.content(&file, &new, cause.actor);
        let data = json!({ "content_version": content.number, "size_bytes": content.size_bytes });
        let event = self.store.event(
            self.tenant,
            cause,
            EventKind::FileVersionRequested,
            file.id,
            data,
        );
        let commit = Commit::new(self.tenant)
            .replace(&file, current.version)
            .create(&content)
            .event(event)
            .job(self.expiry(cause, &content));
        self.store.commit(commit).await?;
        Ok(content)
    }

    /// Gives a file a content that was uploaded, and hands it to a worker.
    ///
    /// # Errors
    /// [`Error::Commit`], as `Changed` if file or content are no longer at these versions.
    pub async fn confirm(
        &self,
        cause: &Cause,
        current: &File,
        content: &FileVersion,
    ) -> Result<File, Error> {
        let file = self.with_content(current, content);
        let kind = if current.status == FileStatus::Pending {
            EventKind::FileConfirmed
        } else {
            EventKind::FileVersionAdded
        };
        let data = json!({ "name": file.name, "content_version": file.content_version });
        let event = self.store.event(self.tenant, cause, kind, file.id, data);
        let uploaded = self.moved(content, FileVersionStatus::Uploaded);
        let commit = Commit::new(self.tenant)
            .replace(&file, current.version)
            .replace(&uploaded, content.version)
            .put(&checksums::of(&uploaded))
            .event(event)
            .job(self.process_job(cause, &file));
        self.store.commit(commit).await?;
        Ok(file)
    }

    /// Gives a file an earlier content again, as its newest. The bytes stay where they are.
    ///
    /// # Errors
    /// [`Error::Commit`], as `Changed` if the file is no longer at `current`'s version.
    pub async fn roll_back(
        &self,
        cause: &Cause,
        current: &File,
        earlier: &FileVersion,
    ) -> Result<File, Error> {
        let numbered = self.numbered(current);
        let new = NewContent {
            content_type: earlier.content_type.clone(),
            size_bytes: earlier.size_bytes,
            sha256: earlier.sha256.clone(),
            plan: UploadPlan {
                expires_at: self.store.now(),
                parts: None,
            },
        };
        let content = FileVersion {
            status: FileVersionStatus::Uploaded,
            uploaded_as: earlier.uploaded_as,
            ..self.content(&numbered, &new, cause.actor)
        };
        let file = File {
            version: numbered.version,
            ..self.with_content(&numbered, &content)
        };
        let data = json!({ "from": earlier.number, "content_version": content.number });
        let event = self
            .store
            .event(self.tenant, cause, EventKind::FileRolledBack, file.id, data);
        let commit = Commit::new(self.tenant)
            .replace(&file, current.version)
            .create(&content)
            .event(event)
            .job(self.process_job(cause, &file));
        self.store.commit(commit).await?;
        Ok(file)
    }

    /// Gives up the upload of a further content.
    ///
    /// # Errors
    /// [`Error::Commit`], as `Changed` if the content is no longer at `current`'s version, as
    /// `FenceLost` if the attempt no longer holds its job.
    pub async fn abandon(
        &self,
        fence: Option<Fence>,
        cause: &Cause,
        current: &FileVersion,
    ) -> Result<FileVersion, Error> {
        let abandoned = self.moved(current, FileVersionStatus::Abandoned);
        let data = json!({ "content_version": current.number });
        let event = self.store.event(
            self.tenant,
            cause,
            EventKind::FileVersionAbandoned,
            current.file,
            data,
        );
        let mut commit = Commit::new(self.tenant)
            .replace(&abandoned, current.version)
            .event(event);
        if let Some(fence) = fence {
            commit = commit.fenced_by(fence);
        }
        self.store.commit(commit).await?;
        Ok(abandoned)
    }

    /// The job that gives an upload up, once none that has begun in time can still end.
    pub(super) fn expiry(&self, cause: &Cause, content: &FileVersion) -> NewJob {
        let payload = json!({ "file": content.file, "content_version": content.number });
        self.job_with(EXPIRE_JOB, cause, payload)
            .due_at(content.upload_expires_at.plus(UPLOAD_GRACE))
    }

    /// The file with the next number given away.
    fn numbered(&self, current: &File) -> File {
        File {
            last_content_version: current.last_content_version + 1,
            ..self.next(current, current.status)
        }
    }

    /// The content with the number that was just given away.
    fn content(&self, file: &File, new: &NewContent, by: Actor) -> FileVersion {
        let now = self.store.now();
        FileVersion {
            org: file.org,
            file: file.id,
            number: file.last_content_version,
            status: FileVersionStatus::Pending,
            content_type: new.content_type.clone(),
            size_bytes: new.size_bytes,
            sha256: new.sha256.clone(),
            uploaded_as: file.last_content_version,
            parts: new.plan.parts.clone(),
            upload_expires_at: new.plan.expires_at,
            uploaded_by: by,
            created_at: now,
            updated_at: now,
            version: 1,
        }
    }

    /// The file with another content, of which nothing is known yet.
    pub(super) fn with_content(&self, current: &File, content: &FileVersion) -> File {
        File {
            content_type: content.content_type.clone(),
            size_bytes: content.size_bytes,
            sha256: content.sha256.clone(),
            content_version: content.number,
            uploaded_as: content.uploaded_as,
            format: None,
            title: None,
            language: None,
            programming_language: None,
            characters: None,
            job: Some(JobId::generate(self.store.now())),
            pages: None,
            chunks: None,
            failure: None,
            ..self.next(current, FileStatus::Processing)
        }
    }

    pub(super) fn moved(&self, current: &FileVersion, status: FileVersionStatus) -> FileVersion {
        FileVersion {
            status,
            version: current.version + 1,
            updated_at: self.store.now(),
            ..current.clone()
        }
    }
}
