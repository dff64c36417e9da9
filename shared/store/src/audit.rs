//! The audit chains. Entries are only ever added, by the event router.

use std::collections::HashSet;

use domain::audit::{AuditEntry, ChainHead};
use domain::event::Event;
use kernel::cursor::{Cursor, Page, PageRequest};
use kernel::{EventId, OrgId};
use serde::{Deserialize, Serialize};

use crate::keys::{self, Key};
use crate::read::Order;
use crate::record::Record;
use crate::{Commit, CommitError, Error, ReadError, Store, Tenant};

/// How many events one transaction seals: each takes two items, and the head one more.
const SEAL_BATCH: usize = 40;
/// How many bytes of events one transaction seals, well under what it may write.
const SEAL_BYTES: usize = 2 * 1024 * 1024;
const SEAL_ATTEMPTS: u32 = 8;
const SEEN_NOUN: &str = "sealed event";

impl Record for AuditEntry {
    const NOUN: &'static str = "audit entry";

    fn key(&self) -> Key {
        keys::audit_entry(self.org, self.sequence)
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct HeadRow {
    org: OrgId,
    /// The sequence of the last entry, which rises with every change.
    version: u64,
    hash: String,
}

impl Record for HeadRow {
    const NOUN: &'static str = "audit chain";

    fn key(&self) -> Key {
        keys::audit_head(self.org)
    }

    fn version(&self) -> u64 {
        self.version
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct SeenRow {
    org: OrgId,
    event: EventId,
}

impl Record for SeenRow {
    const NOUN: &'static str = SEEN_NOUN;

    fn key(&self) -> Key {
        keys::audit_seen(self.org, self.event)
    }
}

/// The audit chain of one org.
#[derive(Debug, Clone, Copy)]
pub struct AuditChain<'a> {
    store: &'a Store,
    tenant: Tenant,
}

impl Store {
    /// The audit chain of an org.
    #[must_use]
    pub fn audit(&self, tenant: Tenant) -> AuditChain<'_> {
        AuditChain {
            store: self,
            tenant,
        }
    }
}

impl AuditChain<'_> {
    /// The end of the chain.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn head(&self) -> Result<ChainHead, ReadError> {
        let row: Option<HeadRow> = self.store.get(&keys::audit_head(self.tenant.org())).await?;
        Ok(row.map_or_else(ChainHead::default, |row| ChainHead {
            sequence: row.version,
            hash: row.hash,
        }))
    }

    /// Entries, newest first.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn page(&self, page: &PageRequest) -> Result<Page<AuditEntry>, ReadError> {
        self.store
            .page(
                &keys::audit_entries(self.tenant.org()),
                page,
                Order::Descending,
            )
            .await
    }

    /// Entries from the first on, as a verifier reads them.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn page_from_first(&self, page: &PageRequest) -> Result<Page<AuditEntry>, ReadError> {
        self.store
            .page(
                &keys::audit_entries(self.tenant.org()),
                page,
                Order::Ascending,
            )
            .await
    }

    /// The position of the entry with this sequence, for pages in either direction that begin
    /// beyond it.
    #[must_use]
    pub fn position(sequence: u64) -> Cursor {
        Cursor::after(keys::audit_sort_key(sequence))
    }

    /// Seals events of this org at the end of the chain, in the order given. An event that is
    /// sealed already is passed over, so that any repetition changes nothing. Returns how many
    /// were new.
    ///
    /// # Errors
    /// [`Error`] if the store does not answer, or others keep extending the chain.
    pub async fn seal(&self, events: &[Event]) -> Result<usize, Error> {
        let mut sealed = 0;
        let mut rest = events;
        while !rest.is_empty() {
            let (batch, later) = rest.split_at(batch_length(rest));
            sealed += self.seal_batch(batch).await?;
            rest = later;
        }
        Ok(sealed)
    }

    async fn seal_batch(&self, events: &[Event]) -> Result<usize, Error> {
        let mut attempt = 0;
        loop {
            let fresh = self.unsealed(events).await?;
            if fresh.is_empty() {
                return Ok(0);
            }
            let count = fresh.len();
            match self.append(fresh).await {
                Ok(()) => return Ok(count),
                // Another router was faster: look again at what is left to do.
                Err(Error::Commit(CommitError::Exists { .. } | CommitError::Changed { .. }))
                    if attempt < SEAL_ATTEMPTS =>
                {
                    attempt += 1;
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn append(&self, events: Vec<Event>) -> Result<(), Error> {
        let org = self.tenant.org();
        let before = self.head().await?;
        let mut head = before.clone();
        let mut commit = Commit::new(self.tenant);
        for event in events {
            commit = commit.create(&SeenRow {
                org,
                event: event.id,
            });
            let entry = AuditEntry::seal(&head, event);
            head = entry.head();
            commit = commit.create(&entry);
        }
        let row = HeadRow {
            org,
            version: head.sequence,
            hash: head.hash,
        };
        let commit = if before.sequence == 0 {
            commit.create(&row)
        } else {
            commit.replace(&row, before.sequence)
        };
        Ok(self.store.commit(commit).await?)
    }

    async fn unsealed(&self, events: &[Event]) -> Result<Vec<Event>, ReadError> {
        let org = self.tenant.org();
        let mut met = HashSet::new();
        let distinct: Vec<&Event> = events
            .iter()
            .filter(|event| event.org == org && met.insert(event.id))
            .collect();
        let keys: Vec<Key> = distinct
            .iter()
            .map(|event| keys::audit_seen(org, event.id))
            .collect();
        let seen: Vec<SeenRow> = self.store.get_batch(&keys).await?;
        let seen: HashSet<EventId> = seen.into_iter().map(|row| row.event).collect();
        Ok(distinct
            .into_iter()
            .filter(|event| !seen.contains(&event.id))
            .cloned()
            .collect())
    }
}

/// How many events from the front fit into one transaction; at least one.
fn batch_length(events: &[Event]) -> usize {
    let mut bytes = 0;
    let fitting = events.iter().take(SEAL_BATCH).take_while(|event| {
        bytes += event.data.to_string().len();
        bytes <= SEAL_BYTES
    });
    fitting.count().max(1)
}
