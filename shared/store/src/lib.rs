//! State: the only crate that knows how the product's nouns are kept.
//!
//! | module | holds |
//! |---|---|
//! | [`config`] | names of tables, queues and bucket |
//! | [`clients`] | the AWS clients of a process |
//! | [`keys`] | every key string of every row, in one file |
//! | [`commit`] | one transaction: state, events and jobs together |
//! | [`read`] | point reads, pages and their cursors |
//! | [`jobs`], [`bell`] | the work engine's rows and doorbells |
//! | [`objects`] | files in S3: presigned uploads, bodies |
//! | [`data_keys`], [`credentials`] | sealed secrets and the keys that seal them |
//! | [`text_index`], [`index_objects`], [`index_marks`] | which files are an org's text index, their objects, and what it has yet to take in |
//! | [`health`] | whether DynamoDB, S3 and SQS answer |
//! | one module a noun | what can be asked of it and done to it |
//!
//! Every method is called on a scope made from a [`Tenant`], so a query that forgets the org does
//! not compile. Rows that belong to no org (users, the hashes of API keys) are in [`identity`].

pub mod agents;
pub mod api_keys;
pub mod approvals;
pub mod audit;
pub mod bell;
pub mod budgets;
pub mod chunks;
pub mod clients;
pub mod commit;
pub mod config;
pub mod conversations;
pub mod credentials;
pub mod data_keys;
pub mod documents;
pub mod embedded_texts;
pub mod events;
pub mod executions;
pub mod extracted;
pub mod files;
pub mod health;
pub mod hosts;
pub mod idempotency;
pub mod identity;
pub mod index_marks;
pub mod index_objects;
pub mod jobs;
pub mod joining;
pub mod keys;
pub mod knowledge;
pub mod mcp_listings;
pub mod memories;
pub mod metering;
pub mod objects;
pub mod orgs;
pub mod read;
pub mod record;
mod rows;
pub mod searches;
pub mod sources;
pub mod stats;
#[cfg(test)]
mod stored_form;
pub mod swarms;
pub mod tasks;
pub mod text_index;
pub mod tools;
pub mod vectors;

use std::sync::Arc;

use domain::event::{Actor, Event, EventKind};
use kernel::{Clock, EventId, OrgId, Timestamp};
use vault::Vault;
use work::Bell;

use executions::news::Newsroom;

pub use clients::Clients;
pub use commit::{Commit, CommitError};
pub use config::StoreConfig;
pub use read::ReadError;

/// The org on whose behalf something is read or written. Made by the layer that has checked the
/// caller, or from a job, which carries its org.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tenant(OrgId);

impl Tenant {
    /// The scope of `org`, for a caller who is known to belong there.
    #[must_use]
    pub const fn authorised(org: OrgId) -> Self {
        Self(org)
    }

    /// The org.
    #[must_use]
    pub const fn org(self) -> OrgId {
        self.0
    }
}

/// Why something could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Commit(#[from] CommitError),
    #[error(transparent)]
    Object(#[from] objects::ObjectError),
}

impl Error {
    /// Whether nothing was written since something was changed meanwhile: read it again and repeat.
    #[must_use]
    pub fn is_changed(&self) -> bool {
        matches!(self, Self::Commit(CommitError::Changed { .. }))
    }
}

/// An error of the AWS SDK with all its causes, in one line for the log.
#[must_use]
pub fn explain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// What a change did to the fields of something: for each that differs, before and after. Readers
/// of the event log and auditors see what was changed, not only that something was.
pub(crate) fn changes<T: serde::Serialize>(before: &T, after: &T) -> serde_json::Value {
    let fields = |value: &T| match serde_json::to_value(value) {
        Ok(serde_json::Value::Object(fields)) => fields,
        _ => serde_json::Map::new(),
    };
    let (before, after) = (fields(before), fields(after));
    let names: std::collections::BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let changed = names
        .into_iter()
        .filter(|name| !matches!(name.as_str(), "version" | "updated_at"))
        .filter(|name| before.get(*name) != after.get(*name))
        .map(|name| {
            let change =
                serde_json::json!({ "before": before.get(name), "after": after.get(name) });
            (name.clone(), change)
        })
        .collect::<serde_json::Map<_, _>>();
    serde_json::json!({ "changes": changed })
}

/// Who causes a change, and the thread it hangs on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    pub actor: Actor,
    /// The request, job or schedule that led here; carried into events, jobs and logs.
    pub correlation_id: String,
}

/// The product's state: tables, objects and the bell that wakes workers.
#[derive(Clone)]
pub struct Store {
    pub(crate) clients: Clients,
    pub(crate) config: Arc<StoreConfig>,
    pub(crate) bell: Arc<dyn Bell>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) vault: Vault,
    pub(crate) newsroom: Newsroom,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl Store {
    /// A store over these clients, which rings the queues of `config`.
    #[must_use]
    pub fn new(clients: Clients, config: StoreConfig, clock: Arc<dyn Clock>) -> Self {
        let config = Arc::new(config);
        let bell = Arc::new(bell::SqsBell::new(clients.clone(), Arc::clone(&config)));
        Self {
            clients,
            config,
            bell,
            clock,
            vault: Vault::none(),
            newsroom: Newsroom::new(),
        }
    }

    /// The same store with a vault: without one, whatever has to do with secrets is refused.
    #[must_use]
    pub fn with_vault(self, vault: Vault) -> Self {
        Self { vault, ..self }
    }

    /// What seals and opens secrets.
    #[must_use]
    pub fn vault(&self) -> &Vault {
        &self.vault
    }

    /// The present, by the store's clock.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The clock that stamps every change.
    #[must_use]
    pub fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock)
    }

    /// The bell that wakes workers.
    #[must_use]
    pub fn bell(&self) -> Arc<dyn Bell> {
        Arc::clone(&self.bell)
    }

    /// Names of tables, queues and bucket.
    #[must_use]
    pub fn config(&self) -> &StoreConfig {
        &self.config
    }

    /// The AWS clients, for health probes and hosts.
    #[must_use]
    pub fn clients(&self) -> &Clients {
        &self.clients
    }

    /// The event that tells of a change to `subject`, stamped now.
    #[must_use]
    pub fn event(
        &self,
        tenant: Tenant,
        cause: &Cause,
        kind: EventKind,
        subject: impl std::fmt::Display,
        data: serde_json::Value,
    ) -> Event {
        let now = self.now();
        Event {
            id: EventId::generate(now),
            org: tenant.org(),
            kind,
            subject: subject.to_string(),
            actor: cause.actor,
            occurred_at: now,
            correlation_id: cause.correlation_id.clone(),
            data,
        }
    }
}
