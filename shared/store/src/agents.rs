//! Agents and their versions.

use domain::agent::{Agent, AgentSpec, AgentVersion};
use domain::event::EventKind;
use kernel::AgentId;
use kernel::cursor::{Page, PageRequest};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::keys::{self, Key};
use crate::memories::upkeep::forgetting;
use crate::read::Order;
use crate::record::Record;
use crate::{Cause, Commit, Error, ReadError, Store, Tenant, changes};

impl Record for Agent {
    const NOUN: &'static str = "agent";

    fn key(&self) -> Key {
        keys::agent(self.org, self.id)
    }

    fn version(&self) -> u64 {
        self.version
    }
}

/// A version with the org that its key needs.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct VersionRow {
    org: kernel::OrgId,
    #[serde(flatten)]
    version: AgentVersion,
}

impl Record for VersionRow {
    const NOUN: &'static str = "agent version";

    fn key(&self) -> Key {
        keys::agent_version(self.org, self.version.agent, self.version.version)
    }
}

/// The agents of one org.
#[derive(Debug, Clone, Copy)]
pub struct Agents<'a> {
    store: &'a Store,
    tenant: Tenant,
}

impl Store {
    /// The agents of an org.
    #[must_use]
    pub fn agents(&self, tenant: Tenant) -> Agents<'_> {
        Agents {
            store: self,
            tenant,
        }
    }
}

impl Agents<'_> {
    /// The agent with this id.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn get(&self, id: AgentId) -> Result<Option<Agent>, ReadError> {
        self.store.get(&keys::agent(self.tenant.org(), id)).await
    }

    /// Those of these agents that exist, in no certain order.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn get_many(&self, ids: &[AgentId]) -> Result<Vec<Agent>, ReadError> {
        let mut ids = ids.to_vec();
        ids.sort_unstable();
        ids.dedup();
        let keys: Vec<Key> = ids
            .iter()
            .map(|id| keys::agent(self.tenant.org(), *id))
            .collect();
        self.store.get_batch(&keys).await
    }

    /// Agents, newest first.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn page(&self, page: &PageRequest) -> Result<Page<Agent>, ReadError> {
        self.store
            .page(&keys::agents(self.tenant.org()), page, Order::Descending)
            .await
    }

    /// The agent as it was in one of its versions.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn version(
        &self,
        id: AgentId,
        version: u64,
    ) -> Result<Option<AgentVersion>, ReadError> {
        let key = keys::agent_version(self.tenant.org(), id, version);
        Ok(self
            .store
            .get::<VersionRow>(&key)
            .await?
            .map(|row| row.version))
    }

    /// The versions of an agent, newest first.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn versions(
        &self,
        id: AgentId,
        page: &PageRequest,
    ) -> Result<Page<AgentVersion>, ReadError> {
        let list = keys::agent_versions(self.tenant.org(), id);
        let page = self
            .store
            .page::<VersionRow>(&list, page, Order::Descending)
            .await?;
        Ok(page.map(|row| row.version))
    }

    /// Creates an agent, with its first version.
    ///
    /// # Errors
    /// [`Error::Commit`] if the store does not take it.
    pub async fn create(&self, cause: &Cause, spec: AgentSpec) -> Result<Agent, Error> {
        let now = self.store.now();
        let agent = Agent {
            id: AgentId::generate(now),
            org: self.tenant.org(),
            spec,
            version: 1,
            created_at: now,
            updated_at: now,
        };
        let data = json!({ "name": agent.spec.name, "version": 1 });
        let event = self
            .store
            .event(self.tenant, cause, EventKind::AgentCreated, agent.id, data);
        let commit = Commit::new(self.tenant)
            .create(&agent)
            .create(&self.version_row(&agent, cause))
            .event(event);
        self.store.commit(commit).await?;
        Ok(agent)
    }

    /// Gives an agent a new specification, as its next version.
    ///
    /// # Errors
    /// [`Error::Commit`], as `Changed` if the agent is no longer at `current`'s version.
    pub async fn update(
        &self,
        cause: &Cause,
        current: &Agent,
        spec: AgentSpec,
    ) -> Result<Agent, Error> {
        let agent = Agent {
            spec,
            version: current.version + 1,
            updated_at: self.store.now(),
            ..current.clone()
        };
        let data = changes(current, &agent);
        let event = self
            .store
            .event(self.tenant, cause, EventKind::AgentUpdated, agent.id, data);
        let commit = Commit::new(self.tenant)
            .replace(&agent, current.version)
            .create(&self.version_row(&agent, cause))
            .event(event);
        self.store.commit(commit).await?;
        Ok(agent)
    }

    /// Deletes an agent. Its versions stay, since executions refer to them; what it remembers is
    /// removed by a job.
    ///
    /// # Errors
    /// [`Error::Commit`], as `Changed` if the agent is no longer at `current`'s version.
    pub async fn delete(&self, cause: &Cause, current: &Agent) -> Result<(), Error> {
        let data = json!({ "name": current.spec.name });
        let event = self.store.event(
            self.tenant,
            cause,
            EventKind::AgentDeleted,
            current.id,
            data,
        );
        let commit = Commit::new(self.tenant)
            .delete(current, current.version)
            .event(event)
            .job(forgetting(self.tenant, cause, current.id));
        Ok(self.store.commit(commit).await?)
    }

    fn version_row(&self, agent: &Agent, cause: &Cause) -> VersionRow {
        VersionRow {
            org: self.tenant.org(),
            version: AgentVersion {
                agent: agent.id,
                version: agent.version,
                spec: agent.spec.clone(),
                created_at: agent.updated_at,
                created_by: cause.actor,
            },
        }
    }
}
