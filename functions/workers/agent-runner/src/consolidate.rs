//! `memory.consolidate`: counts what an agent was told of, has memories that say the same replaced
//! by one, and forgets what is too many; of a deleted agent, all.
//!
//! Every step is one transaction under the job's fence, which leaves the memories as a whole: an
//! attempt that dies is followed by one that plans anew from what stands. Who changes a memory
//! meanwhile has their change kept; the plan is made again.

use std::time::Duration;

use domain::event::Actor;
use domain::memory::consolidation::{Entry, MAX_MEMORIES, plan};
use retrieval::memories::{embed_memory, is_current};
use serde_json::json;
use store::memories::upkeep::{ConsolidatePayload, parts};
use store::{Cause, CommitError, Error, Store, Tenant};
use work::{Attempt, JobError, Outcome};

/// The most memories that are looked at together. An agent has fewer, unless they were created
/// faster than they are consolidated; then the oldest come first.
const LOOKED_AT: usize = 1_000;
/// How many memories get a new vector in one transaction.
const EMBEDDED_AT_ONCE: usize = 50;
/// How often one attempt plans anew since somebody changed a memory meanwhile.
const MAX_SURPRISES: u32 = 20;

/// Makes one attempt.
pub(crate) async fn consolidate(store: &Store, attempt: &Attempt) -> Outcome {
    let payload = match attempt.payload::<ConsolidatePayload>() {
        Ok(payload) => payload,
        Err(outcome) => return outcome,
    };
    let mut work = Consolidation {
        store,
        attempt,
        tenant: Tenant::authorised(attempt.job.org),
        payload,
        merged: 0,
        pruned: 0,
        left: 0,
    };
    let mut surprises = 0;
    loop {
        match work.go_on().await {
            Ok(outcome) => return outcome,
            Err(error) if error.is_changed() && surprises < MAX_SURPRISES => surprises += 1,
            Err(error) => return trouble(&error),
        }
    }
}

fn trouble(error: &Error) -> Outcome {
    let (code, after) = match error {
        Error::Commit(CommitError::Changed { .. } | CommitError::FenceLost) => {
            ("superseded", Some(Duration::ZERO))
        }
        _ => ("store_unavailable", None),
    };
    Outcome::Retry {
        error: JobError::new(code, store::explain(error)),
        after,
    }
}

struct Consolidation<'a> {
    store: &'a Store,
    attempt: &'a Attempt,
    tenant: Tenant,
    payload: ConsolidatePayload,
    merged: usize,
    pruned: usize,
    left: usize,
}

impl Consolidation<'_> {
    async fn go_on(&mut self) -> Result<Outcome, Error> {
        let agent = self.payload.agent;
        let memories = self.store.memories(self.tenant);
        let fence = self.attempt.fence;
        let upkeep = memories.upkeep(agent).await?;
        while memories.count_recalls(fence, agent).await? {
            if let Some(outcome) = self.must_stop() {
                return Ok(outcome);
            }
        }
        loop {
            // An agent that is deleted keeps nothing.
            let deleted = self.store.agents(self.tenant).get(agent).await?.is_none();
            let most = if deleted { 0 } else { MAX_MEMORIES };
            let (entries, more) = memories.oldest(agent, LOOKED_AT).await?;
            let stale = if deleted {
                Vec::new()
            } else {
                with_new_vectors(&entries)
            };
            let plan = plan(&entries, self.store.now(), most);
            if stale.is_empty() && plan.is_empty() && !more {
                self.left = entries.len();
                break;
            }
            if !stale.is_empty() {
                for some in stale.chunks(EMBEDDED_AT_ONCE) {
                    memories.embed_again(fence, some).await?;
                    if let Some(outcome) = self.must_stop() {
                        return Ok(outcome);
                    }
                }
                continue;
            }
            for part in parts(plan) {
                memories
                    .consolidate(fence, &self.cause(), agent, &part)
                    .await?;
                let absorbed = part.merges.iter().map(|merge| merge.absorbed.len());
                self.merged += absorbed.sum::<usize>();
                self.pruned += part.pruned.len();
                if let Some(outcome) = self.must_stop() {
                    return Ok(outcome);
                }
            }
        }
        memories.consolidated(fence, &upkeep).await?;
        Ok(Outcome::done_with(json!({
            "merged": self.merged,
            "pruned": self.pruned,
            "left": self.left,
        })))
    }

    /// Why no further step is taken, if so. Asked after each step, so that every attempt takes one.
    fn must_stop(&self) -> Option<Outcome> {
        if self.attempt.cancel.is_cancelled() {
            return Some(Outcome::Cancelled);
        }
        self.attempt.budget.should_yield().then_some(Outcome::Yield)
    }

    fn cause(&self) -> Cause {
        Cause {
            actor: Actor::System,
            correlation_id: self.attempt.job.correlation_id.clone(),
        }
    }
}

/// Those that have no vector of the model at hand and can be given one, with it.
fn with_new_vectors(entries: &[Entry]) -> Vec<Entry> {
    entries
        .iter()
        .filter(|(_, embedding)| !is_current(embedding.as_ref()))
        .filter_map(|(memory, _)| Some((memory.clone(), Some(embed_memory(&memory.text)?))))
        .collect()
}
