//! A run under way: what it is made of.

use std::time::Duration;

use domain::agent::{Agent, AgentSpec, AgentVersion};
use domain::event::{Actor, Event, EventKind};
use domain::execution::{Effect, Execution, ExecutionState};
use serde_json::Value;
use store::conversations::Past;
use store::{Cause, ReadError, Store, Tenant};
use work::{Attempt, JobError};

use crate::AgentRunner;
use crate::beginning::Beginning;
use crate::citations::Sources;
use crate::journal::Journal;
use crate::recall::{self, Told};
use crate::stop::Stop;
use crate::swarm::InSwarm;
use crate::toolbox::Toolbox;

/// The most tool calls of one step; a model that asks for more is told so.
pub(crate) const MAX_CALLS_PER_STEP: usize = 16;

/// A run under way.
pub(crate) struct Run<'a> {
    pub(crate) runner: &'a AgentRunner,
    pub(crate) attempt: &'a Attempt,
    pub(crate) tenant: Tenant,
    pub(crate) execution: Execution,
    /// The run at the beginning of the chain of calls, where that is another that has not ended:
    /// its stream shows what this one does.
    pub(crate) root: Option<Execution>,
    pub(crate) spec: AgentSpec,
    pub(crate) journal: Journal,
    /// Empty until its tools were looked up.
    pub(crate) toolbox: Toolbox,
    pub(crate) sources: Sources,
    /// The swarm that it works for, if any.
    pub(crate) swarm: Option<InSwarm>,
    /// What the agent is told of its memories.
    pub(crate) memories: Told,
    /// What was said before in the conversation.
    pub(crate) past: Past,
    /// What is to be written with the next change, whatever that is.
    pub(crate) held: Held,
}

/// What nobody misses until the next change of the run, which writes it. A worker that takes over
/// before finds it out again.
#[derive(Debug, Default)]
pub(crate) struct Held {
    /// That a queued run runs.
    pub(crate) beginning: Option<Beginning>,
    /// What was found for the run before its model is asked, and what those who watch are told of it.
    pub(crate) found: Option<(Effect, Value)>,
    /// The step whose calls are all settled.
    pub(crate) finished_step: Option<u32>,
}

impl Held {
    pub(crate) fn is_empty(&self) -> bool {
        self.beginning.is_none() && self.found.is_none() && self.finished_step.is_none()
    }
}

impl<'a> Run<'a> {
    /// A run with all that it needs to go on but its tools. One that is queued begins with its first
    /// change.
    pub(crate) async fn load(
        runner: &'a AgentRunner,
        attempt: &'a Attempt,
        tenant: Tenant,
        execution: Execution,
    ) -> Result<Self, Stop> {
        let store = &runner.store;
        let executions = store.executions(tenant);
        let (spec, journal, memories, past, root) = tokio::try_join!(
            spec_of(store, tenant, &execution),
            journal_of(store, tenant, &execution),
            stops(recall::recall(store, tenant, &execution)),
            past_of(store, tenant, &execution),
            stops(executions.root_of(&execution)),
        )?;
        let swarm = InSwarm::load(store, tenant, &execution, &journal).await?;
        let sources = Sources::from_journal(&journal);
        let cause = cause_of(&execution);
        let beginning = (execution.state == ExecutionState::Queued)
            .then(|| Beginning::new(store, tenant, &cause, &execution, &memories));
        Ok(Self {
            runner,
            attempt,
            tenant,
            execution,
            root,
            spec,
            journal,
            toolbox: Toolbox::default(),
            sources,
            swarm,
            memories,
            past,
            held: Held {
                beginning,
                ..Held::default()
            },
        })
    }

    /// How many steps are done.
    pub(crate) fn steps(&self) -> u32 {
        self.held.finished_step.unwrap_or(self.execution.steps)
    }

    /// The agent, in this run, as the cause of what it does.
    pub(crate) fn cause(&self) -> Cause {
        cause_of(&self.execution)
    }

    /// The time that one call to the outside may take: what is left of this attempt and of the run.
    pub(crate) fn time_for_a_call(&self) -> Duration {
        self.attempt.budget.remaining().min(self.until_deadline())
    }

    /// The time that is left until the run must have ended.
    pub(crate) fn until_deadline(&self) -> Duration {
        self.execution.deadline().since(self.runner.store.now())
    }

    /// The event that tells what happened to this run.
    pub(crate) fn event(&self, kind: EventKind, data: Value) -> Event {
        self.runner
            .store
            .event(self.tenant, &self.cause(), kind, self.execution.id, data)
    }
}

/// The agent, in one of its runs, as the cause of what it does.
pub(crate) fn cause_of(execution: &Execution) -> Cause {
    Cause {
        actor: Actor::Agent {
            id: execution.agent,
            execution: execution.id,
        },
        correlation_id: execution.correlation_id.clone(),
    }
}

/// What was called so far: nothing by a run that never ran.
async fn journal_of(store: &Store, tenant: Tenant, execution: &Execution) -> Result<Journal, Stop> {
    if execution.started_at.is_none() {
        return Ok(Journal::default());
    }
    let effects = store.executions(tenant).journal(execution.id).await?;
    Ok(Journal::new(effects))
}

async fn past_of(store: &Store, tenant: Tenant, execution: &Execution) -> Result<Past, Stop> {
    Ok(match execution.conversation {
        Some(turn) => store.conversations(tenant).before(turn).await?,
        None => Past::default(),
    })
}

async fn stops<T>(read: impl Future<Output = Result<T, ReadError>>) -> Result<T, Stop> {
    read.await.map_err(Stop::from)
}

async fn spec_of(store: &Store, tenant: Tenant, execution: &Execution) -> Result<AgentSpec, Stop> {
    let agents = store.agents(tenant);
    let version: Option<AgentVersion> = agents
        .version(execution.agent, execution.agent_version)
        .await?;
    if let Some(version) = version {
        return Ok(version.spec);
    }
    let agent: Option<Agent> = agents.get(execution.agent).await?;
    agent.map(|agent| agent.spec).ok_or_else(|| {
        let error = JobError::new("agent_missing", "the agent's version cannot be read");
        Stop::Later(error, None)
    })
}
