//! Executions, their journals and streams.
//!
//! | module | holds |
//! |---|---|
//! | [`admission`] | which runs of an org may run now |
//! | [`lifecycle`] | what a change of state means for everything around a run |
//! | [`news`] | being woken by what this process changes |
//! | [`streams`] | what streams show, of a run and of those that it called |

use std::time::Duration;

use domain::agent::Agent;
use domain::budget::Account;
use domain::event::{Actor, EventKind};
use domain::execution::{
    Effect, Execution, ExecutionState, Grounding, MAX_QUEUED, ParentCall, Spending, StreamEntry,
    Turn, Usage,
};
use domain::swarm::Swarm;
use domain::task::TaskStatus;
use domain::viewer::Viewer;
use kernel::cursor::{Cursor, Page, PageRequest};
use kernel::{AgentId, ExecutionId, JobId, OrgId, TaskId, ToolId};
use serde::{Deserialize, Serialize};
use serde_json::json;
use work::Lane;

use crate::keys::{self, Collection, IndexKeys, Key};
use crate::read::Order;
use crate::record::Record;
use crate::{Cause, Commit, Error, ReadError, Store, Tenant};

mod admission;
mod lifecycle;
pub(crate) mod news;
mod streams;

pub use admission::MAX_PLACES;
pub use lifecycle::{CANCEL_JOB, DEADLINE_SHARDS, Deadline, Race, expiry};
pub use news::News;

use lifecycle::Waiter;

/// The kind of the job that drives an execution.
pub const RUN_JOB: &str = "execution.run";
/// How often a run's job may fail. More than its time allows: the run itself ends at its deadline,
/// with a reason, and must not be left behind by a job that gave up before.
const MAX_RUN_ATTEMPTS: u32 = 1_000;
/// The most effects one execution can have: bounded by its steps and the calls of a step.
const MAX_EFFECTS: usize = 20_000;
/// How much is read at once, and how often, to find executions in one state.
const PART: u32 = 100;
const PAGES_READ_OVER: u32 = 10;
/// How often a place is looked for against others who take it first.
const PLACE_TRIES: u32 = 20;

/// The kind of the job that lets runs go on that wait for the credential of a tool.
pub const AUTHORISED_JOB: &str = "tool.authorised";

/// What the job of a credential holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthorisedPayload {
    pub tool: ToolId,
}

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
    /// The model calls that it may make, with every run that it leads to, where that is limited.
    steps: Option<u64>,
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
            expires_at: Some(now.plus(MAX_QUEUED)),
            time_left_ms: None,
            waiting: None,
            spending: Spending::default(),
            conversation: None,
            private_to: None,
            grounding: None,
            parent: None,
            children: Vec::new(),
            swarm: None,
            version: 1,
        };
        Self {
            execution,
            lane: Lane::AgentInteractive,
            steps: None,
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

    /// The same run, which is shown some of its agent's knowledge before its model is asked.
    #[must_use]
    pub fn grounded(mut self, grounding: Grounding) -> Self {
        self.execution.grounding = Some(grounding);
        self
    }

    /// The same run, as a turn of somebody's conversation.
    #[must_use]
    pub(crate) fn in_conversation(mut self, turn: Turn, of: Option<Actor>) -> Self {
        self.execution.conversation = Some(turn);
        self.execution.private_to = of;
        self
    }

    /// The same run, as the answer to a call by another run: on its account, and for its swarm.
    #[must_use]
    pub fn called_by(mut self, caller: &Execution, step: u32, call: u32) -> Self {
        self.execution.parent = Some(ParentCall {
            execution: caller.id,
            step,
            call,
            root: caller.root(),
            depth: caller.depth() + 1,
        });
        self.execution.swarm = caller.swarm;
        self.execution.private_to = caller.private_to;
        self.execution
            .correlation_id
            .clone_from(&caller.correlation_id);
        self
    }

    /// The same run, with no more time than this.
    #[must_use]
    pub fn within(mut self, time: Duration) -> Self {
        let limits = &mut self.execution.limits;
        let seconds = u32::try_from(time.as_secs()).unwrap_or(u32::MAX);
        limits.max_seconds = limits.max_seconds.min(seconds.max(1));
        self
    }

    /// The same run, as the coordinator's of a swarm, within the limits of both.
    #[must_use]
    pub fn for_swarm(mut self, swarm: &Swarm) -> Self {
        let limits = swarm.spec.limits;
        self.execution.swarm = Some(swarm.id);
        self.steps = Some(limits.max_steps.into());
        let credits = &mut self.execution.limits.max_micro_credits;
        *credits = match (*credits, limits.max_micro_credits) {
            (Some(of_agent), Some(of_swarm)) => Some(of_agent.min(of_swarm)),
            (of_agent, of_swarm) => of_agent.or(of_swarm),
        };
        self.within(Duration::from_secs(limits.max_seconds.into()))
    }
}

