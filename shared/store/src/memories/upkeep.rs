//! When an agent's memories are consolidated, and how that is written.
//!
//! One row for each agent counts the memories that were ever created and those that consolidation
//! has seen, and names the last job. The memory that crosses the threshold brings the job with it,
//! in its own transaction. The id of a job follows from that of the one before, and none is made
//! while the one before has not ended: so at most one is open, whatever happens at the same moment.

use aws_sdk_dynamodb::types::AttributeValue;
use domain::event::EventKind;
use domain::memory::consolidation::{CONSOLIDATE_AFTER, Entry, Plan};
use kernel::{AgentId, JobId, OrgId};
use serde::{Deserialize, Serialize};
use serde_json::json;
use work::{Fence, JobStore as _, Lane, NewJob, StoreError};

use super::{Memories, MemoryRow};
use crate::keys::{self, Key};
use crate::record::Record;
use crate::{Cause, Commit, Error, ReadError, Store, Tenant};

/// The kind of the job that consolidates an agent's memories.
pub const CONSOLIDATE_JOB: &str = "memory.consolidate";
/// How many attempts in a row may fail. After a job that was given up the next memory brings another.
const MAX_ATTEMPTS: u32 = 20;
/// The most memories that one transaction changes.
const MAX_CHANGED: usize = 90;

/// What the job holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsolidatePayload {
    pub agent: AgentId,
}

/// How far the consolidation of an agent's memories has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upkeep {
    org: OrgId,
    agent: AgentId,
    /// How many memories were ever created.
    #[serde(default)]
    pub created: u64,
    /// How many of them consolidation has seen.
    #[serde(default)]
    pub consolidated: u64,
    /// The last job.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    job: Option<JobId>,
}

impl Record for Upkeep {
    const NOUN: &'static str = "upkeep of memories";

    fn key(&self) -> Key {
        keys::memory_upkeep(self.org, self.agent)
    }
}

/// Adds to a change that a memory of `agent` is created, and the upkeep that follows.
pub(super) fn count_created(
    commit: Commit,
    store: &Store,
    agent: AgentId,
    job: Option<NewJob>,
) -> Commit {
    update(commit, store, agent, ("created", 1), job)
}

/// Adds a job to a change.
pub(super) fn begin(commit: Commit, store: &Store, agent: AgentId, job: NewJob) -> Commit {
    update(commit, store, agent, ("created", 0), Some(job))
}

