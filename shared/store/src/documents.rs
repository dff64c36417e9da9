//! The documents of knowledge bases: files as parts of them. Their chunks are in
//! [`chunks`](crate::chunks).
//!
//! A file's own row lists the knowledge bases that it is part of, and each change to the list gives
//! the file a new version. So whoever says what became of a file, under the version it has read,
//! tells every document of it: one that was added meanwhile refuses the change. An index by file
//! could not promise that, since it lags behind.

use domain::event::{Event, EventKind};
use domain::execution::Failure;
use domain::file::{File, FileStatus};
use domain::knowledge::{Document, DocumentStatus, KnowledgeBase};
use kernel::cursor::{Page, PageRequest};
use kernel::{FileId, KnowledgeBaseId};
use serde::{Deserialize, Serialize};
use serde_json::json;
use work::{Fence, Lane, NewJob};

use crate::files::MAX_FILE_ATTEMPTS;
use crate::keys::{self, Key};
use crate::knowledge::Knowledge;
use crate::read::{Order, Verdict};
use crate::record::Record;
use crate::{Cause, Commit, Error, ReadError};

/// The kind of the job that embeds a file's chunks into a knowledge base.
pub const INDEX_JOB: &str = "document.index";
/// The kind of the job that removes the chunks of a document that was taken out.
pub const UNINDEX_JOB: &str = "document.unindex";
/// How often a change that meets others is tried.
const TRIES: u32 = 5;

/// What the jobs of a document hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentPayload {
    pub knowledge_base: KnowledgeBaseId,
    pub file: FileId,
}

impl Record for Document {
    const NOUN: &'static str = "document";

    fn key(&self) -> Key {
        keys::document(self.org, self.knowledge_base, self.file)
    }

    fn version(&self) -> u64 {
        self.version
    }
}