/// The executions of one org.
#[derive(Debug, Clone, Copy)]
pub struct Executions<'a> {
    store: &'a Store,
    tenant: Tenant,
    /// How often the change that is being made was refused.
    lost: u32,
}

impl Store {
    /// The executions of an org.
    #[must_use]
    pub fn executions(&self, tenant: Tenant) -> Executions<'_> {
        Executions {
            store: self,
            tenant,
            lost: 0,
        }
    }
}

impl Executions<'_> {
    /// The same executions, for a change that was refused so often since others came first. Many
    /// who give up their places at the same moment do not let in the same run then.
    #[must_use]
    pub fn again(self, lost: u32) -> Self {
        Self { lost, ..self }
    }

    /// The execution with this id.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn get(&self, id: ExecutionId) -> Result<Option<Execution>, ReadError> {
        self.store
            .get(&keys::execution(self.tenant.org(), id))
            .await
    }

    /// Executions that somebody may see, of one agent or of all, in one state or in any, newest
    /// first. May lag behind by moments. Others are read over, a few pages at a time: a page may
    /// have fewer items than its limit, or none, and still be followed by another.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn page(
        &self,
        viewer: Viewer,
        agent: Option<AgentId>,
        state: Option<ExecutionState>,
        page: &PageRequest,
    ) -> Result<Page<Execution>, ReadError> {
        let org = self.tenant.org();
        let list = agent.map_or_else(
            || keys::executions(org),
            |agent| keys::executions_of_agent(org, agent),
        );
        if state.is_none() && viewer == Viewer::Everything {
            return self.store.page(&list, page, Order::Descending).await;
        }
        let wanted = page.limit as usize;
        let mut found = Page {
            items: Vec::new(),
            next: page.after.clone(),
        };
        for _ in 0..PAGES_READ_OVER {
            let part = PageRequest {
                limit: PART,
                after: found.next.take(),
            };
            let read: Page<Execution> = self.store.page(&list, &part, Order::Descending).await?;
            found.next = read.next;
            for execution in read.items {
                let is_wanted = state.is_none_or(|state| execution.state == state);
                if !is_wanted || !viewer.sees(execution.private_to) {
                    continue;
                }
                let id = execution.id;
                found.items.push(execution);
                if found.items.len() == wanted {
                    found.next = Some(Cursor::after(id.to_string()));
                    return Ok(found);
                }
            }
            if found.next.is_none() {
                break;
            }
        }
        Ok(found)
    }

    /// Queues a run.
    ///
    /// # Errors
    /// [`Error::Commit`] if the store does not take it.
    pub async fn queue(&self, cause: &Cause, run: &NewRun) -> Result<(), Error> {
        self.queue_with(cause, run, || Commit::new(self.tenant))
            .await
    }

    /// Queues a run in one transaction with another change, which is made anew for each try.
    ///
    /// # Errors
    /// [`Error::Commit`] if the store does not take it.
    pub(crate) async fn queue_with(
        &self,
        cause: &Cause,
        run: &NewRun,
        change: impl Fn() -> Commit,
    ) -> Result<(), Error> {
        let mut attempt = 0;
        loop {
            let commit = self.again(attempt).add_run(change(), cause, run).await?;
            match self.store.commit(commit).await {
                // Another run took the place that was free.
                Err(error) if error.is_about_places() && attempt < PLACE_TRIES => {
                    attempt += 1;
                    tokio::time::sleep(crate::commit::conflict_delay(attempt.min(4))).await;
                }
                other => return Ok(other?),
            }
        }
    }

    /// Adds a new run to a change: with a place, and rung for, or in line for one.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn add_run(
        &self,
        commit: Commit,
        cause: &Cause,
        run: &NewRun,
    ) -> Result<Commit, ReadError> {
        let (commit, entered) = self.enter(commit, &run.execution, true).await?;
        Ok(self.add_queued(commit, cause, run, entered))
    }

    /// Adds a new run to a change, to be rung for now or to be woken later. Only for runs that need
    /// no place, or whose turn has not come.
    pub fn add_queued(&self, commit: Commit, cause: &Cause, run: &NewRun, now: bool) -> Commit {
        let execution = &run.execution;
        let mut job = Self::run_job(execution, run.lane);
        if !now {
            job = job.parked_until(execution.deadline());
        }
        let data = json!({ "agent": execution.agent, "task": execution.task });
        let kind = EventKind::ExecutionQueued;
        let event = self
            .store
            .event(self.tenant, cause, kind, execution.id, data);
        let commit = if execution.parent.is_none() {
            let account = Account::Execution { id: execution.id };
            let granted = execution.limits.max_micro_credits;
            commit.open_account(execution.org, account, granted, run.steps, self.store.now())
        } else {
            commit
        };
        commit
            .create(execution)
            .put(&Deadline {
                org: execution.org,
                execution: execution.id,
                expires_at: execution.deadline(),
            })
            .event(event)
            .job(job)
    }

    /// Runs that wait for credits, in the order in which they were queued.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn over_budget(&self, page: &PageRequest) -> Result<Page<Execution>, ReadError> {
        let list = keys::all_over_budget(self.tenant.org());
        self.waiters(&list, page).await
    }

    /// Runs that wait for a credential of this tool, in the order in which they were queued.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn awaiting_auth(
        &self,
        tool: ToolId,
        page: &PageRequest,
    ) -> Result<Page<Execution>, ReadError> {
        let list = keys::all_awaiting_auth(self.tenant.org(), tool);
        self.waiters(&list, page).await
    }

    async fn waiters(
        &self,
        list: &Collection,
        page: &PageRequest,
    ) -> Result<Page<Execution>, ReadError> {
        let waiters: Page<Waiter> = self.store.page(list, page, Order::Ascending).await?;
        let ids: Vec<ExecutionId> = waiters.items.iter().map(|row| row.execution).collect();
        let mut items = self.get_many(&ids).await?;
        items.sort_by_key(|execution| execution.id);
        let next = waiters.next;
        Ok(Page { items, next })
    }

    /// Those of these executions that exist, in no certain order.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn get_many(&self, ids: &[ExecutionId]) -> Result<Vec<Execution>, ReadError> {
        let mut ids = ids.to_vec();
        ids.sort_unstable();
        ids.dedup();
        let keys: Vec<Key> = ids
            .iter()
            .map(|id| keys::execution(self.tenant.org(), *id))
            .collect();
        self.store.get_batch(&keys).await
    }

    /// The sequence of the newest entry of a run's stream; 0 before the first.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn last_sequence(&self, id: ExecutionId) -> Result<u64, ReadError> {
        let list = keys::stream(self.tenant.org(), id);
        let newest: Page<OfOrg<StreamEntry>> = self
            .store
            .page(&list, &PageRequest::first(1), Order::Descending)
            .await?;
        Ok(newest.items.first().map_or(0, |entry| entry.row.sequence))
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
