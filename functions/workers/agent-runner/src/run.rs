//! A run under way: what it is made of, and why it stops.

use domain::agent::{Agent, AgentSpec, AgentVersion};
use domain::event::{Actor, Event, EventKind};
use domain::execution::{Execution, Failure};
use kernel::ExecutionId;
use store::{Cause, CommitError, ReadError, Store, Tenant};
use work::{Attempt, JobError};

use crate::AgentRunner;
use crate::citations::Sources;
use crate::journal::Journal;
use crate::recall::recall;
use crate::toolbox::Toolbox;

/// Why a run stops here, for now or for good.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The run has ended: by itself, or because somebody else ended it.
    Ended,
    /// Time is up; a successor goes on.
    Yield,
    /// Something does not answer; try again later.
    Retry(JobError),
    /// The run cannot go on.
    Fail(Failure),
}

impl From<ReadError> for Stop {
    fn from(error: ReadError) -> Self {
        Self::Retry(JobError::new("store_unavailable", error.to_string()))
    }
}

impl From<CommitError> for Stop {
    fn from(error: CommitError) -> Self {
        match error {
            // The run was cancelled or taken over: nothing that is done here counts any more.
            CommitError::Changed { .. } | CommitError::FenceLost | CommitError::Exists { .. } => {
                Self::Ended
            }
            CommitError::TooLarge { .. } | CommitError::ItemTooLarge { .. } => {
                Self::Fail(Failure::new("too_large", format!("{error}.")))
            }
            CommitError::Shape(_) | CommitError::Unavailable(_) => {
                Self::Retry(JobError::new("store_unavailable", store::explain(&error)))
            }
        }
    }
}

/// A run under way.
pub(crate) struct Run<'a> {
    pub(crate) runner: &'a AgentRunner,
    pub(crate) attempt: &'a Attempt,
    pub(crate) tenant: Tenant,
    pub(crate) execution: Execution,
    pub(crate) spec: AgentSpec,
    pub(crate) journal: Journal,
    pub(crate) toolbox: Toolbox,
    pub(crate) sources: Sources,
    /// What earlier executions have taught the agent, as it is told.
    pub(crate) memories: Vec<String>,
}

impl<'a> Run<'a> {
    /// The run as it stands; `None` if it is gone or has ended.
    pub(crate) async fn load(
        runner: &'a AgentRunner,
        attempt: &'a Attempt,
        tenant: Tenant,
        id: ExecutionId,
    ) -> Result<Option<Self>, Stop> {
        let store = &runner.store;
        let executions = store.executions(tenant);
        let Some(execution) = executions.get(id).await? else {
            return Ok(None);
        };
        if execution.state.is_terminal() {
            return Ok(None);
        }
        let spec = spec_of(store, tenant, &execution).await?;
        let journal = Journal::new(executions.journal(id).await?);
        let toolbox = Toolbox::open(store, tenant, &spec).await?;
        let sources = Sources::from_journal(&journal);
        let memories = recall(store, tenant, execution.agent, &execution.input).await?;
        Ok(Some(Self {
            runner,
            attempt,
            tenant,
            execution,
            spec,
            journal,
            toolbox,
            sources,
            memories,
        }))
    }

    /// The agent, in this run, as the cause of what it does.
    pub(crate) fn cause(&self) -> Cause {
        Cause {
            actor: Actor::Agent {
                id: self.execution.agent,
                execution: self.execution.id,
            },
            correlation_id: self.execution.correlation_id.clone(),
        }
    }

    /// The event that tells what happened to this run.
    pub(crate) fn event(&self, kind: EventKind, data: serde_json::Value) -> Event {
        self.runner
            .store
            .event(self.tenant, &self.cause(), kind, self.execution.id, data)
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
        Stop::Retry(JobError::new(
            "agent_missing",
            "the agent's version cannot be read",
        ))
    })
}
