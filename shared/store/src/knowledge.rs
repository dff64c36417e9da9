//! Knowledge bases. The documents in them are in [`documents`](crate::documents), their chunks in
//! [`chunks`](crate::chunks).

use domain::event::{Event, EventKind};
use domain::execution::Failure;
use domain::knowledge::{KnowledgeBase, Reembedding, VectorSets};
use kernel::cursor::{Page, PageRequest};
use kernel::{JobId, KnowledgeBaseId};
use serde::{Deserialize, Serialize};
use serde_json::json;
use work::{Fence, Job, Lane, NewJob, Progress};

use crate::files::MAX_FILE_ATTEMPTS;
use crate::keys::{self, Key};
use crate::read::Order;
use crate::record::Record;
use crate::{Cause, Commit, Error, ReadError, Store, Tenant, changes as changes_between};

/// The kind of the job that gives a knowledge base vectors of another model.
pub const REEMBED_JOB: &str = "knowledge_base.reembed";

/// What that job holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReembedPayload {
    pub knowledge_base: KnowledgeBaseId,
}

/// What is to be different; what is absent stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KnowledgeBaseUpdate {
    pub name: Option<String>,
    pub description: Option<String>,
    pub embedding_model: Option<String>,
}

impl Record for KnowledgeBase {
    const NOUN: &'static str = "knowledge base";

    fn key(&self) -> Key {
        keys::knowledge_base(self.org, self.id)
    }

    fn version(&self) -> u64 {
        self.version
    }
}

/// The knowledge of one org.
#[derive(Debug, Clone, Copy)]
pub struct Knowledge<'a> {
    pub(crate) store: &'a Store,
    pub(crate) tenant: Tenant,
}

impl Store {
    /// The knowledge of an org.
    #[must_use]
    pub fn knowledge(&self, tenant: Tenant) -> Knowledge<'_> {
        Knowledge {
            store: self,
            tenant,
        }
    }
}

