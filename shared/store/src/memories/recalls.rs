//! What agents were told of.
//!
//! A run must not wait for counters, nor may runs of one agent get into each other's way over them.
//! So what an execution was told of is one new row, in the transaction with which it begins. Readers
//! add the rows to what was counted; consolidation counts them, and removes each in the transaction
//! that has counted it. A recall is thus counted once, whatever dies in between.

use std::collections::{BTreeSet, HashMap};

use domain::memory::Memory;
use domain::memory::consolidation::{Entry, successors};
use kernel::cursor::PageRequest;
use kernel::{AgentId, ExecutionId, MemoryId, OrgId, Timestamp};
use serde::{Deserialize, Serialize};
use work::{Fence, NewJob};

use super::{Memories, MemoryRow, upkeep};
use crate::keys::{self, Key};
use crate::read::Order;
use crate::record::Record;
use crate::{Commit, Error, ReadError, Store};

/// After so many notes they are to be counted.
pub const COUNT_AFTER: usize = 100;
/// The most notes that are read at once. More wait only while nothing counts them.
const MAX_READ: u32 = 200;
/// The most notes and memories that one transaction changes.
const MAX_CHANGED: usize = 90;

/// What an execution was told of when it began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RecallRow {
    org: OrgId,
    agent: AgentId,
    execution: ExecutionId,
    memories: Vec<MemoryId>,
    at: Timestamp,
}

impl Record for RecallRow {
    const NOUN: &'static str = "note of a recall";

    fn key(&self) -> Key {
        keys::memory_recall(self.org, self.agent, self.execution)
    }
}

/// A note that is about to be written, with the upkeep that follows from it.
#[derive(Debug, Clone)]
pub struct RecallNote {
    row: RecallRow,
    upkeep: Option<NewJob>,
}

impl RecallNote {
    /// Adds the note to the change with which the execution begins.
    pub fn add_to(self, commit: Commit, store: &Store) -> Commit {
        let agent = self.row.agent;
        let commit = commit.put(&self.row);
        match self.upkeep {
            Some(job) => upkeep::begin(commit, store, agent, job),
            None => commit,
        }
    }
}

impl Memories<'_> {
    /// What it takes to note what an execution is told of. `pending` notes are not counted yet.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn note(
        &self,
        agent: AgentId,
        execution: ExecutionId,
        memories: Vec<MemoryId>,
        pending: usize,
    ) -> Result<RecallNote, ReadError> {
        let upkeep = if pending + 1 >= COUNT_AFTER {
            self.next_upkeep(agent).await?
        } else {
            None
        };
        let row = RecallRow {
            org: self.tenant.org(),
            agent,
            execution,
            memories,
            at: self.store.now(),
        };
        Ok(RecallNote { row, upkeep })
    }

    /// What an execution was told of when it began, as far as it is still remembered. `None` if
    /// that is not noted, or counted already.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn told(
        &self,
        agent: AgentId,
        execution: ExecutionId,
    ) -> Result<Option<Vec<Memory>>, ReadError> {
        let org = self.tenant.org();
        let key = keys::memory_recall(org, agent, execution);
        let Some(note) = self.store.get::<RecallRow>(&key).await? else {
            return Ok(None);
        };
        let keys: Vec<Key> = note
            .memories
            .iter()
            .map(|id| keys::memory(org, agent, *id))
            .collect();
        let rows: Vec<MemoryRow> = self.store.get_batch(&keys).await?;
        let mut found: HashMap<MemoryId, Memory> = rows
            .into_iter()
            .map(|row| (row.memory.id, row.memory))
            .collect();
        let in_order = note.memories.iter().filter_map(|id| found.remove(id));
        Ok(Some(in_order.collect()))
    }

    /// The notes that are not yet counted, newest first.
    pub(super) async fn pending(&self, agent: AgentId) -> Result<Vec<RecallRow>, ReadError> {
        let list = keys::memory_recalls(self.tenant.org(), agent);
        let request = PageRequest::first(MAX_READ);
        let page = self.store.page(&list, &request, Order::Descending).await?;
        Ok(page.items)
    }

    /// Counts some of the notes of an agent's executions, in one transaction. `false` if there are
    /// none left.
    ///
    /// # Errors
    /// [`Error::Commit`], as `FenceLost` if the attempt no longer holds its job, as `Changed` if a
    /// memory was changed meanwhile: call it again.
    pub async fn count_recalls(&self, fence: Fence, agent: AgentId) -> Result<bool, Error> {
        let org = self.tenant.org();
        let list = keys::memory_recalls(org, agent);
        let request = PageRequest::first(MAX_READ);
        let page = self
            .store
            .page::<RecallRow>(&list, &request, Order::Ascending)
            .await?;
        let (notes, ids) = some_of(page.items);
        if notes.is_empty() {
            return Ok(false);
        }
        let keys: Vec<Key> = ids.iter().map(|id| keys::memory(org, agent, *id)).collect();
        let mut rows: Vec<MemoryRow> = self.store.get_batch(&keys).await?;
        if rows.len() < keys.len() {
            // Some were forgotten, or others have replaced them and count for them.
            rows = self.with_successors(agent, rows, &ids).await?;
        }
        let before: HashMap<MemoryId, u64> = rows
            .iter()
            .map(|row| (row.memory.id, row.memory.recalls))
            .collect();
        let entries = rows.into_iter().map(Entry::from).collect();
        let mut commit = Commit::new(self.tenant).fenced_by(fence);
        for (mut memory, embedding) in count_in(entries, &notes) {
            if before.get(&memory.id) != Some(&memory.recalls) {
                let read = memory.version;
                memory.version += 1;
                commit = commit.replace(&MemoryRow::from((memory, embedding)), read);
            }
        }
        for note in &notes {
            commit = commit.delete_existing(note);
        }
        self.store.commit(commit).await?;
        Ok(true)
    }

    async fn with_successors(
        &self,
        agent: AgentId,
        mut rows: Vec<MemoryRow>,
        ids: &BTreeSet<MemoryId>,
    ) -> Result<Vec<MemoryRow>, ReadError> {
        let replaces_one =
            |memory: &Memory| memory.replaced.iter().any(|old| ids.contains(&old.id));
        let known: BTreeSet<MemoryId> = rows.iter().map(|row| row.memory.id).collect();
        let all = self.newest(agent).await?;
        let successors = all
            .into_iter()
            .filter(|(memory, _)| replaces_one(memory) && !known.contains(&memory.id));
        rows.extend(successors.map(MemoryRow::from));
        Ok(rows)
    }
}

