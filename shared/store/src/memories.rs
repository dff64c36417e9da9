//! What agents remember.

use domain::event::EventKind;
use domain::memory::Memory;
use kernel::cursor::{Page, PageRequest};
use kernel::{AgentId, MemoryId};
use serde_json::json;

use crate::keys::{self, Key};
use crate::read::Order;
use crate::record::Record;
use crate::{Cause, Commit, Error, ReadError, Store, Tenant};

impl Record for Memory {
    const NOUN: &'static str = "memory";

    fn key(&self) -> Key {
        keys::memory(self.org, self.agent, self.id)
    }
}

/// The memories of the agents of one org.
#[derive(Debug, Clone, Copy)]
pub struct Memories<'a> {
    store: &'a Store,
    tenant: Tenant,
}

impl Store {
    /// The memories of an org's agents.
    #[must_use]
    pub fn memories(&self, tenant: Tenant) -> Memories<'_> {
        Memories {
            store: self,
            tenant,
        }
    }
}

impl Memories<'_> {
    /// One memory of an agent.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn get(&self, agent: AgentId, id: MemoryId) -> Result<Option<Memory>, ReadError> {
        self.store
            .get(&keys::memory(self.tenant.org(), agent, id))
            .await
    }

    /// An agent's memories, newest first.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn page(
        &self,
        agent: AgentId,
        page: &PageRequest,
    ) -> Result<Page<Memory>, ReadError> {
        self.store
            .page(
                &keys::memories(self.tenant.org(), agent),
                page,
                Order::Descending,
            )
            .await
    }

    /// Forgets something.
    ///
    /// # Errors
    /// [`Error::Commit`], as `Changed` if it is forgotten already.
    pub async fn delete(&self, cause: &Cause, memory: &Memory) -> Result<(), Error> {
        let data = json!({ "agent": memory.agent });
        let event = self.store.event(
            self.tenant,
            cause,
            EventKind::MemoryDeleted,
            memory.id,
            data,
        );
        let commit = Commit::new(self.tenant)
            .delete_existing(memory)
            .event(event);
        Ok(self.store.commit(commit).await?)
    }
}
