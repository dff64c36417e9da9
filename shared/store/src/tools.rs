//! Registered tools. A tool's name is unique in its org.

use domain::event::EventKind;
use domain::tool::{Tool, ToolSpec};
use kernel::ToolId;
use kernel::cursor::{Page, PageRequest};
use serde_json::json;

use crate::keys::{self, Key};
use crate::read::Order;
use crate::record::Record;
use crate::{Cause, Commit, Error, ReadError, Store, Tenant, changes};

const NAME_NOUN: &str = "tool name";

impl Record for Tool {
    const NOUN: &'static str = "tool";

    fn key(&self) -> Key {
        keys::tool(self.org, self.id)
    }

    fn version(&self) -> u64 {
        self.version
    }
}

/// The tools of one org.
#[derive(Debug, Clone, Copy)]
pub struct Tools<'a> {
    store: &'a Store,
    tenant: Tenant,
}

impl Store {
    /// The tools of an org.
    #[must_use]
    pub fn tools(&self, tenant: Tenant) -> Tools<'_> {
        Tools {
            store: self,
            tenant,
        }
    }
}

impl Tools<'_> {
    /// The tool with this id.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn get(&self, id: ToolId) -> Result<Option<Tool>, ReadError> {
        self.store.get(&keys::tool(self.tenant.org(), id)).await
    }

    /// Those of the tools with these ids that exist.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn get_many(&self, ids: &[ToolId]) -> Result<Vec<Tool>, ReadError> {
        let mut ids = ids.to_vec();
        ids.sort_unstable();
        ids.dedup();
        let keys: Vec<Key> = ids
            .iter()
            .map(|id| keys::tool(self.tenant.org(), *id))
            .collect();
        self.store.get_batch(&keys).await
    }

    /// Tools, newest first.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn page(&self, page: &PageRequest) -> Result<Page<Tool>, ReadError> {
        self.store
            .page(&keys::tools(self.tenant.org()), page, Order::Descending)
            .await
    }

    /// Registers a tool.
    ///
    /// # Errors
    /// [`Error::Commit`], as `Exists` if the name is taken.
    pub async fn create(&self, cause: &Cause, spec: ToolSpec) -> Result<Tool, Error> {
        let now = self.store.now();
        let org = self.tenant.org();
        let tool = Tool {
            id: ToolId::generate(now),
            org,
            spec,
            version: 1,
            created_at: now,
            updated_at: now,
        };
        let data = json!({ "name": tool.spec.name });
        let event = self
            .store
            .event(self.tenant, cause, EventKind::ToolCreated, tool.id, data);
        let commit = Commit::new(self.tenant)
            .claim(keys::tool_name(org, &tool.spec.name), NAME_NOUN)
            .create(&tool)
            .event(event);
        self.store.commit(commit).await?;
        Ok(tool)
    }

    /// Changes a tool.
    ///
    /// # Errors
    /// [`Error::Commit`], as `Changed` if the tool is no longer at `current`'s version and as
    /// `Exists` if the new name is taken.
    pub async fn update(
        &self,
        cause: &Cause,
        current: &Tool,
        spec: ToolSpec,
    ) -> Result<Tool, Error> {
        let org = self.tenant.org();
        let tool = Tool {
            spec,
            version: current.version + 1,
            updated_at: self.store.now(),
            ..current.clone()
        };
        let data = changes(current, &tool);
        let event = self
            .store
            .event(self.tenant, cause, EventKind::ToolUpdated, tool.id, data);
        let mut commit = Commit::new(self.tenant)
            .replace(&tool, current.version)
            .event(event);
        if tool.spec.name != current.spec.name {
            commit = commit
                .claim(keys::tool_name(org, &tool.spec.name), NAME_NOUN)
                .discard(keys::tool_name(org, &current.spec.name));
        }
        self.store.commit(commit).await?;
        Ok(tool)
    }

    /// Deletes a tool, and its credential with it. Agents that name it can no longer call it.
    ///
    /// # Errors
    /// [`Error::Commit`], as `Changed` if the tool is no longer at `current`'s version.
    pub async fn delete(&self, cause: &Cause, current: &Tool) -> Result<(), Error> {
        let data = json!({ "name": current.spec.name });
        let event = self
            .store
            .event(self.tenant, cause, EventKind::ToolDeleted, current.id, data);
        let commit = Commit::new(self.tenant)
            .delete(current, current.version)
            .discard(keys::tool_name(self.tenant.org(), &current.spec.name))
            .discard(keys::tool_credential(self.tenant.org(), current.id))
            .event(event);
        Ok(self.store.commit(commit).await?)
    }
}