/// As many notes as one transaction takes together with the memories that they name.
fn some_of(notes: Vec<RecallRow>) -> (Vec<RecallRow>, BTreeSet<MemoryId>) {
    let mut taken = Vec::new();
    let mut ids = BTreeSet::new();
    for note in notes {
        let new = note.memories.iter().filter(|id| !ids.contains(*id)).count();
        if !taken.is_empty() && taken.len() + 1 + ids.len() + new > MAX_CHANGED {
            break;
        }
        ids.extend(note.memories.iter().copied());
        taken.push(note);
    }
    (taken, ids)
}

/// The memories with the recalls that these notes tell of. What another has replaced counts for
/// the other.
pub(super) fn count_in(entries: Vec<Entry>, notes: &[RecallRow]) -> Vec<Entry> {
    if notes.is_empty() {
        return entries;
    }
    let known: BTreeSet<MemoryId> = entries.iter().map(|(memory, _)| memory.id).collect();
    let successors = successors(entries.iter().map(|(memory, _)| memory));
    let mut told: HashMap<MemoryId, (u64, Timestamp)> = HashMap::new();
    for note in notes {
        let of_note: BTreeSet<MemoryId> = note
            .memories
            .iter()
            .filter_map(|id| known.get(id).or_else(|| successors.get(id)))
            .copied()
            .collect();
        for id in of_note {
            let (times, last) = told.entry(id).or_insert((0, note.at));
            *times += 1;
            *last = note.at.max(*last);
        }
    }
    let counted = entries
        .into_iter()
        .map(|(memory, embedding)| match told.get(&memory.id) {
            Some((times, last)) => (memory.recalled(*times, *last), embedding),
            None => (memory, embedding),
        });
    counted.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(execution: u128, memories: impl IntoIterator<Item = u128>) -> RecallRow {
        RecallRow {
            org: OrgId::from_u128(1),
            agent: AgentId::from_u128(2),
            execution: ExecutionId::from_u128(execution),
            memories: memories.into_iter().map(MemoryId::from_u128).collect(),
            at: Timestamp::from_millis(i64::try_from(execution).expect("small")),
        }
    }

    #[test]
    fn notes_are_taken_as_far_as_one_transaction_goes() {
        let shared: Vec<RecallRow> = (0..200).map(|execution| note(execution, 1..=8)).collect();
        let (taken, ids) = some_of(shared);
        assert_eq!((taken.len(), ids.len()), (MAX_CHANGED - 8, 8));
        let apart: Vec<RecallRow> = (0..200)
            .map(|execution| note(execution, execution * 8..(execution + 1) * 8))
            .collect();
        let (taken, ids) = some_of(apart);
        assert_eq!((taken.len(), ids.len()), (10, 80));
        assert_eq!(some_of(Vec::new()), (Vec::new(), BTreeSet::new()));
    }
}
