//! Executions, their journals and streams.

use domain::agent::Agent;
use domain::event::EventKind;
use domain::execution::{Effect, Execution, ExecutionState, StreamEntry, StreamEntryKind, Usage};
use domain::task::TaskStatus;
use kernel::cursor::{Cursor, Page, PageRequest};
use kernel::{AgentId, ExecutionId, JobId, OrgId, TaskId};
use serde::{Deserialize, Serialize};
use serde_json::json;
use work::{Lane, NewJob};

use crate::keys::{self, IndexKeys, Key};
use crate::read::Order;
use crate::record::Record;
use crate::{Cause, Commit, Error, ReadError, Store, Tenant};

/// The kind of the job that drives an execution.
pub const RUN_JOB: &str = "execution.run";
/// How often a run's job may fail. More than its time allows: the run itself ends at its deadline,
/// with a reason, and must not be left behind by a job that gave up before.
const MAX_RUN_ATTEMPTS: u32 = 1_000;
/// The most effects one execution can have: bounded by its steps and the calls of a step.
const MAX_EFFECTS: usize = 20_000;

/// What the job of an execution holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunPayload {
    pub execution: ExecutionId,
}

impl Record for Execution {
    const NOUN: &'static str = "execution";

    fn key(&self) -> Key {
        keys::execution(self.org, self.id)
    }

    fn indexes(&self) -> IndexKeys {
        keys::execution_indexes(self.org, self.id, self.agent)
    }

    fn version(&self) -> u64 {
        self.version
    }
}

/// A row of an execution's partition, with the org that its key needs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct OfOrg<T> {
    pub org: OrgId,
    #[serde(flatten)]
    pub row: T,
}

impl Record for OfOrg<Effect> {
    const NOUN: &'static str = "effect";

    fn key(&self) -> Key {
        keys::effect(self.org, self.row.execution, self.row.step, self.row.call)
    }
}

impl Record for OfOrg<StreamEntry> {
    const NOUN: &'static str = "stream entry";

    fn key(&self) -> Key {
        keys::stream_entry(self.org, self.row.execution, self.row.sequence)
    }
}

/// An execution that is about to be queued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRun {
    execution: Execution,
    lane: Lane,
}

impl NewRun {
    /// A run of `agent`, as it stands, on `input`.
    #[must_use]
    pub fn new(
        store: &Store,
        cause: &Cause,
        agent: &Agent,
        input: String,
        task: Option<TaskId>,
    ) -> Self {
        let now = store.now();
        let execution = Execution {
            id: ExecutionId::generate(now),
            org: agent.org,
            agent: agent.id,
            agent_version: agent.version,
            task,
            input,
            state: ExecutionState::Queued,
            steps: 0,
            limits: agent.spec.limits,
            answer: None,
            citations: Vec::new(),
            failure: None,
            usage: Usage::default(),
            job: JobId::generate(now),
            requested_by: cause.actor,
            correlation_id: cause.correlation_id.clone(),
            last_sequence: 0,
            created_at: now,
            started_at: None,
            finished_at: None,
            updated_at: now,
            version: 1,
        };
        Self {
            execution,
            lane: Lane::AgentInteractive,
        }
    }

    /// The same run, behind those that somebody waits for.
    #[must_use]
    pub fn in_bulk(self) -> Self {
        Self {
            lane: Lane::AgentBulk,
            ..self
        }
    }

    /// The execution as it will be.
    #[must_use]
    pub fn execution(&self) -> &Execution {
        &self.execution
    }

    /// Adds the execution, its job and its event to a change.
    pub(crate) fn add_to(&self, commit: Commit, store: &Store, cause: &Cause) -> Commit {
        let execution = &self.execution;
        let tenant = Tenant::authorised(execution.org);
        let payload = json!({ "execution": execution.id });
        let job = NewJob::new(execution.org, RUN_JOB, self.lane, payload)
            .id(execution.job)
            .max_attempts(MAX_RUN_ATTEMPTS)
            .correlation_id(&cause.correlation_id);
        let data = json!({ "agent": execution.agent, "task": execution.task });
        let event = store.event(
            tenant,
            cause,
            EventKind::ExecutionQueued,
            execution.id,
            data,
        );
        commit.create(execution).event(event).job(job)
    }
}

/// The executions of one org.
#[derive(Debug, Clone, Copy)]
pub struct Executions<'a> {
    store: &'a Store,
    tenant: Tenant,
}

impl Store {
    /// The executions of an org.
    #[must_use]
    pub fn executions(&self, tenant: Tenant) -> Executions<'_> {
        Executions {
            store: self,
            tenant,
        }
    }
}

