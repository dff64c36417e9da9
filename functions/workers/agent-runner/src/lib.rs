//! Runs agents: the handler of `execution.run` jobs.
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
//! | [`drive`] | the loop and how it ends |
//! | [`ending`] | the end without an answer |
//! | [`tools`] | calling tools |
//! | [`model_call`] | one model call, streamed |
//! | [`conversation`] | the journal as the messages that a model reads |
//! | [`effects`] | the commits of a run |
//! | [`run`] | a run under way |
//! | [`toolbox`] | what an agent may call |
//! | [`reply`] | what tools answer and change |
//! | [`recall`] | what the agent remembers |
//! | [`citations`] | markers in answers and the places they stand for |
//! | [`journal`] | the effects of a run |
//!
//! Each uses only those below it.

mod citations;
mod conversation;
mod drive;
mod effects;
mod ending;
mod journal;
mod model_call;
mod recall;
mod reply;
mod run;
mod toolbox;
mod tools;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domain::tool::MAX_TIMEOUT_SECONDS;
use kernel::env::process_environment;
use llm::{ChatModel, ModelConfig};
use outbound::{Client, Limits, Policy};
use store::Store;
use store::executions::{RUN_JOB, RunPayload};
use work::{Attempt, Handler, Outcome};

/// Runs executions. Clones share everything.
#[derive(Clone)]
pub struct AgentRunner {
    pub(crate) store: Store,
    pub(crate) model: Arc<dyn ChatModel>,
    /// The only client that may be aimed at addresses that tenants name.
    pub(crate) outbound: Client,
}

impl AgentRunner {
    /// A runner over a store, with the platform's model and a client for tools.
    #[must_use]
    pub fn new(store: Store, model: Arc<dyn ChatModel>, outbound: Client) -> Self {
        Self {
            store,
            model,
            outbound,
        }
    }
}

/// The handlers of this worker, configured by the environment.
///
/// # Errors
/// An environment that names no usable model.
pub fn from_environment(store: &Store) -> Result<Vec<Arc<dyn Handler>>, lambda::Error> {
    let model = llm::build(&ModelConfig::from_env(&process_environment)?)?;
    let outbound = Client::new(tool_policy(Policy::public()))?;
    Ok(vec![Arc::new(AgentRunner::new(
        store.clone(),
        model,
        outbound,
    ))])
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
        &[RUN_JOB]
    }

    async fn run(&self, attempt: Attempt) -> Outcome {
        match attempt.payload::<RunPayload>() {
            Ok(payload) => drive::drive(self, &attempt, payload.execution).await,
            Err(outcome) => outcome,
        }
    }
}
