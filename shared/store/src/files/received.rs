//! Contents that the platform receives itself: pages of the web, texts in requests. Each is stored
//! first, under a number that no row names yet, and then told of in one transaction.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::event::EventKind;
use domain::file::{Content, File, FileStatus, FileVersion, FileVersionStatus};
use domain::knowledge::{Document, KnowledgeBase};
use kernel::digest::Sha256;
use kernel::{FileId, JobId};
use serde_json::json;

use super::versions::UploadPlan;
use super::{Files, checksums, versions};
use crate::objects::ObjectError;
use crate::{Cause, Commit, Error};

/// How many numbers are tried: each that is taken was stored by somebody who died before a row named
/// it, or is about to be named.
const NUMBERS_TRIED: u32 = 20;

/// A content that was stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// Where it is.
    pub content: Content,
    pub content_type: String,
    pub size_bytes: u64,
    /// In base64.
    pub sha256: String,
}

/// What a file with such a content is called, and where the content comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    pub name: String,
    pub url: Option<String>,
}

/// The SHA-256 of a content, in base64.
#[must_use]
pub fn sha256(body: &[u8]) -> String {
    let mut hash = Sha256::new();
    hash.update(body);
    STANDARD.encode(hash.finish())
}

impl Files<'_> {
    /// Stores a content of a file under the first free number above `after`. Nothing names it yet.
    ///
    /// # Errors
    /// [`ObjectError::Unavailable`] if S3 does not take it.
    pub async fn store_content(
        &self,
        file: FileId,
        after: u32,
        content_type: &str,
        body: &[u8],
    ) -> Result<Received, ObjectError> {
        let objects = self.store.objects(self.tenant);
        for number in (after + 1..).take(NUMBERS_TRIED as usize) {
            let content = Content { file, number };
            if objects
                .keep_content(content, content_type, body.to_vec())
                .await?
            {
                return Ok(Received {
                    content,
                    content_type: content_type.to_owned(),
                    size_bytes: body.len() as u64,
                    sha256: sha256(body),
                });
            }
        }
        Err(ObjectError::Unavailable(
            "no free number was found for a content".to_owned(),
        ))
    }

    /// Makes a file of a content that was stored, as part of a knowledge base, and hands it to a
    /// worker.
    ///
    /// # Errors
    /// [`Error::Commit`], as `Changed` if the knowledge base was changed or deleted meanwhile.
    pub async fn create_received(
        &self,
        cause: &Cause,
        received: &Received,
        origin: &Origin,
        base: &KnowledgeBase,
    ) -> Result<Document, Error> {
        let commit = Commit::new(self.tenant);
        let (commit, document) = self.receiving(commit, cause, received, origin, base);
        self.store.commit(commit).await?;
        Ok(document)
    }

    /// The same change, with a new file that has this content.
    pub(crate) fn receiving(
        &self,
        commit: Commit,
        cause: &Cause,
        received: &Received,
        origin: &Origin,
        base: &KnowledgeBase,
    ) -> (Commit, Document) {
        let now = self.store.now();
        let number = received.content.number;
        let file = File {
            id: received.content.file,
            org: self.tenant.org(),
            name: origin.name.clone(),
            url: origin.url.clone(),
            content_type: received.content_type.clone(),
            size_bytes: received.size_bytes,
            sha256: received.sha256.clone(),
            status: FileStatus::Processing,
            content_version: number,
            last_content_version: number,
            uploaded_as: number,
            format: None,
            title: None,
            language: None,
            programming_language: None,
            characters: None,
            job: Some(JobId::generate(now)),
            pages: None,
            chunks: None,
            failure: None,
            deletion: None,
            knowledge_bases: vec![base.id],
            uploaded_by: cause.actor,
            created_at: now,
            updated_at: now,
            version: 1,
        };
        let plan = UploadPlan {
            expires_at: now,
            parts: None,
        };
        let content = FileVersion {
            status: FileVersionStatus::Uploaded,
            ..versions::first(&file, plan)
        };
        let commit = self.told(commit.create(&file), cause, &file, &content);
        let knowledge = self.store.knowledge(self.tenant);
        let document = knowledge.new_document(base.id, &file);
        let commit = knowledge.add_document(commit, cause, base, &document);
        (commit, document)
    }

    /// The same change, which gives a file this content as its newest.
    pub(crate) fn receiving_version(
        &self,
        commit: Commit,
        cause: &Cause,
        current: &File,
        received: &Received,
    ) -> Commit {
        let now = self.store.now();
        let number = received.content.number;
        let content = FileVersion {
            org: current.org,
            file: current.id,
            number,
            status: FileVersionStatus::Uploaded,
            content_type: received.content_type.clone(),
            size_bytes: received.size_bytes,
            sha256: received.sha256.clone(),
            uploaded_as: number,
            parts: None,
            upload_expires_at: now,
            uploaded_by: cause.actor,
            created_at: now,
            updated_at: now,
            version: 1,
        };
        let file = File {
            last_content_version: number,
            ..self.with_content(current, &content)
        };
        let commit = commit.replace(&file, current.version);
        self.told(commit, cause, &file, &content)
    }

    fn told(&self, commit: Commit, cause: &Cause, file: &File, content: &FileVersion) -> Commit {
        let kind = if file.version == 1 {
            EventKind::FileConfirmed
        } else {
            EventKind::FileVersionAdded
        };
        let data = json!({ "name": file.name, "content_version": file.content_version });
        let event = self.store.event(self.tenant, cause, kind, file.id, data);
        commit
            .create(content)
            .put(&checksums::of(content))
            .event(event)
            .job(self.process_job(cause, file))
    }
}
