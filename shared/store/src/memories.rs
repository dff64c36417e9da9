//! What agents remember.
//!
//! | module | holds |
//! |---|---|
//! | [`recalls`] | notes of what agents were told, and how they are counted |
//! | [`upkeep`] | when memories are consolidated, and how that is written |

pub mod recalls;
pub mod upkeep;

use domain::event::EventKind;
use domain::memory::consolidation::Entry;
use domain::memory::embedding::Embedding;
use domain::memory::recall::MAX_WEIGHED;
use domain::memory::{Importance, Memory, MemoryKind, MemorySource};
use kernel::cursor::{Cursor, Page, PageRequest};
use kernel::{AgentId, MemoryId};
use serde::{Deserialize, Serialize};
use serde_json::json;
use work::NewJob;

use crate::keys::{self, Key};
use crate::read::Order;
use crate::record::Record;
use crate::{Cause, Commit, CommitError, Error, ReadError, Store, Tenant, changes};

/// How often a new memory is tried whose upkeep another has set going at the same moment.
const TRIES: u32 = 5;

/// A memory as it is kept: with its vector, which nobody is shown.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct MemoryRow {
    #[serde(flatten)]
    memory: Memory,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    embedding: Option<Embedding>,
}

impl Record for MemoryRow {
    const NOUN: &'static str = "memory";

    fn key(&self) -> Key {
        keys::memory(self.memory.org, self.memory.agent, self.memory.id)
    }

    fn version(&self) -> u64 {
        self.memory.version
    }
}

impl From<Entry> for MemoryRow {
    fn from((memory, embedding): Entry) -> Self {
        Self { memory, embedding }
    }
}

impl From<MemoryRow> for Entry {
    fn from(row: MemoryRow) -> Self {
        (row.memory, row.embedding)
    }
}

/// What an agent is to remember.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryDraft {
    pub agent: AgentId,
    pub kind: MemoryKind,
    pub text: String,
    pub importance: Importance,
    pub source: MemorySource,
    /// The vector of the text, if the model at hand knows any of its words.
    pub embedding: Option<Embedding>,
}

/// What a memory is to become; the vector is that of the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryChange {
    pub kind: MemoryKind,
    pub text: String,
    pub importance: Importance,
    pub embedding: Option<Embedding>,
}

/// A memory that is about to be written, with the upkeep that follows from it.
#[derive(Debug, Clone)]
pub struct NewMemory {
    entry: Entry,
    upkeep: Option<NewJob>,
}

impl NewMemory {
    /// The memory as it will be.
    #[must_use]
    pub fn memory(&self) -> &Memory {
        &self.entry.0
    }