fn update(
    commit: Commit,
    store: &Store,
    agent: AgentId,
    (counter, amount): (&'static str, i64),
    job: Option<NewJob>,
) -> Commit {
    let org = commit.tenant().org();
    let text = |value: String| AttributeValue::S(value);
    let mut set = vec![
        ("org", text(org.to_string())),
        ("agent", text(agent.to_string())),
    ];
    if let Some(job) = &job {
        let id = job.clone().build(store.now()).id;
        set.push(("job", text(id.to_string())));
    }
    let commit = commit.add(keys::memory_upkeep(org, agent), counter, amount, set);
    match job {
        Some(job) => commit.job(job),
        None => commit,
    }
}

/// The job that removes the memories of an agent that is deleted.
pub(crate) fn forgetting(tenant: Tenant, cause: &Cause, agent: AgentId) -> NewJob {
    job(tenant.org(), agent, "deleted").correlation_id(&cause.correlation_id)
}

fn job(org: OrgId, agent: AgentId, after: &str) -> NewJob {
    let payload = json!({ "agent": agent });
    NewJob::new(org, CONSOLIDATE_JOB, Lane::AgentBulk, payload)
        .deduplicated_by(&format!("{agent}/{after}"))
        .max_attempts(MAX_ATTEMPTS)
}

/// A plan in parts, each of which fits into one transaction. Carried out in their order, they do
/// what the whole does.
#[must_use]
pub fn parts(plan: Plan) -> Vec<Plan> {
    let mut parts: Vec<Plan> = Vec::new();
    let mut room = 0;
    for merge in plan.merges {
        let size = 1 + merge.absorbed.len();
        if size > room {
            parts.push(Plan::default());
            room = MAX_CHANGED;
        }
        room = room.saturating_sub(size);
        if let Some(part) = parts.last_mut() {
            part.merges.push(merge);
        }
    }
    // Never in one part with the merges: a memory may be in both, and no transaction touches
    // anything twice.
    for pruned in plan.pruned.chunks(MAX_CHANGED) {
        parts.push(Plan {
            merges: Vec::new(),
            pruned: pruned.to_vec(),
        });
    }
    parts
}

impl Memories<'_> {
    /// How far the consolidation of an agent's memories has come.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn upkeep(&self, agent: AgentId) -> Result<Upkeep, ReadError> {
        let org = self.tenant.org();
        let found = self.store.get(&keys::memory_upkeep(org, agent)).await?;
        Ok(found.unwrap_or(Upkeep {
            org,
            agent,
            created: 0,
            consolidated: 0,
            job: None,
        }))
    }

    /// The job that is to follow once so many more memories are created, if one is.
    pub(super) async fn upkeep_after(
        &self,
        agent: AgentId,
        more: u64,
    ) -> Result<Option<NewJob>, ReadError> {
        let upkeep = self.upkeep(agent).await?;
        let unseen = (upkeep.created + more).saturating_sub(upkeep.consolidated);
        if unseen < CONSOLIDATE_AFTER {
            return Ok(None);
        }
        self.follower(&upkeep).await
    }

    /// The next job of an agent, unless one is open.
    pub(super) async fn next_upkeep(&self, agent: AgentId) -> Result<Option<NewJob>, ReadError> {
        let upkeep = self.upkeep(agent).await?;
        self.follower(&upkeep).await
    }

    async fn follower(&self, upkeep: &Upkeep) -> Result<Option<NewJob>, ReadError> {
        let org = self.tenant.org();
        if let Some(last) = upkeep.job {
            let last = self.store.load(org, last).await.map_err(unavailable)?;
            if last.is_some_and(|job| !job.state.is_terminal()) {
                return Ok(None);
            }
        }
        let last = upkeep.job.map_or_else(String::new, |job| job.to_string());
        Ok(Some(job(org, upkeep.agent, &last)))
    }

    /// Carries out a part of a plan, with its event, in one transaction.
    ///
    /// # Errors
    /// [`Error::Commit`], as `FenceLost` if the attempt no longer holds its job, as `Changed` if a
    /// memory was changed meanwhile: make another plan.
    pub async fn consolidate(
        &self,
        fence: Fence,
        cause: &Cause,
        agent: AgentId,
        part: &Plan,
    ) -> Result<(), Error> {
        let mut commit = Commit::new(self.tenant).fenced_by(fence);
        let mut merged = Vec::new();
        for merge in &part.merges {
            let row = MemoryRow::from(merge.kept.clone());
            let read = merge.kept.0.version - 1;
            commit = commit.replace(&row, read);
            for old in &merge.absorbed {
                let row = MemoryRow::from((old.clone(), None));
                commit = commit.delete(&row, old.version);
            }
            let replaced: Vec<_> = merge.absorbed.iter().map(|old| old.id).collect();
            merged.push(json!({ "kept": merge.kept.0.id, "replaced": replaced }));
        }
        for old in &part.pruned {
            let row = MemoryRow::from((old.clone(), None));
            commit = commit.delete(&row, old.version);
        }
        let count: usize = part.merges.iter().map(|merge| merge.absorbed.len()).sum();
        let pruned: Vec<_> = part.pruned.iter().map(|old| old.id).collect();
        let data = json!({
            "agent": agent,
            "merged_count": count,
            "pruned_count": pruned.len(),
            "merged": merged,
            "pruned": pruned,
        });
        let kind = EventKind::MemoryConsolidated;
        let event = self.store.event(self.tenant, cause, kind, agent, data);
        Ok(self.store.commit(commit.event(event)).await?)
    }

    /// Gives memories new vectors, in one transaction; at most 90.
    ///
    /// # Errors
    /// As [`consolidate`](Self::consolidate).
    pub async fn embed_again(&self, fence: Fence, entries: &[Entry]) -> Result<(), Error> {
        let mut commit = Commit::new(self.tenant).fenced_by(fence);
        for (memory, embedding) in entries {
            let mut memory = memory.clone();
            let read = memory.version;
            memory.version += 1;
            commit = commit.replace(&MemoryRow::from((memory, embedding.clone())), read);
        }
        Ok(self.store.commit(commit).await?)
    }

    /// Notes that consolidation has seen all memories that were created when it began: `upkeep` is
    /// what was read then.
    ///
    /// # Errors
    /// [`Error::Commit`], as `FenceLost` if the attempt no longer holds its job.
    pub async fn consolidated(&self, fence: Fence, upkeep: &Upkeep) -> Result<(), Error> {
        let seen = upkeep.created.saturating_sub(upkeep.consolidated);
        let seen = i64::try_from(seen).unwrap_or(i64::MAX);
        let commit = Commit::new(self.tenant).fenced_by(fence);
        let counter = ("consolidated", seen);
        let commit = update(commit, self.store, upkeep.agent, counter, None);
        Ok(self.store.commit(commit).await?)
    }
}

fn unavailable(error: StoreError) -> ReadError {
    ReadError::Unavailable(crate::explain(&error))
}

#[cfg(test)]
mod tests {
    use domain::memory::consolidation::Merge;
    use domain::memory::{Importance, Memory, MemoryKind, MemorySource};
    use kernel::{ExecutionId, MemoryId, Timestamp};

    use super::*;

    fn memory(id: usize) -> Memory {
        let at = Timestamp::from_millis(5);
        Memory {
            id: MemoryId::from_u128(id as u128),
            org: OrgId::from_u128(1),
            agent: AgentId::from_u128(2),
            kind: MemoryKind::Fact,
            text: "Oil.".to_owned(),
            importance: Importance::default(),
            source: MemorySource::Execution {
                id: ExecutionId::from_u128(3),
            },
            recalls: 0,
            last_recalled_at: None,
            replaced: Vec::new(),
            created_at: at,
            updated_at: at,
            version: 1,
        }
    }

    #[test]
    fn a_plan_falls_into_parts_that_fit_and_lose_nothing() {
        let merges: Vec<Merge> = [40, 40, 1, 30, 40, 5]
            .into_iter()
            .enumerate()
            .map(|(index, count)| Merge {
                kept: (memory(index), None),
                absorbed: (0..count)
                    .map(|old| memory(1_000 * (index + 1) + old))
                    .collect(),
            })
            .collect();
        let plan = Plan {
            merges,
            pruned: (0..200).map(memory).collect(),
        };
        let parts = parts(plan.clone());
        for part in &parts {
            let merged: usize = part
                .merges
                .iter()
                .map(|merge| 1 + merge.absorbed.len())
                .sum();
            assert!(merged + part.pruned.len() <= MAX_CHANGED);
            assert!(part.merges.is_empty() || part.pruned.is_empty());
            assert!(!part.is_empty());
        }
        let merges = parts.iter().flat_map(|part| part.merges.clone()).collect();
        let pruned = parts.iter().flat_map(|part| part.pruned.clone()).collect();
        assert_eq!(Plan { merges, pruned }, plan);
        assert!(super::parts(Plan::default()).is_empty());
    }
}
