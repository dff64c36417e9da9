//! What servers of the Model Context Protocol offer, as they last said.

use kernel::{OrgId, Timestamp, ToolId};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::keys::{self, Key};
use crate::record::Record;
use crate::{Commit, CommitError, ReadError, Store, Tenant};

/// What a server offers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct McpListing {
    pub org: OrgId,
    /// The registered tool that names the server.
    pub tool: ToolId,
    /// The tool as it was when the server was asked; after a change it is asked again.
    pub tool_version: u64,
    /// The list of tools, in the client's own form.
    pub list: Value,
    /// What was agreed on with the server, in the client's own form.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub session: Option<Value>,
    pub listed_at: Timestamp,
}

impl Record for McpListing {
    const NOUN: &'static str = "list of a server's tools";

    fn key(&self) -> Key {
        keys::mcp_listing(self.org, self.tool)
    }
}

/// What the servers of one org offer.
#[derive(Debug, Clone, Copy)]
pub struct McpListings<'a> {
    store: &'a Store,
    tenant: Tenant,
}

impl Store {
    /// What the servers of an org offer.
    #[must_use]
    pub fn mcp_listings(&self, tenant: Tenant) -> McpListings<'_> {
        McpListings {
            store: self,
            tenant,
        }
    }
}

impl McpListings<'_> {
    /// What the server of a tool last said.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn get(&self, tool: ToolId) -> Result<Option<McpListing>, ReadError> {
        let key = keys::mcp_listing(self.tenant.org(), tool);
        self.store.get(&key).await
    }

    /// Keeps what a server said, over what it said before.
    ///
    /// # Errors
    /// [`CommitError`] if the store does not take it, or it is too large.
    pub async fn keep(&self, listing: &McpListing) -> Result<(), CommitError> {
        let commit = Commit::new(self.tenant).put(listing);
        self.store.commit(commit).await
    }
}