impl Knowledge<'_> {
    /// The knowledge base with this id.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn base(&self, id: KnowledgeBaseId) -> Result<Option<KnowledgeBase>, ReadError> {
        self.store
            .get(&keys::knowledge_base(self.tenant.org(), id))
            .await
    }

    /// Those of the knowledge bases with these ids that exist.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn bases_by_id(
        &self,
        ids: &[KnowledgeBaseId],
    ) -> Result<Vec<KnowledgeBase>, ReadError> {
        let mut ids = ids.to_vec();
        ids.sort_unstable();
        ids.dedup();
        let keys: Vec<Key> = ids
            .iter()
            .map(|id| keys::knowledge_base(self.tenant.org(), *id))
            .collect();
        self.store.get_batch(&keys).await
    }

    /// Knowledge bases, newest first.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn bases(&self, page: &PageRequest) -> Result<Page<KnowledgeBase>, ReadError> {
        self.store
            .page(
                &keys::knowledge_bases(self.tenant.org()),
                page,
                Order::Descending,
            )
            .await
    }

    /// Creates a knowledge base for vectors of `embedding_model`.
    ///
    /// # Errors
    /// [`Error::Commit`] if the store does not take it.
    pub async fn create(
        &self,
        cause: &Cause,
        name: String,
        description: String,
        embedding_model: String,
    ) -> Result<KnowledgeBase, Error> {
        let now = self.store.now();
        let base = KnowledgeBase {
            id: KnowledgeBaseId::generate(now),
            org: self.tenant.org(),
            name,
            description,
            embedding_model,
            vectors: VectorSets::default(),
            reembedding: None,
            version: 1,
            created_at: now,
            updated_at: now,
        };
        let data = json!({ "name": base.name });
        let event = self.store.event(
            self.tenant,
            cause,
            EventKind::KnowledgeBaseCreated,
            base.id,
            data,
        );
        self.store
            .commit(Commit::new(self.tenant).create(&base).event(event))
            .await?;
        Ok(base)
    }

    /// Changes name, description or model. Another model begins a change-over: a job gives every
    /// document vectors of it, and until then the old ones answer. Back to the model that answers,
    /// a change that is under way is given up.
    ///
    /// # Errors
    /// [`Error::Commit`], as `Changed` if it is no longer at `current`'s version.
    pub async fn update(
        &self,
        cause: &Cause,
        current: &KnowledgeBase,
        changes: KnowledgeBaseUpdate,
    ) -> Result<KnowledgeBase, Error> {
        let now = self.store.now();
        let job = JobId::generate(now);
        let mut base = match &changes.embedding_model {
            Some(model) => current.changing_to(model, job, now),
            None => current.clone(),
        };
        let changes_model = base.reembedding != current.reembedding;
        base.name = changes.name.unwrap_or(base.name);
        base.description = changes.description.unwrap_or(base.description);
        base.version = current.version + 1;
        base.updated_at = now;
        let data = changes_between(current, &base);
        let event = self.base_event(cause, EventKind::KnowledgeBaseUpdated, &base, data);
        let mut commit = Commit::new(self.tenant)
            .replace(&base, current.version)
            .event(event);
        if changes_model {
            let payload = json!({ "knowledge_base": base.id });
            let reembed = NewJob::new(self.tenant.org(), REEMBED_JOB, Lane::Files, payload);
            let reembed = reembed.max_attempts(MAX_FILE_ATTEMPTS).id(job);
            commit = commit.job(reembed.correlation_id(&cause.correlation_id));
        }
        self.store.commit(commit).await?;
        Ok(base)
    }

    /// Lets the set of vectors that was made answer from now on.
    ///
    /// # Errors
    /// [`Error::Commit`], as `FenceLost` if the attempt no longer holds its job, as `Changed` if
    /// the knowledge base was changed meanwhile.
    pub async fn change_over(
        &self,
        fence: Fence,
        cause: &Cause,
        current: &KnowledgeBase,
    ) -> Result<Option<KnowledgeBase>, Error> {
        let Some(mut base) = current.changed_over() else {
            return Ok(None);
        };
        base.version = current.version + 1;
        base.updated_at = self.store.now();
        let data = json!({ "from": current.embedding_model, "to": base.embedding_model });
        let event = self.base_event(cause, EventKind::KnowledgeBaseReembedded, &base, data);
        let commit = Commit::new(self.tenant).fenced_by(fence);
        let commit = commit.replace(&base, current.version).event(event);
        self.store.commit(commit).await?;
        Ok(Some(base))
    }

    /// Gives a change of model up, and says why. The old vectors go on answering.
    ///
    /// # Errors
    /// As [`change_over`](Self::change_over).
    pub async fn give_change_up(
        &self,
        fence: Fence,
        cause: &Cause,
        current: &KnowledgeBase,
        failure: &Failure,
    ) -> Result<(), Error> {
        let mut base = current.clone();
        if let Some(reembedding) = &mut base.reembedding {
            reembedding.failure = Some(failure.clone());
        }
        base.version = current.version + 1;
        base.updated_at = self.store.now();
        let kind = EventKind::KnowledgeBaseReembeddingFailed;
        let event = self.base_event(cause, kind, &base, json!({ "failure": failure }));
        let commit = Commit::new(self.tenant).fenced_by(fence);
        let commit = commit.replace(&base, current.version).event(event);
        Ok(self.store.commit(commit).await?)
    }

    /// How far the job has come that brings a knowledge base to another model.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn reembedding_progress(
        &self,
        reembedding: &Reembedding,
    ) -> Result<Option<Progress>, ReadError> {
        let key = keys::job(self.tenant.org(), reembedding.job);
        let job: Option<Job> = self.store.get(&key).await?;
        Ok(job.and_then(|job| job.progress))
    }

    fn base_event(
        &self,
        cause: &Cause,
        kind: EventKind,
        base: &KnowledgeBase,
        data: serde_json::Value,
    ) -> Event {
        self.store.event(self.tenant, cause, kind, base.id, data)
    }

    /// Deletes a knowledge base. Ask for its documents first: while it holds any, it is not to be
    /// deleted. A document that is added between the question and the deletion does not refuse it,
    /// since every added document would then have to change the one row of its knowledge base. Once
    /// that row is gone nothing can be added, so what slipped in is taken out here.
    ///
    /// # Errors
    /// [`Error::Commit`], as `Changed` if it is no longer at `current`'s version.
    pub async fn delete(&self, cause: &Cause, current: &KnowledgeBase) -> Result<(), Error> {
        let data = json!({ "name": current.name });
        let event = self.store.event(
            self.tenant,
            cause,
            EventKind::KnowledgeBaseDeleted,
            current.id,
            data,
        );
        let commit = Commit::new(self.tenant)
            .delete(current, current.version)
            .event(event);
        self.store.commit(commit).await?;
        if let Err(error) = self.remove_all(cause, current.id).await {
            tracing::warn!(%error, base = %current.id, "documents of a deleted base are left");
        }
        Ok(())
    }
}
