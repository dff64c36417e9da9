//! A run under way: what it is made of.

use std::time::Duration;

use domain::agent::{Agent, AgentSpec, AgentVersion};
use domain::event::{Actor, Event, EventKind};
use domain::execution::Execution;
use store::conversations::PastTurn;
use store::{Cause, Store, Tenant};
use work::{Attempt, JobError};

use crate::AgentRunner;
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
    /// The run at the beginning of the chain of calls, where that is another: its stream shows
    /// what this one does.
    pub(crate) root: Option<Execution>,
    pub(crate) spec: AgentSpec,
    pub(crate) journal: Journal,
    pub(crate) toolbox: Toolbox,
    pub(crate) sources: Sources,
    /// The swarm that it works for, if any.
    pub(crate) swarm: Option<InSwarm>,
    /// What the agent is told of its memories.
    pub(crate) memories: Told,
    /// What was said before in the conversation.
    pub(crate) past: Vec<PastTurn>,
}

impl<'a> Run<'a> {
    /// A run with all that it needs to go on.
    pub(crate) async fn load(
        runner: &'a AgentRunner,
        attempt: &'a Attempt,
        tenant: Tenant,
        execution: Execution,
        told: Option<Told>,
    ) -> Result<Self, Stop> {
        let store = &runner.store;
        let executions = store.executions(tenant);
        let spec = spec_of(store, tenant, &execution).await?;
        let journal = Journal::new(executions.journal(execution.id).await?);
        let swarm = InSwarm::load(store, tenant, &execution, &journal).await?;
        let toolbox = Toolbox::open(runner, tenant, &execution, &spec, swarm.as_ref()).await?;
        let sources = Sources::from_journal(&journal);
        let memories = match told {
            Some(told) => told,
            None => recall::recall(store, tenant, &execution).await?,
        };
        let past = match execution.conversation {
            Some(turn) => store.conversations(tenant).before(turn).await?,
            None => Vec::new(),
        };
        let root = match execution.parent {
            Some(parent) => executions.get(parent.root).await?,
            None => None,
        };
        Ok(Self {
            runner,
            attempt,
            tenant,
            execution,
            root,
            spec,
            journal,
            toolbox,
            sources,
            swarm,
            memories,
            past,
        })
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
    pub(crate) fn event(&self, kind: EventKind, data: serde_json::Value) -> Event {
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
