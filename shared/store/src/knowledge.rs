//! Knowledge bases. The documents in them are in [`documents`](crate::documents), their chunks in
//! [`chunks`](crate::chunks).

use domain::event::EventKind;
use domain::knowledge::KnowledgeBase;
use kernel::KnowledgeBaseId;
use kernel::cursor::{Page, PageRequest};
use serde_json::json;

use crate::keys::{self, Key};
use crate::read::Order;
use crate::record::Record;
use crate::{Cause, Commit, Error, ReadError, Store, Tenant, changes};

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

    /// Changes name and description.
    ///
    /// # Errors
    /// [`Error::Commit`], as `Changed` if it is no longer at `current`'s version.
    pub async fn update(
        &self,
        cause: &Cause,
        current: &KnowledgeBase,
        name: String,
        description: String,
    ) -> Result<KnowledgeBase, Error> {
        let base = KnowledgeBase {
            name,
            description,
            version: current.version + 1,
            updated_at: self.store.now(),
            ..current.clone()
        };
        let data = changes(current, &base);
        let event = self.store.event(
            self.tenant,
            cause,
            EventKind::KnowledgeBaseUpdated,
            base.id,
            data,
        );
        let commit = Commit::new(self.tenant)
            .replace(&base, current.version)
            .event(event);
        self.store.commit(commit).await?;
        Ok(base)
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
