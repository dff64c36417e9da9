//! Tasks.

use domain::event::EventKind;
use domain::task::{Assignee, Task};
use kernel::cursor::{Page, PageRequest};
use kernel::{AgentId, TaskId};
use serde_json::json;

use crate::executions::NewRun;
use crate::keys::{self, IndexKeys, Key};
use crate::read::Order;
use crate::record::Record;
use crate::{Cause, Commit, Error, ReadError, Store, Tenant, changes};

impl Record for Task {
    const NOUN: &'static str = "task";

    fn key(&self) -> Key {
        keys::task(self.org, self.id)
    }

    fn indexes(&self) -> IndexKeys {
        let agent = match self.assignee {
            Some(Assignee::Agent { id }) => Some(id),
            _ => None,
        };
        keys::task_indexes(self.org, self.id, agent, self.status.name())
    }

    fn version(&self) -> u64 {
        self.version
    }
}

/// Which tasks to list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskFilter {
    All,
    OfAgent(AgentId),
    WithStatus(domain::task::TaskStatus),
}

/// The tasks of one org.
#[derive(Debug, Clone, Copy)]
pub struct Tasks<'a> {
    store: &'a Store,
    tenant: Tenant,
}

impl Store {
    /// The tasks of an org.
    #[must_use]
    pub fn tasks(&self, tenant: Tenant) -> Tasks<'_> {
        Tasks {
            store: self,
            tenant,
        }
    }
}

impl Tasks<'_> {
    /// The task with this id.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn get(&self, id: TaskId) -> Result<Option<Task>, ReadError> {
        self.store.get(&keys::task(self.tenant.org(), id)).await
    }

    /// Tasks, newest first.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn page(
        &self,
        filter: TaskFilter,
        page: &PageRequest,
    ) -> Result<Page<Task>, ReadError> {
        let org = self.tenant.org();
        let list = match filter {
            TaskFilter::All => keys::tasks(org),
            TaskFilter::OfAgent(agent) => keys::tasks_of_agent(org, agent),
            TaskFilter::WithStatus(status) => keys::tasks_with_status(org, status.name()),
        };
        self.store.page(&list, page, Order::Descending).await
    }

    /// Writes a new task and, with it, the run that works on it, if one is to begin.
    ///
    /// # Errors
    /// [`Error::Commit`] if the store does not take it.
    pub async fn create(
        &self,
        cause: &Cause,
        task: &Task,
        run: Option<&NewRun>,
    ) -> Result<(), Error> {
        let data = json!({ "title": task.title, "status": task.status });
        let event = self
            .store
            .event(self.tenant, cause, EventKind::TaskCreated, task.id, data);
        let change = || Commit::new(self.tenant).create(task).event(event.clone());
        self.commit_with(cause, run, change).await
    }

    /// Writes a changed task and, with it, the run that works on it, if one is to begin. `kind`
    /// says what sort of change it was.
    ///
    /// # Errors
    /// [`Error::Commit`], as `Changed` if the task is no longer at `before`'s version.
    pub async fn update(
        &self,
        cause: &Cause,
        kind: EventKind,
        before: &Task,
        after: Task,
        run: Option<&NewRun>,
    ) -> Result<Task, Error> {
        let task = Task {
            version: before.version + 1,
            updated_at: self.store.now(),
            ..after
        };
        let data = changes(before, &task);
        let event = self.store.event(self.tenant, cause, kind, task.id, data);
        let change = || {
            Commit::new(self.tenant)
                .replace(&task, before.version)
                .event(event.clone())
        };
        self.commit_with(cause, run, change).await?;
        Ok(task)
    }

    async fn commit_with(
        &self,
        cause: &Cause,
        run: Option<&NewRun>,
        change: impl Fn() -> Commit,
    ) -> Result<(), Error> {
        match run {
            Some(run) => {
                let executions = self.store.executions(self.tenant);
                executions.queue_with(cause, run, change).await
            }
            None => Ok(self.store.commit(change()).await?),
        }
    }

    /// Deletes a task.
    ///
    /// # Errors
    /// [`Error::Commit`], as `Changed` if the task is no longer at `current`'s version.
    pub async fn delete(&self, cause: &Cause, current: &Task) -> Result<(), Error> {
        let data = json!({ "title": current.title, "status": current.status });
        let event = self
            .store
            .event(self.tenant, cause, EventKind::TaskDeleted, current.id, data);
        let commit = Commit::new(self.tenant)
            .delete(current, current.version)
            .event(event);
        Ok(self.store.commit(commit).await?)
    }
}