impl Knowledge<'_> {
    /// A file as part of a knowledge base, unless it was deleted.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn document(
        &self,
        base: KnowledgeBaseId,
        file: FileId,
    ) -> Result<Option<Document>, ReadError> {
        let document = self.any_document(base, file).await?;
        Ok(document.filter(|document| document.status != DocumentStatus::Withdrawn))
    }

    /// A file as part of a knowledge base, even if it was deleted and can be restored.
    async fn any_document(
        &self,
        base: KnowledgeBaseId,
        file: FileId,
    ) -> Result<Option<Document>, ReadError> {
        self.store
            .get(&keys::document(self.tenant.org(), base, file))
            .await
    }

    /// The documents of a knowledge base, newest file first, without those of deleted files.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn documents(
        &self,
        base: KnowledgeBaseId,
        page: &PageRequest,
    ) -> Result<Page<Document>, ReadError> {
        let list = keys::documents(self.tenant.org(), base);
        let there =
            |document: &Document| Verdict::take_if(document.status != DocumentStatus::Withdrawn);
        self.store
            .page_where(&list, page, Order::Descending, there)
            .await
    }

    /// A file in all the knowledge bases that it names, those of a deleted file too.
    pub(crate) async fn documents_of(&self, file: &File) -> Result<Vec<Document>, ReadError> {
        if file.knowledge_bases.is_empty() {
            return Ok(Vec::new());
        }
        let keys: Vec<Key> = file
            .knowledge_bases
            .iter()
            .map(|base| keys::document(self.tenant.org(), *base, file.id))
            .collect();
        self.store.get_batch(&keys).await
    }

    /// Makes a file part of a knowledge base. If it is processed already, its chunks are embedded
    /// by a job; if not, processing will see to that.
    ///
    /// # Errors
    /// [`Error::Commit`], as `Exists` if it is part of it already, as `Changed` if file or
    /// knowledge base were changed meanwhile.
    pub async fn add(
        &self,
        cause: &Cause,
        base: &KnowledgeBase,
        file: &File,
    ) -> Result<Document, Error> {
        let mut linked = file.clone();
        linked.version += 1;
        linked.updated_at = self.store.now();
        if !linked.knowledge_bases.contains(&base.id) {
            linked.knowledge_bases.push(base.id);
        }
        let document = self.new_document(base.id, file);
        let mut commit = self.add_document(Commit::new(self.tenant), cause, base, &document);
        commit = commit.replace(&linked, file.version);
        if file.status == FileStatus::Ready {
            commit = commit.job(self.job(INDEX_JOB, cause, base.id, file.id));
        }
        self.store.commit(commit).await?;
        Ok(document)
    }

    pub(crate) fn add_document(
        &self,
        commit: Commit,
        cause: &Cause,
        base: &KnowledgeBase,
        document: &Document,
    ) -> Commit {
        let data = json!({ "knowledge_base": base.id, "name": document.name });
        let event = self.store.event(
            self.tenant,
            cause,
            EventKind::DocumentAdded,
            document.file,
            data,
        );
        commit
            .create(document)
            .unless_changed(base, base.version)
            .event(event)
    }

    /// Takes a file out of a knowledge base. It is found no more; a job removes its chunks. `false`
    /// if it was not part of it.
    ///
    /// # Errors
    /// [`Error::Commit`], as `Changed` if file or document were changed again and again meanwhile.
    pub async fn remove(
        &self,
        cause: &Cause,
        base: KnowledgeBaseId,
        file: FileId,
    ) -> Result<bool, Error> {
        let mut tries = 0;
        loop {
            let Some(document) = self.any_document(base, file).await? else {
                return Ok(false);
            };
            let file = self.store.files(self.tenant).get_any(file).await?;
            match self.try_remove(cause, &document, file).await {
                Err(error) if error.is_changed() && tries < TRIES => tries += 1,
                result => return result.map(|()| true),
            }
        }
    }

    /// Takes every file out of a knowledge base.
    pub(crate) async fn remove_all(
        &self,
        cause: &Cause,
        base: KnowledgeBaseId,
    ) -> Result<(), Error> {
        let list = keys::documents(self.tenant.org(), base);
        loop {
            let first = PageRequest::first(100);
            let page: Page<Document> = self.store.page(&list, &first, Order::Descending).await?;
            for document in &page.items {
                self.remove(cause, base, document.file).await?;
            }
            if page.next.is_none() {
                return Ok(());
            }
        }
    }

    async fn try_remove(
        &self,
        cause: &Cause,
        document: &Document,
        file: Option<File>,
    ) -> Result<(), Error> {
        let base = document.knowledge_base;
        let data = json!({ "knowledge_base": base, "name": document.name });
        let event = self.store.event(
            self.tenant,
            cause,
            EventKind::DocumentRemoved,
            document.file,
            data,
        );
        let mut commit = Commit::new(self.tenant)
            .delete(document, document.version)
            .event(event)
            .job(self.job(UNINDEX_JOB, cause, base, document.file));
        if let Some(mut file) = file {
            let read = file.version;
            file.knowledge_bases.retain(|listed| *listed != base);
            file.version += 1;
            file.updated_at = self.store.now();
            commit = commit.replace(&file, read);
        }
        Ok(self.store.commit(commit).await?)
    }

    /// Notes that a document cannot be searched, and why.
    ///
    /// # Errors
    /// As [`indexed`](Self::indexed).
    pub async fn not_indexed(
        &self,
        fence: Fence,
        cause: &Cause,
        current: &Document,
        failure: &Failure,
    ) -> Result<(), Error> {
        let commit = Commit::new(self.tenant).fenced_by(fence);
        Ok(self
            .store
            .commit(self.fail_document(commit, cause, current, failure))
            .await?)
    }

    pub(crate) fn fail_document(
        &self,
        commit: Commit,
        cause: &Cause,
        current: &Document,
        failure: &Failure,
    ) -> Commit {
        let document = self.next(current, DocumentStatus::Failed, Some(failure.clone()));
        let data = json!({ "knowledge_base": document.knowledge_base, "failure": failure });
        let event = self.document_event(cause, EventKind::DocumentFailed, &document, data);
        commit.replace(&document, current.version).event(event)
    }

    /// Has the chunks of a document embedded anew.
    ///
    /// # Errors
    /// As [`indexed`](Self::indexed).
    pub async fn index_again(
        &self,
        fence: Fence,
        cause: &Cause,
        current: &Document,
    ) -> Result<(), Error> {
        let document = Document {
            vector_sets: Vec::new(),
            joining: None,
            ..self.next(current, DocumentStatus::Indexing, None)
        };
        let job = self.job(INDEX_JOB, cause, document.knowledge_base, document.file);
        let commit = Commit::new(self.tenant).fenced_by(fence);
        let commit = commit.replace(&document, current.version).job(job);
        Ok(self.store.commit(commit).await?)
    }

    /// A job for the chunks of a document.
    pub(crate) fn job(
        &self,
        kind: &str,
        cause: &Cause,
        knowledge_base: KnowledgeBaseId,
        file: FileId,
    ) -> NewJob {
        let payload = json!({ "knowledge_base": knowledge_base, "file": file });
        NewJob::new(self.tenant.org(), kind, Lane::Files, payload)
            .max_attempts(MAX_FILE_ATTEMPTS)
            .correlation_id(&cause.correlation_id)
    }

    /// The document as it stands next, about a content of its file.
    pub(crate) fn restated(
        &self,
        current: &Document,
        status: DocumentStatus,
        file: &File,
    ) -> Document {
        Document {
            content_version: file.content_version,
            ..self.next(current, status, None)
        }
    }

    pub(crate) fn next(
        &self,
        current: &Document,
        status: DocumentStatus,
        failure: Option<Failure>,
    ) -> Document {
        Document {
            status,
            failure,
            version: current.version + 1,
            updated_at: self.store.now(),
            ..current.clone()
        }
    }

    pub(crate) fn document_event(
        &self,
        cause: &Cause,
        kind: EventKind,
        document: &Document,
        data: serde_json::Value,
    ) -> Event {
        self.store
            .event(self.tenant, cause, kind, document.file, data)
    }

    pub(crate) fn new_document(&self, base: KnowledgeBaseId, file: &File) -> Document {
        let now = self.store.now();
        Document {
            org: self.tenant.org(),
            knowledge_base: base,
            file: file.id,
            name: file.name.clone(),
            url: file.url.clone(),
            status: DocumentStatus::Indexing,
            content_version: file.content_version,
            chunks: 0,
            failure: None,
            vector_sets: Vec::new(),
            joining: None,
            created_at: now,
            updated_at: now,
            version: 1,
        }
    }
}
