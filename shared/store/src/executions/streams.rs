//! What the streams of runs show. Whatever is told in the stream of a run that another one called
//! is told in the stream of the run at the beginning of the chain of calls as well, in the same
//! transaction, so that one stream shows all that follows from one request.

use domain::execution::{Execution, StreamEntry, StreamEntryKind};
use kernel::Timestamp;
use serde_json::{Value, json};

use super::{Executions, OfOrg};
use crate::{Commit, ReadError};

impl Executions<'_> {
    /// The run whose stream shows what a called run does; none for a run that nobody called, and
    /// none once that run has ended: nothing follows the last entry of a stream.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn root_of(&self, execution: &Execution) -> Result<Option<Execution>, ReadError> {
        let Some(parent) = execution.parent else {
            return Ok(None);
        };
        // All whom it leads to write to its stream, without touching its row.
        let (root, last_sequence) =
            tokio::try_join!(self.get(parent.root), self.last_sequence(parent.root))?;
        let open = root.filter(|root| !root.state.is_terminal());
        Ok(open.map(|root| Execution {
            last_sequence,
            ..root
        }))
    }

    /// Adds to a change what is told of a run, in its own stream and in that of its root, if it has
    /// one. Refused as `Changed` if the root changed since it was read, and as `Exists` if others
    /// wrote to its stream.
    #[must_use = "a change does nothing until it is committed"]
    pub fn add_entries(
        &self,
        mut commit: Commit,
        execution: &mut Execution,
        mut root: Option<&mut Execution>,
        entries: impl IntoIterator<Item = (StreamEntryKind, Value)>,
    ) -> Commit {
        let (org, now) = (execution.org, self.store.now());
        if let Some(root) = &root {
            commit = commit.unless_changed(*root, root.version);
        }
        for (kind, data) in entries {
            if let Some(root) = root.as_deref_mut() {
                let row = relayed(root, execution, kind, &data, now);
                commit = commit.create(&OfOrg { org, row });
            }
            let row = execution.next_stream_entry(kind, data, now);
            commit = commit.create(&OfOrg { org, row });
        }
        commit
    }

    /// [`add_change`](Self::add_change), with an entry that tells of it.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn add_told_change(
        &self,
        commit: Commit,
        before: &Execution,
        after: &mut Execution,
        entry: (StreamEntryKind, Value),
    ) -> Result<Commit, ReadError> {
        let mut root = self.root_of(before).await?;
        let commit = self.add_entries(commit, after, root.as_mut(), [entry]);
        Ok(self.add_change(commit, before, after))
    }
}

/// An entry of a run as the stream of its root shows it.
fn relayed(
    root: &mut Execution,
    execution: &Execution,
    kind: StreamEntryKind,
    data: &Value,
    now: Timestamp,
) -> StreamEntry {
    let value = json!({
        "execution_id": execution.id,
        "agent_id": execution.agent,
        "depth": execution.depth(),
        "type": kind.name(),
        "data": data,
    });
    let data = json!({ "name": "sub_agent", "value": value });
    root.next_stream_entry(StreamEntryKind::Custom, data, now)
}