impl Executions<'_> {
    /// The execution with this id.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn get(&self, id: ExecutionId) -> Result<Option<Execution>, ReadError> {
        self.store
            .get(&keys::execution(self.tenant.org(), id))
            .await
    }

    /// Executions, of one agent or of all, newest first. May lag behind by moments.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn page(
        &self,
        agent: Option<AgentId>,
        page: &PageRequest,
    ) -> Result<Page<Execution>, ReadError> {
        let org = self.tenant.org();
        let list = agent.map_or_else(
            || keys::executions(org),
            |agent| keys::executions_of_agent(org, agent),
        );
        self.store.page(&list, page, Order::Descending).await
    }

    /// Queues a run.
    ///
    /// # Errors
    /// [`Error::Commit`] if the store does not take it.
    pub async fn queue(&self, cause: &Cause, run: &NewRun) -> Result<(), Error> {
        let commit = run.add_to(Commit::new(self.tenant), self.store, cause);
        Ok(self.store.commit(commit).await?)
    }

    /// The journal of an execution, in order.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn journal(&self, id: ExecutionId) -> Result<Vec<Effect>, ReadError> {
        let list = keys::effects(self.tenant.org(), id);
        let rows: Vec<OfOrg<Effect>> = self.store.all(&list, MAX_EFFECTS).await?;
        Ok(rows.into_iter().map(|row| row.row).collect())
    }

    /// One page of an execution's journal, in order.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn journal_page(
        &self,
        id: ExecutionId,
        page: &PageRequest,
    ) -> Result<Page<Effect>, ReadError> {
        let list = keys::effects(self.tenant.org(), id);
        let page = self
            .store
            .page::<OfOrg<Effect>>(&list, page, Order::Ascending)
            .await?;
        Ok(page.map(|row| row.row))
    }

    /// The entries of an execution's stream after `sequence`, in order, at most `limit`.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn stream_after(
        &self,
        id: ExecutionId,
        sequence: u64,
        limit: u32,
    ) -> Result<Vec<StreamEntry>, ReadError> {
        let list = keys::stream(self.tenant.org(), id);
        let after = (sequence > 0).then(|| Cursor::after(format!("{sequence:010}")));
        let page = PageRequest { limit, after };
        let page = self
            .store
            .page::<OfOrg<StreamEntry>>(&list, &page, Order::Ascending)
            .await?;
        Ok(page.items.into_iter().map(|row| row.row).collect())
    }

    /// Ends a run that has not ended. The worker that drives it, if any, notices at its next
    /// commit, which is refused; nothing that it does afterwards counts.
    ///
    /// # Errors
    /// [`Error::Commit`], as `Changed` if the run went on meanwhile: read it and ask again.
    pub async fn cancel(&self, cause: &Cause, current: &Execution) -> Result<Execution, Error> {
        let now = self.store.now();
        let mut execution = Execution {
            version: current.version + 1,
            updated_at: now,
            ..current.clone()
        };
        if execution
            .transition(ExecutionState::Cancelled, now)
            .is_err()
        {
            return Ok(current.clone());
        }
        let entry = execution.next_stream_entry(
            StreamEntryKind::RunError,
            json!({ "code": "cancelled", "message": "The execution was cancelled." }),
            now,
        );
        let data = json!({ "agent": execution.agent, "task": execution.task });
        let event = self.store.event(
            self.tenant,
            cause,
            EventKind::ExecutionCancelled,
            current.id,
            data,
        );
        let commit = Commit::new(self.tenant)
            .replace(&execution, current.version)
            .create(&OfOrg {
                org: execution.org,
                row: entry,
            })
            .event(event);
        let commit = self
            .end_task(commit, cause, &execution, TaskStatus::Blocked, None)
            .await?;
        self.store.commit(commit).await?;
        Ok(execution)
    }

    /// Adds to a change what the end of a run means for its task, if it has one that still waits
    /// for this run: its status, and its result if there is one.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn end_task(
        &self,
        commit: Commit,
        cause: &Cause,
        execution: &Execution,
        status: TaskStatus,
        result: Option<&str>,
    ) -> Result<Commit, ReadError> {
        let Some(id) = execution.task else {
            return Ok(commit);
        };
        let Some(current) = self.store.tasks(self.tenant).get(id).await? else {
            return Ok(commit);
        };
        let mut task = current.clone();
        if task.execution != Some(execution.id) || task.transition(status).is_err() {
            return Ok(commit);
        }
        task.result = result.map(str::to_owned).or(task.result);
        task.version += 1;
        task.updated_at = self.store.now();
        let data = json!({ "from": current.status, "to": status, "execution": execution.id });
        let kind = EventKind::TaskStatusChanged;
        let event = self.store.event(self.tenant, cause, kind, task.id, data);
        Ok(commit.replace(&task, current.version).event(event))
    }
}
