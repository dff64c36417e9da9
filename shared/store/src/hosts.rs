//! Turns at hosts of the web: when an org may next ask something of a host, whichever worker asks.
//!
//! A turn that lies within what the asker is ready to wait is taken at once; one that lies further
//! off is not, so that nobody who waits elsewhere for it holds up others.

use std::time::Duration;

use kernel::{OrgId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::keys::{self, Key};
use crate::record::Record;
use crate::{Commit, CommitError, Error, Store, Tenant};

/// How long a row is kept after its time.
const KEPT: Duration = Duration::from_secs(24 * 60 * 60);
const TRIES: u32 = 8;

/// When an org may next ask something of a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HostPace {
    org: OrgId,
    host: String,
    next_at: Timestamp,
    /// Seconds since 1970; the table's TTL attribute.
    expires_at: i64,
    version: u64,
}

impl Record for HostPace {
    const NOUN: &'static str = "turn at a host";

    fn key(&self) -> Key {
        keys::host_pace(self.org, &self.host)
    }

    fn version(&self) -> u64 {
        self.version
    }
}

/// What came of asking for a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// It is the asker's, at this moment.
    At(Timestamp),
    /// There is none before this moment; ask again then.
    NotBefore(Timestamp),
}

/// The hosts that an org asks.
#[derive(Debug, Clone, Copy)]
pub struct Hosts<'a> {
    store: &'a Store,
    tenant: Tenant,
}

impl Store {
    /// The hosts that an org asks.
    #[must_use]
    pub fn hosts(&self, tenant: Tenant) -> Hosts<'_> {
        Hosts {
            store: self,
            tenant,
        }
    }
}

impl Hosts<'_> {
    /// Takes the next turn at a host if it comes within `patience`, and keeps others away from it for
    /// `gap` after that.
    ///
    /// # Errors
    /// [`Error`] if the store does not answer.
    pub async fn take_turn(
        &self,
        host: &str,
        gap: Duration,
        patience: Duration,
    ) -> Result<Turn, Error> {
        for _ in 0..TRIES {
            let now = self.store.now();
            let found = self.pace(host).await?;
            let at = found.as_ref().map_or(now, |pace| pace.next_at.max(now));
            if at > now.plus(patience) {
                return Ok(Turn::NotBefore(at));
            }
            if self.set(host, found.as_ref(), at.plus(gap)).await? {
                return Ok(Turn::At(at));
            }
        }
        Ok(Turn::NotBefore(self.store.now().plus(gap)))
    }

    /// Leaves a host alone until a moment, as it has asked for.
    ///
    /// # Errors
    /// [`Error`] if the store does not answer.
    pub async fn leave_alone(&self, host: &str, until: Timestamp) -> Result<(), Error> {
        for _ in 0..TRIES {
            let found = self.pace(host).await?;
            if found.as_ref().is_some_and(|pace| pace.next_at >= until)
                || self.set(host, found.as_ref(), until).await?
            {
                break;
            }
        }
        Ok(())
    }

    async fn pace(&self, host: &str) -> Result<Option<HostPace>, Error> {
        let key = keys::host_pace(self.tenant.org(), host);
        Ok(self.store.get(&key).await?)
    }

    /// `false` if somebody else came first.
    async fn set(
        &self,
        host: &str,
        found: Option<&HostPace>,
        next_at: Timestamp,
    ) -> Result<bool, Error> {
        let pace = HostPace {
            org: self.tenant.org(),
            host: host.to_owned(),
            next_at,
            expires_at: next_at.plus(KEPT).as_seconds(),
            version: found.map_or(1, |found| found.version + 1),
        };
        let commit = Commit::new(self.tenant);
        let commit = match found {
            Some(found) => commit.replace(&pace, found.version),
            None => commit.create(&pace),
        };
        match self.store.commit(commit).await {
            Ok(()) => Ok(true),
            Err(CommitError::Exists { .. } | CommitError::Changed { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}
