//! Keeps the text indexes.
//!
//! | job | what it does |
//! |---|---|
//! | `index.update` | takes what changed in an org into its index; makes the index anew where that was asked for |
//!
//! An operator has an index made anew by invoking the function with `{"rebuild": ["org_…"]}`. That
//! only asks for it: the job of the org does the work, and the index goes on serving meanwhile.

use std::sync::Arc;

use kernel::OrgId;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::{Store, Tenant};
use text_index::Updater;
use work::Handler;

/// How much of the function's disk copies of index files may take; the files of the index that is
/// being written come on top.
const CACHE_BYTES: u64 = 1024 * 1024 * 1024;

/// What an operator may ask for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Command {
    /// The orgs whose index is to be made anew.
    pub rebuild: Vec<OrgId>,
}

/// Runs this worker on Lambda.
///
/// # Errors
/// An unusable environment, or a runtime that cannot go on.
pub async fn serve() -> Result<(), lambda::Error> {
    lambda::worker_with_commands(|store| Ok(handlers(store)), command).await
}

/// The handlers of this worker.
#[must_use]
pub fn handlers(store: &Store) -> Vec<Arc<dyn Handler>> {
    vec![Arc::new(Updater::new(store.clone(), CACHE_BYTES))]
}

/// Does what an operator asks for.
///
/// # Errors
/// What was asked for is nothing that this worker does, or the store does not answer.
pub async fn command(store: &Store, asked: Value) -> Result<Value, lambda::Error> {
    let command: Command = serde_json::from_value(asked)?;
    for org in &command.rebuild {
        let index = store.text_index(Tenant::authorised(*org));
        index.request_rebuild().await?;
    }
    Ok(serde_json::to_value(command)?)
}
