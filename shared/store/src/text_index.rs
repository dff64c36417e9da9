//! The text index of an org: which files it is made of, and the job that writes it.
//!
//! The files are immutable objects. What makes them an index is one row, the head, which names each
//! of them; whoever has read it sees a whole index. It is replaced under the fence of the org's
//! only writer, so an attempt that was taken over changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use kernel::{JobId, OrgId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::json;
use work::{Control, ControlError, Fence, JobState, Lane, NewJob};

use crate::keys::{self, Key};
use crate::record::Record;
use crate::{Commit, CommitError, Error, ReadError, Store, Tenant};

/// The kind of the job that keeps an org's text index. There is one for each org, which parks when
/// nothing is to be done and never ends.
pub const UPDATE_JOB: &str = "index.update";
/// How many attempts in a row may fail; the next event gives a job that was given up a new life.
const MAX_ATTEMPTS: u32 = 50;
const TRIES: u32 = 8;

/// Where a file of an index is: a part of an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilePlace {
    /// The object, as [`Objects`](crate::objects::Objects) knows it.
    pub bundle: String,
    pub offset: u64,
    pub length: u64,
}

/// One whole state of an index.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Manifest {
    /// The version of the fields by which its files were written; 0 while there are none.
    pub schema: u32,
    /// What the search library says of its segments.
    pub meta: String,
    pub files: BTreeMap<String, FilePlace>,
}

impl Manifest {
    /// Whether nothing was ever written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.meta.is_empty()
    }
}

/// An index that is being made from the tables, to take the place of the one that serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rebuild {
    pub generation: u32,
    pub manifest: Manifest,
    /// How far the tables were read; absent before the first of them.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub position: Option<String>,
    pub requested_at: Timestamp,
}

/// The index that serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexHead {
    pub org: OrgId,
    /// Rises by one with every change.
    pub version: u64,
    /// Rises by one with every rebuild.
    pub generation: u32,
    pub manifest: Manifest,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub rebuild: Option<Rebuild>,
    /// When objects that nothing names were last removed.
    pub collected_at: Timestamp,
    pub updated_at: Timestamp,
}

impl IndexHead {
    /// The head of an index that is yet to be written.
    #[must_use]
    pub fn new(org: OrgId, now: Timestamp) -> Self {
        Self {
            org,
            version: 0,
            generation: 1,
            manifest: Manifest::default(),
            rebuild: None,
            collected_at: now,
            updated_at: now,
        }
    }

    /// The objects that are part of the index that serves, or of the one that is being made.
    #[must_use]
    pub fn bundles(&self) -> BTreeSet<&str> {
        let rebuild = self.rebuild.iter().map(|rebuild| &rebuild.manifest);
        std::iter::once(&self.manifest)
            .chain(rebuild)
            .flat_map(|manifest| manifest.files.values())
            .map(|place| place.bundle.as_str())
            .collect()
    }
}

impl Record for IndexHead {
    const NOUN: &'static str = "text index";

    fn key(&self) -> Key {
        keys::text_index(self.org)
    }

    fn version(&self) -> u64 {
        self.version
    }
}

/// The text index of one org.
#[derive(Debug, Clone, Copy)]
pub struct TextIndexes<'a> {
    pub(crate) store: &'a Store,
    pub(crate) tenant: Tenant,
}

impl Store {
    /// The text index of an org.
    #[must_use]
    pub fn text_index(&self, tenant: Tenant) -> TextIndexes<'_> {
        TextIndexes {
            store: self,
            tenant,
        }
    }
}

