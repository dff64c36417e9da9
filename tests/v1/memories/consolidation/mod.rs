//! The job `memory.consolidate`: that it begins once, ends whatever happens to its workers, and
//! loses nothing on the way.

mod deaths;
mod merging;
mod upkeep;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use agent_runner::AgentRunner;
use domain::event::Actor;
use domain::memory::{Importance, Memory, MemoryKind, MemorySource};
use kernel::cursor::PageRequest;
use kernel::{AgentId, ExecutionId, MemoryId};
use llm::scripted::{Scripted, Turn};
use outbound::{Client, Policy};
use serde_json::{Value, json};
use store::memories::MemoryDraft;
use store::memories::upkeep::CONSOLIDATE_JOB;
use store::{Cause, Commit, Tenant};
use work::{Attempt, DUE_SHARDS, Handler as _, Job, JobStore as _, Outcome, protocol};

use crate::support::bare::Bare;
use crate::support::fixture::agent;
use crate::support::{Api, tenant, text};

const LEASE: Duration = Duration::from_secs(30);
const LONG: Duration = Duration::from_secs(600);

/// An org with workers that a journey drives step by step.
struct Workshop {
    bare: Bare,
    admin: Api,
    tenant: Tenant,
}

impl Workshop {
    async fn open() -> Self {
        let bare = Bare::start().await;
        let admin = bare.founder("ada").await;
        Self {
            tenant: tenant(&admin),
            bare,
            admin,
        }
    }

    async fn agent(&self, name: &str) -> AgentId {
        let made = self.admin.create("/v1/agents", &agent(name)).await;
        text(&made["id"]).parse().expect("an id")
    }

    /// Has an agent remember something at a moment of its own.
    async fn remember(&self, agent: AgentId, text: &str, kind: MemoryKind, weight: u8) -> Memory {
        self.bare.clock.advance(Duration::from_millis(1));
        let draft = MemoryDraft {
            agent,
            kind,
            text: text.to_owned(),
            importance: Importance::new(weight).expect("from 1 to 10"),
            source: MemorySource::Person { by: Actor::System },
            // As if it were embedded with an older model: consolidation embeds it anew.
            embedding: None,
        };
        let memories = self.bare.store.memories(self.tenant);
        memories
            .create(&cause(), draft)
            .await
            .expect("it is written")
    }

    /// Notes that an execution was told of these.
    async fn tell(&self, agent: AgentId, memories: Vec<MemoryId>) {
        let store = &self.bare.store;
        let execution = ExecutionId::generate(store.now());
        let note = store
            .memories(self.tenant)
            .note(agent, execution, memories, 0)
            .await
            .expect("an answer");
        let commit = note.add_to(Commit::new(self.tenant), store);
        store.commit(commit).await.expect("it is noted");
    }

    /// Every memory of an agent with all recalls of it, newest first.
    async fn memories(&self, agent: AgentId) -> Vec<Memory> {
        let memories = self.bare.store.memories(self.tenant);
        let page = PageRequest::first(1_000);
        let page = memories.page(agent, None, &page).await.expect("an answer");
        memories
            .with_recalls(agent, page.items)
            .await
            .expect("an answer")
    }

    async fn open_jobs(&self) -> Vec<Job> {
        let horizon = self.bare.store.now().plus(Duration::from_secs(86_400));
        let mut jobs = Vec::new();
        for shard in 0..DUE_SHARDS {
            let due = self.bare.store.due(shard, horizon, 1_000).await;
            jobs.extend(due.expect("an answer"));
        }
        jobs.retain(|job| job.kind == CONSOLIDATE_JOB && job.org == self.tenant.org());
        jobs
    }

    /// The open job of an agent.
    async fn job(&self, agent: AgentId) -> Job {
        let mut jobs = self.open_jobs().await;
        jobs.retain(|job| job.payload == json!({ "agent": agent }));
        assert_eq!(jobs.len(), 1, "{jobs:?}");
        jobs.remove(0)
    }

    /// Claims a job, as a worker does.
    async fn claim(&self, job: &Job) -> Job {
        let store = &self.bare.store;
        let read = store.load(job.org, job.id).await.expect("an answer");
        let read = read.expect("the job is there");
        let claimed = protocol::claim(&read, store.now(), LEASE, 7).expect("it can be claimed");
        let written = store.replace(&claimed, read.version).await;
        assert!(written.expect("an answer"));
        claimed
    }

    /// One attempt that has so much time.
    async fn attempt(&self, claimed: Job, time: Duration) -> Outcome {
        let attempt = Attempt::detached(claimed, Arc::new(self.bare.clock.clone()), time);
        runner(&self.bare).run(attempt).await
    }

    async fn settle(&self, claimed: &Job, outcome: Outcome) {
        let store = &self.bare.store;
        let fence = claimed.fence();
        let settled = protocol::settle(
            claimed,
            fence,
            &outcome,
            None,
            store.now(),
            protocol::Jitter::NONE,
        );
        let settled = settled.expect("it can be settled");
        let written = store.replace(&settled, claimed.version).await;
        assert!(written.expect("an answer"));
    }

    /// Runs the open job of an agent to its end in one attempt.
    async fn consolidate(&self, agent: AgentId) -> Value {
        let claimed = self.claim(&self.job(agent).await).await;
        let outcome = self.attempt(claimed.clone(), LONG).await;
        let Outcome::Done { result } = &outcome else {
            panic!("{outcome:?}");
        };
        let result = result.clone().expect("a result");
        self.settle(&claimed, outcome).await;
        result
    }

    /// Memories of which many say the same, with recalls.
    async fn fill(&self, agent: AgentId) {
        let families = ["The pump is oiled.", "The door squeaks.", "Ada likes tea."];
        let mut made = Vec::new();
        for number in 0..30_u8 {
            for family in families {
                let weight = 1 + number % 9;
                made.push(self.remember(agent, family, MemoryKind::Fact, weight).await);
            }
        }
        made.push(
            self.remember(agent, "The gate is green.", MemoryKind::Term, 5)
                .await,
        );
        for (number, memory) in made.iter().enumerate().step_by(2) {
            let mut told = vec![memory.id];
            told.extend(made.get(number + 3).map(|other| other.id));
            self.tell(agent, told).await;
        }
    }
}

fn runner(bare: &Bare) -> AgentRunner {
    let model = Arc::new(Scripted::computed(|_, _| Turn::text("Yes.")));
    let outbound = Client::new(Policy::public()).expect("a client");
    AgentRunner::new(
        bare.store.clone(),
        model,
        outbound,
        domain::price::PriceMap::built_in(),
    )
}

fn cause() -> Cause {
    Cause {
        actor: Actor::System,
        correlation_id: "test".to_owned(),
    }
}

/// What is remembered, whatever the ids are.
fn essence(memories: &[Memory]) -> BTreeMap<String, (u8, u64, usize, MemoryKind)> {
    let essence = memories.iter().map(|one| {
        let facts = (
            one.importance.value(),
            one.recalls,
            one.replaced.len(),
            one.kind,
        );
        (one.text.clone(), facts)
    });
    essence.collect()
}
