//! What agents remember.

pub(crate) mod create;
pub(crate) mod delete;
pub(crate) mod get;
pub(crate) mod list;
pub(crate) mod recall;
pub(crate) mod share;
pub(crate) mod update;

use domain::memory::Memory;
use store::{ReadError, Store, Tenant};

/// The text of a memory; for garde's `custom`.
pub(crate) fn text(text: &str, (): &()) -> garde::Result {
    if text.trim().is_empty() {
        return Err(garde::Error::new("must not be blank"));
    }
    Ok(())
}

/// A memory as it is shown: with every recall of it.
async fn shown(store: &Store, tenant: Tenant, memory: Memory) -> Result<Memory, ReadError> {
    let agent = memory.agent;
    let mut shown = store
        .memories(tenant)
        .with_recalls(agent, vec![memory.clone()])
        .await?;
    Ok(shown.pop().unwrap_or(memory))
}