    /// Adds the memory and its event to a change. The change is refused, as `Exists`, where another
    /// has set the same upkeep going since it was prepared: prepare it again.
    pub fn add_to(self, commit: Commit, store: &Store, cause: &Cause) -> Commit {
        let tenant = commit.tenant();
        let memory = &self.entry.0;
        let agent = memory.agent;
        let data = json!({
            "agent": agent,
            "kind": memory.kind,
            "importance": memory.importance,
            "source": memory.source,
        });
        let event = store.event(tenant, cause, EventKind::MemoryCreated, memory.id, data);
        let commit = commit.create(&MemoryRow::from(self.entry)).event(event);
        let job = self
            .upkeep
            .map(|job| job.correlation_id(&cause.correlation_id));
        upkeep::count_created(commit, store, agent, job)
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
    /// One memory of an agent. Its recalls are those that were counted; see
    /// [`with_recalls`](Self::with_recalls).
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn get(&self, agent: AgentId, id: MemoryId) -> Result<Option<Memory>, ReadError> {
        let key = keys::memory(self.tenant.org(), agent, id);
        let row: Option<MemoryRow> = self.store.get(&key).await?;
        Ok(row.map(|row| row.memory))
    }

    /// An agent's memories, of one kind or of all, newest first. Recalls as in [`get`](Self::get).
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn page(
        &self,
        agent: AgentId,
        kind: Option<MemoryKind>,
        page: &PageRequest,
    ) -> Result<Page<Memory>, ReadError> {
        let list = keys::memories(self.tenant.org(), agent);
        let limit = page.limit.max(1) as usize;
        let mut after = page.after.clone();
        let mut items: Vec<Memory> = Vec::new();
        // Consolidation bounds how many there are, so reading on until enough are of this kind
        // costs less than an index would with every write.
        loop {
            let request = PageRequest {
                limit: page.limit.max(1),
                after,
            };
            let read: Page<MemoryRow> = self.store.page(&list, &request, Order::Descending).await?;
            let wanted = |memory: &Memory| kind.is_none_or(|kind| memory.kind == kind);
            items.extend(read.items.into_iter().map(|row| row.memory).filter(wanted));
            after = read.next;
            if after.is_none() || items.len() > limit || (kind.is_none() && items.len() == limit) {
                break;
            }
        }
        let more = items.len() > limit || after.is_some();
        items.truncate(limit);
        let next = items
            .last()
            .filter(|_| more)
            .map(|last| Cursor::after(last.id.to_string()));
        Ok(Page { items, next })
    }

    /// An agent's newest memories with their vectors, at most [`MAX_WEIGHED`]: among these it is
    /// chosen what the agent is told of. Every recall is in them.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn candidates(&self, agent: AgentId) -> Result<Candidates, ReadError> {
        let (entries, pending) = tokio::try_join!(self.newest(agent), self.pending(agent))?;
        Ok(Candidates {
            pending: pending.len(),
            entries: recalls::count_in(entries, &pending),
        })
    }