impl TextIndexes<'_> {
    /// The index that serves; `None` before anything was indexed.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn head(&self) -> Result<Option<IndexHead>, ReadError> {
        self.store.get(&keys::text_index(self.tenant.org())).await
    }

    /// Puts `next` in the place of the head with version `read`, 0 for none, and gives it as it
    /// stands then. Readers see all of it from now on.
    ///
    /// # Errors
    /// [`Error::Commit`], as `FenceLost` if the attempt no longer holds its job, as `Changed` or
    /// `Exists` if a rebuild was asked for meanwhile: read again.
    pub async fn swap(
        &self,
        fence: Fence,
        read: u64,
        mut next: IndexHead,
    ) -> Result<IndexHead, Error> {
        next.version = read + 1;
        next.updated_at = self.store.now();
        let commit = Commit::new(self.tenant).fenced_by(fence);
        self.store.commit(placed(commit, &next, read)).await?;
        Ok(next)
    }

    /// Takes the index away, of an org that is gone.
    ///
    /// # Errors
    /// As [`swap`](Self::swap).
    pub async fn remove(&self, fence: Fence, head: &IndexHead) -> Result<(), Error> {
        let commit = Commit::new(self.tenant)
            .fenced_by(fence)
            .delete(head, head.version);
        Ok(self.store.commit(commit).await?)
    }

    /// Has the index made anew from the tables. It goes on serving meanwhile. Asking while that is
    /// under way changes nothing.
    ///
    /// # Errors
    /// [`Error`] if the store does not answer, or the index kept changing.
    pub async fn request_rebuild(&self) -> Result<(), Error> {
        let mut tries = 0;
        loop {
            match self.try_request_rebuild().await {
                Err(Error::Commit(CommitError::Changed { .. } | CommitError::Exists { .. }))
                    if tries < TRIES => {}
                result => {
                    result?;
                    return self.wake().await;
                }
            }
            tries += 1;
            tokio::time::sleep(Duration::from_millis(10 << tries)).await;
        }
    }

    async fn try_request_rebuild(&self) -> Result<(), Error> {
        let now = self.store.now();
        let head = self.head().await?;
        let head = head.unwrap_or_else(|| IndexHead::new(self.tenant.org(), now));
        if head.rebuild.is_some() {
            return Ok(());
        }
        let read = head.version;
        let next = IndexHead {
            version: read + 1,
            rebuild: Some(Rebuild {
                generation: head.generation + 1,
                manifest: Manifest::default(),
                position: None,
                requested_at: now,
            }),
            ..head
        };
        let commit = placed(Commit::new(self.tenant), &next, read);
        Ok(self.store.commit(commit).await?)
    }

    /// The org's only writer.
    #[must_use]
    pub fn job_id(&self) -> JobId {
        self.job().build(self.store.now()).id
    }

    fn job(&self) -> NewJob {
        NewJob::new(self.tenant.org(), UPDATE_JOB, Lane::Index, json!({}))
            .deduplicated_by("index")
            .max_attempts(MAX_ATTEMPTS)
    }

    /// Has the writer look again, whatever it is doing.
    ///
    /// # Errors
    /// [`Error`] if the store does not answer.
    pub async fn wake(&self) -> Result<(), Error> {
        let (org, job) = (self.tenant.org(), self.job_id());
        let control = Control::new(
            Arc::new(self.store.clone()),
            self.store.bell(),
            self.store.clock(),
        );
        let mut tries = 0;
        loop {
            let woken = match control.wake(org, job).await {
                Err(ControlError::Illegal(illegal)) if illegal.state == JobState::Dead => {
                    control.redrive(org, job).await
                }
                woken => woken,
            };
            match woken {
                Ok(_) => return Ok(()),
                Err(ControlError::NotFound) if tries < TRIES => {
                    let commit = Commit::new(self.tenant).job(self.job());
                    match self.store.commit(commit).await {
                        Ok(()) => return Ok(()),
                        Err(CommitError::Exists { .. }) => tries += 1,
                        Err(error) => return Err(error.into()),
                    }
                }
                Err(error) => {
                    return Err(ReadError::Unavailable(crate::explain(&error)).into());
                }
            }
        }
    }
}

fn placed(commit: Commit, head: &IndexHead, read: u64) -> Commit {
    if read == 0 {
        commit.create(head)
    } else {
        commit.replace(head, read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_of_both_generations_are_in_use() {
        let manifest = |bundle: &str| Manifest {
            schema: 1,
            meta: "{}".to_owned(),
            files: BTreeMap::from([(
                format!("{bundle}.idx"),
                FilePlace {
                    bundle: bundle.to_owned(),
                    offset: 0,
                    length: 1,
                },
            )]),
        };
        let now = Timestamp::from_millis(0);
        let mut head = IndexHead::new(OrgId::from_u128(1), now);
        assert!(head.bundles().is_empty() && head.manifest.is_empty());
        head.manifest = manifest("1/a");
        head.rebuild = Some(Rebuild {
            generation: 2,
            manifest: manifest("2/b"),
            position: None,
            requested_at: now,
        });
        assert_eq!(head.bundles(), BTreeSet::from(["1/a", "2/b"]));
    }
}
