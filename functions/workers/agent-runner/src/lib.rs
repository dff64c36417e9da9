//! Runs agents: the handler of `execution.run` jobs, and of `memory.consolidate`, which keeps what
//! they remember in order.
//!
//! A run is a loop of steps: the model is asked, the tools it names are called, and on it goes
//! until it answers. Every call to the outside is an effect in the run's journal, and a commit
//! that carries the job's fence stands between each and the next:
//!
//! ```text
//!  load run + journal
//!        │   for each step
//!        ▼
//!  model call ── settled? replay : note, call (deltas go to the stream), settle
//!        │
//!        ├─ no tool calls ─► complete: answer, citations, event, task in one transaction
//!        ▼
//!  tool calls ── settled? replay : call, settle; what changes state settles with that change
//!        │
//!        └─► next step, unless time is up (yield) or a limit is reached (fail)
//! ```
//!
//! A worker that dies is followed by another, which replays the journal and goes on from there.
//!
//! | module | holds |
//! |---|---|
//! | [`drive`] | the loop of a run |
//! | [`tools`] | calling the tools of a step, as people, budgets and interruptions allow |
//! | [`model_call`] | one model call, streamed |
//! | [`grounding`] | the passages that a run is shown before its model is asked |
//! | [`conversation`] | the journal as the messages that a model reads |
//! | [`payment`] | what calls cost: set aside before, settled after |
//! | [`waits`] | waiting, and going on afterwards |
//! | [`ending`] | the ends of a run |
//! | [`record`] | the commits of a run |
//! | [`swarm`] | the swarm of a run and what its agents told each other |
//! | [`run`] | a run under way |
//! | [`beginning`] | what is told and noted when a run begins |
//! | [`toolbox`] | what an agent may call |
//! | [`servers`] | servers of the Model Context Protocol |
//! | [`reply`] | what tools answer and change |
//! | [`recall`] | what the agent is told of its memories |
//! | [`secrets`] | keeping secrets out of what is kept |
//! | [`citations`] | markers in answers and the places they stand for |
//! | [`journal`] | the effects of a run |
//! | [`stop`] | why a run stops |
//!
//! Each uses only those below it. Four more are jobs of their own: [`consolidate`] keeps an agent's
//! memories in order, [`budgets`] and [`authorised`] let runs go on that waited for credits or a
//! credential, [`removal`] takes away what a deleted conversation has left.

mod authorised;
mod beginning;
mod budgets;
mod citations;
mod consolidate;
mod conversation;
mod drive;
mod ending;
mod grounding;
mod journal;
mod model_call;
mod payment;
mod recall;
mod record;
mod removal;
mod reply;
mod run;
mod secrets;
mod servers;
mod stop;
mod swarm;
mod toolbox;
mod tools;
mod waits;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domain::price::PriceMap;
use domain::tool::MAX_TIMEOUT_SECONDS;
use embedding::Embedders;
use kernel::env::process_environment;
use llm::{ChatModel, ModelConfig};
use outbound::{Client, Limits, Policy};
use retrieval::Retriever;
use store::budgets::RAISED_JOB;
use store::conversations::REMOVE_JOB;
use store::executions::{AUTHORISED_JOB, CANCEL_JOB, RUN_JOB, RunPayload};
use store::memories::upkeep::CONSOLIDATE_JOB;
use store::{Store, Tenant};
use text_index::TextIndex;
use work::{Attempt, Handler, Outcome};

/// Runs executions. Clones share everything.
#[derive(Clone)]
pub struct AgentRunner {
    pub(crate) store: Store,
    pub(crate) model: Arc<dyn ChatModel>,
    /// The only client that may be aimed at addresses that tenants name.
    pub(crate) outbound: Client,
    pub(crate) prices: Arc<PriceMap>,
    /// The models that knowledge bases may have.
    pub(crate) embedders: Embedders,
    pub(crate) index: TextIndex,
}

/// How much of the function's disk copies of the orgs' text indexes may take.
const INDEX_BYTES: u64 = 1024 * 1024 * 1024;

impl AgentRunner {
    /// A runner over a store, with the platform's model, a client for tools and what models cost.
    #[must_use]
    pub fn new(
        store: Store,
        model: Arc<dyn ChatModel>,
        outbound: Client,
        prices: PriceMap,
    ) -> Self {
        Self {
            index: TextIndex::new(store.clone(), INDEX_BYTES),
            store,
            model,
            outbound,
            prices: Arc::new(prices),
            embedders: Embedders::default(),
        }
    }

    /// The same, with other embedding models than the static one alone.
    #[must_use]
    pub fn with_embedders(mut self, embedders: Embedders) -> Self {
        self.embedders = embedders;
        self
    }

    /// What agents of an org search with.
    pub(crate) fn retriever(&self, tenant: Tenant) -> Retriever<'_> {
        Retriever {
            store: &self.store,
            embedders: &self.embedders,
            index: &self.index,
            tenant,
        }
    }
}

/// The handlers of this worker, configured by the environment.
///
/// # Errors
/// An environment that names no usable model, or no key for credentials.
pub fn from_environment(store: &Store) -> Result<Vec<Arc<dyn Handler>>, lambda::Error> {
    let model = llm::build(&ModelConfig::from_env(&process_environment)?)?;
    let outbound = Client::new(tool_policy(Policy::public()))?;
    let prices = PriceMap::from_env(&process_environment)?;
    let embedders = llm::embedders_from_env(&process_environment)?;
    let store = lambda::with_vault(store.clone())?;
    let runner = AgentRunner::new(store, model, outbound, prices).with_embedders(embedders);
    Ok(vec![Arc::new(runner)])
}

/// `policy` with the time that a tool may ask for; each call is ended by its own.
#[must_use]
pub fn tool_policy(policy: Policy) -> Policy {
    let longest = Duration::from_secs(MAX_TIMEOUT_SECONDS.into());
    let limits = Limits {
        read: longest,
        total: longest,
        ..*policy.limits()
    };
    policy.with_limits(limits)
}

#[async_trait]
impl Handler for AgentRunner {
    fn kinds(&self) -> &[&'static str] {
        &[
            RUN_JOB,
            CANCEL_JOB,
            CONSOLIDATE_JOB,
            RAISED_JOB,
            AUTHORISED_JOB,
            REMOVE_JOB,
        ]
    }

    async fn run(&self, attempt: Attempt) -> Outcome {
        match attempt.job.kind.as_str() {
            CONSOLIDATE_JOB => consolidate::consolidate(&self.store, &attempt).await,
            RAISED_JOB => budgets::raised(&self.store, &attempt).await,
            AUTHORISED_JOB => authorised::authorised(&self.store, &attempt).await,
            REMOVE_JOB => removal::remove(&self.store, &attempt).await,
            kind => match attempt.payload::<RunPayload>() {
                Ok(payload) if kind == CANCEL_JOB => {
                    drive::cancel(self, &attempt, payload.execution).await
                }
                Ok(payload) => drive::drive(self, &attempt, payload.execution).await,
                Err(outcome) => outcome,
            },
        }
    }
}