    /// The same memories of an agent, with the recalls that are noted and not yet counted.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn with_recalls(
        &self,
        agent: AgentId,
        memories: Vec<Memory>,
    ) -> Result<Vec<Memory>, ReadError> {
        if memories.is_empty() {
            return Ok(memories);
        }
        let pending = self.pending(agent).await?;
        let entries = memories.into_iter().map(|memory| (memory, None)).collect();
        let counted = recalls::count_in(entries, &pending);
        Ok(counted.into_iter().map(|(memory, _)| memory).collect())
    }

    /// An agent's memories with their vectors, oldest first, at most `most`, and whether there are
    /// more.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn oldest(
        &self,
        agent: AgentId,
        most: usize,
    ) -> Result<(Vec<Entry>, bool), ReadError> {
        let list = keys::memories(self.tenant.org(), agent);
        let mut rows: Vec<MemoryRow> = self.store.all(&list, most + 1).await?;
        let more = rows.len() > most;
        rows.truncate(most);
        Ok((rows.into_iter().map(Entry::from).collect(), more))
    }

    async fn newest(&self, agent: AgentId) -> Result<Vec<Entry>, ReadError> {
        let list = keys::memories(self.tenant.org(), agent);
        let mut entries: Vec<Entry> = Vec::new();
        let mut after = None;
        while entries.len() < MAX_WEIGHED {
            let limit = u32::try_from(MAX_WEIGHED - entries.len()).unwrap_or(u32::MAX);
            let request = PageRequest { limit, after };
            let page: Page<MemoryRow> = self.store.page(&list, &request, Order::Descending).await?;
            entries.extend(page.items.into_iter().map(Entry::from));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        Ok(entries)
    }

    /// What it takes to write a memory: reads whether the agent's memories are to be consolidated
    /// after it.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn prepare(&self, draft: MemoryDraft) -> Result<NewMemory, ReadError> {
        let upkeep = self.upkeep_after(draft.agent, 1).await?;
        let now = self.store.now();
        let memory = Memory {
            id: MemoryId::generate(now),
            org: self.tenant.org(),
            agent: draft.agent,
            kind: draft.kind,
            text: draft.text,
            importance: draft.importance,
            source: draft.source,
            recalls: 0,
            last_recalled_at: None,
            replaced: Vec::new(),
            created_at: now,
            updated_at: now,
            version: 1,
        };
        Ok(NewMemory {
            entry: (memory, draft.embedding),
            upkeep,
        })
    }

    /// Has an agent remember something.
    ///
    /// # Errors
    /// [`Error`] if the store does not answer.
    pub async fn create(&self, cause: &Cause, draft: MemoryDraft) -> Result<Memory, Error> {
        self.write_new(cause, draft, |commit, _| commit).await
    }

    /// Copies a memory to another agent. The copy is that agent's own from then on.
    ///
    /// # Errors
    /// [`Error`] if the store does not answer.
    pub async fn share(
        &self,
        cause: &Cause,
        memory: &Memory,
        to: AgentId,
        embedding: Option<Embedding>,
    ) -> Result<Memory, Error> {
        let source = MemorySource::Shared {
            agent: memory.agent,
            memory: memory.id,
            by: cause.actor,
        };
        let draft = MemoryDraft {
            agent: to,
            kind: memory.kind,
            text: memory.text.clone(),
            importance: memory.importance,
            source,
            embedding,
        };
        self.write_new(cause, draft, |commit, copy| {
            let data = json!({ "agent": memory.agent, "to_agent": to, "copy": copy });
            let kind = EventKind::MemoryShared;
            let event = self.store.event(self.tenant, cause, kind, memory.id, data);
            commit.event(event)
        })
        .await
    }

    async fn write_new(
        &self,
        cause: &Cause,
        draft: MemoryDraft,
        and: impl Fn(Commit, MemoryId) -> Commit,
    ) -> Result<Memory, Error> {
        let mut tries = 0;
        loop {
            let new = self.prepare(draft.clone()).await?;
            let memory = new.memory().clone();
            let commit = new.add_to(Commit::new(self.tenant), self.store, cause);
            match self.store.commit(and(commit, memory.id)).await {
                Err(CommitError::Exists { .. }) if tries < TRIES => tries += 1,
                result => return Ok(result.map(|()| memory)?),
            }
        }
    }

    /// Changes a memory.
    ///
    /// # Errors
    /// [`Error::Commit`], as `Changed` if the memory is no longer at `current`'s version.
    pub async fn update(
        &self,
        cause: &Cause,
        current: &Memory,
        change: MemoryChange,
    ) -> Result<Memory, Error> {
        let memory = Memory {
            kind: change.kind,
            text: change.text,
            importance: change.importance,
            updated_at: self.store.now(),
            version: current.version + 1,
            ..current.clone()
        };
        let mut data = changes(current, &memory);
        data["agent"] = json!(memory.agent);
        let kind = EventKind::MemoryUpdated;
        let event = self.store.event(self.tenant, cause, kind, memory.id, data);
        let row = MemoryRow::from((memory.clone(), change.embedding));
        let commit = Commit::new(self.tenant)
            .replace(&row, current.version)
            .event(event);
        self.store.commit(commit).await?;
        Ok(memory)
    }

    /// Forgets something.
    ///
    /// # Errors
    /// [`Error::Commit`], as `Changed` if it is forgotten already.
    pub async fn delete(&self, cause: &Cause, memory: &Memory) -> Result<(), Error> {
        let data = json!({ "agent": memory.agent });
        let kind = EventKind::MemoryDeleted;
        let event = self.store.event(self.tenant, cause, kind, memory.id, data);
        let commit = Commit::new(self.tenant)
            .delete_existing(&MemoryRow::from((memory.clone(), None)))
            .event(event);
        Ok(self.store.commit(commit).await?)
    }
}

/// Memories among which it is chosen what an agent is told of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidates {
    pub entries: Vec<Entry>,
    /// How many notes of recalls are not yet counted.
    pub pending: usize,
}
