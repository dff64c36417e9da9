//! What a change of state means for everything around a run: its deadline, its place, its job, its
//! task, its approvals, what it reserved, who called it and whom it called. One transaction each.

use domain::approval::{ApprovalState, OnExpiry};
use domain::budget::LedgerCall;
use domain::event::EventKind;
use domain::execution::{Execution, ExecutionState, Failure, StreamEntryKind};
use domain::task::TaskStatus;
use kernel::{ExecutionId, JobId, OrgId, Timestamp, ToolId};
use serde::{Deserialize, Serialize};
use serde_json::json;
use work::{JobState, Lane, NewJob, protocol};

use super::admission::{Admission, Place, WaitingRun};
use super::{Executions, MAX_RUN_ATTEMPTS, NewRun, RUN_JOB};
use crate::keys::{self, IndexKeys, Key};
use crate::record::Record;
use crate::{Cause, Commit, CommitError, Error, ReadError};

/// How often a change is tried against others that come first.
const TRIES: u32 = 12;
/// In how many parts of the due index deadlines are kept.
pub const DEADLINE_SHARDS: u32 = 4;

/// The kind of the job that ends a run whose caller has ended.
pub const CANCEL_JOB: &str = "execution.cancel";

/// How often a change of a run was refused since others came first.
#[derive(Debug, Clone, Copy, Default)]
pub struct Race {
    lost: u32,
}

impl Race {
    /// How often.
    #[must_use]
    pub fn lost(self) -> u32 {
        self.lost
    }
}

/// The row by which the sweeper finds a run whose time is over, whatever became of its job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deadline {
    pub org: OrgId,
    pub execution: ExecutionId,
    pub expires_at: Timestamp,
}

impl Record for Deadline {
    const NOUN: &'static str = "deadline";

    fn key(&self) -> Key {
        keys::deadline(self.org, self.execution)
    }

    fn indexes(&self) -> IndexKeys {
        let shard = (self.execution.as_u128() & u128::from(u32::MAX)) as u32 % DEADLINE_SHARDS;
        keys::deadline_indexes(self.execution, shard, self.expires_at)
    }
}

/// A run that waits for something that comes to many at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Waiter {
    pub(super) org: OrgId,
    pub(super) execution: ExecutionId,
    /// The tool whose credential is waited for; credits, if absent.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) tool: Option<ToolId>,
}

impl Record for Waiter {
    const NOUN: &'static str = "waiter";

    fn key(&self) -> Key {
        match self.tool {
            Some(tool) => keys::awaiting_auth(self.org, tool, self.execution),
            None => keys::over_budget(self.org, self.execution),
        }
    }
}

/// The waiter that a run in this state is found by.
fn waiter(execution: &Execution) -> Option<Waiter> {
    let tool = execution.waiting.as_ref().and_then(|waiting| waiting.tool);
    let found = match execution.state {
        ExecutionState::OverBudget => true,
        ExecutionState::AwaitingAuth => tool.is_some(),
        _ => false,
    };
    found.then_some(Waiter {
        org: execution.org,
        execution: execution.id,
        tool,
    })
}

impl Executions<'_> {
    /// Adds the row of a run that changes from `before` to `after`, with the rows by which it is
    /// found when its time is over or what it waits for comes. Counts the version of `after`.
    #[must_use = "a change does nothing until it is committed"]
    pub fn add_change(
        &self,
        mut commit: Commit,
        before: &Execution,
        after: &mut Execution,
    ) -> Commit {
        after.version = before.version + 1;
        after.updated_at = self.store.now();
        if before.expires_at != after.expires_at {
            commit = match after.expires_at {
                Some(expires_at) => commit.put(&Deadline {
                    org: after.org,
                    execution: after.id,
                    expires_at,
                }),
                None => commit.discard(keys::deadline(after.org, after.id)),
            };
        }
        let (was, is) = (waiter(before), waiter(after));
        if was != is {
            if let Some(was) = was {
                commit = commit.discard(was.key());
            }
            if let Some(is) = is {
                commit = commit.put(&is);
            }
        }
        if before.state != after.state {
            commit = commit.news((after.id, after.state));
        }
        commit.replace(after, before.version)
    }

    /// Adds to a change that a run leaves its place, to the first in line if there is one.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn add_leave(
        &self,
        commit: Commit,
        execution: &Execution,
    ) -> Result<Commit, ReadError> {
        if execution.parent.is_some() {
            return Ok(commit);
        }
        let mut admission = self.admission(execution, false).await?;
        admission.leave(execution.id);
        self.add_admission(commit, &admission).await
    }

    /// Adds to a change who runs from now on and who waits. Those who are let in are woken.
    pub(crate) async fn add_admission(
        &self,
        commit: Commit,
        admission: &Admission,
    ) -> Result<Commit, ReadError> {
        let mut commit = admission.add_to(commit);
        for run in admission.let_in() {
            commit = self.add_wake(commit, run.execution, run.job).await?;
        }
        Ok(commit)
    }

    /// Adds to a change that a queued run takes a place, or stands in line for one. Says whether it
    /// has one.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn add_enter(
        &self,
        commit: Commit,
        execution: &Execution,
    ) -> Result<(Commit, bool), ReadError> {
        self.enter(commit, execution, false).await
    }

    /// [`add_enter`](Self::add_enter), for a run that may be new.
    pub(super) async fn enter(
        &self,
        commit: Commit,
        execution: &Execution,
        is_new: bool,
    ) -> Result<(Commit, bool), ReadError> {
        if execution.parent.is_some() {
            return Ok((commit, true));
        }
        let mut admission = self.admission(execution, is_new).await?;
        let entered = admission.enter(&WaitingRun::new(execution, self.store.now()));
        let commit = self.add_admission(commit, &admission).await?;
        Ok((commit, entered))
    }

    /// Adds to a change that a run's job is woken. Refused as `Changed` if the job goes on
    /// meanwhile.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub(crate) async fn add_wake(
        &self,
        commit: Commit,
        execution: ExecutionId,
        job: JobId,
    ) -> Result<Commit, ReadError> {
        let org = self.tenant.org();
        let now = self.store.now();
        let Some(job) = self.store.get::<work::Job>(&keys::job(org, job)).await? else {
            tracing::error!(%execution, "the job of an open run is missing");
            return Ok(commit);
        };
        let next = match job.state {
            JobState::Dead => protocol::redrive(&job, now),
            _ => protocol::wake(&job, now),
        };
        Ok(match next {
            Ok(Some(next)) => commit.move_job(&next, job.version),
            // It is to run anyway, as long as it does not begin before this change is there.
            Ok(None) => commit.unless_changed(&job, job.version),
            Err(illegal) => {
                tracing::error!(%execution, %illegal, "the job of an open run has ended");
                commit
            }
        })
    }

    /// Adds to a change that a waiting run goes on: queued again, with a place if there is one, its
    /// job woken. `after` is the run as the change leaves it otherwise.
    ///
    /// # Errors
    /// [`Error`] if the store does not answer.
    pub async fn add_resume(
        &self,
        commit: Commit,
        cause: &Cause,
        after: &mut Execution,
    ) -> Result<Commit, Error> {
        let now = self.store.now();
        let from = after.state;
        if after.transition(ExecutionState::Queued, now).is_err() {
            return Ok(commit);
        }
        let data = json!({ "agent": after.agent, "from": from });
        let kind = EventKind::ExecutionResumed;
        let event = self.store.event(self.tenant, cause, kind, after.id, data);
        let commit = commit.event(event);
        // A turn whose time has not come has no claim to a place: the end of the open one lets it in.
        let conversations = self.store.conversations(self.tenant);
        if !conversations.is_open(after).await? {
            return Ok(commit);
        }
        let (commit, entered) = self.add_enter(commit, after).await?;
        if entered {
            return Ok(self.add_wake(commit, after.id, after.job).await?);
        }
        Ok(commit)
    }

    /// Adds to a change all that the end of a run means. `after` has ended.
    ///
    /// # Errors
    /// [`Error`] if the store does not answer.
    pub async fn add_end(
        &self,
        commit: Commit,
        cause: &Cause,
        before: &Execution,
        after: &mut Execution,
    ) -> Result<Commit, Error> {
        let commit = self.add_settled(commit, cause, before, after).await?;
        self.add_departure(commit, after).await
    }

    /// What the end of a run means for all but its place and its conversation.
    async fn add_settled(
        &self,
        mut commit: Commit,
        cause: &Cause,
        before: &Execution,
        after: &mut Execution,
    ) -> Result<Commit, Error> {
        let (status, result) = match after.state {
            ExecutionState::Completed => (TaskStatus::Completed, after.answer.as_deref()),
            _ => (TaskStatus::Blocked, None),
        };
        commit = self.end_task(commit, cause, after, status, result).await?;
        if let Some(waiting) = &before.waiting {
            let approvals = self.store.approvals(self.tenant);
            for approval in approvals.get_many(&waiting.approvals).await? {
                if approval.state != ApprovalState::Pending {
                    continue;
                }
                let now = self.store.now();
                let ends_runs = approval.policy.on_expiry == OnExpiry::Expire;
                let closed = if ends_runs && approval.is_over(now) {
                    approval.expired(now)
                } else {
                    approval.withdrawn(now)
                };
                commit = commit.close_approval(self.store, cause, &closed, approval.version);
            }
        }
        if let Some(reserved) = after.spending.reserved.take() {
            let call = LedgerCall {
                execution: after.id,
                step: reserved.step,
                call: reserved.call,
                payee: String::new(),
            };
            commit = commit.release(&reserved, &call, self.store.now());
        }
        for child in &before.children {
            let payload = json!({ "execution": child });
            let job = NewJob::new(after.org, CANCEL_JOB, Lane::AgentInteractive, payload)
                .correlation_id(&after.correlation_id);
            commit = commit.job(job);
        }
        if let Some(parent) = after.parent
            && let Some(caller) = self.get(parent.execution).await?
            && !caller.state.is_terminal()
        {
            commit = self.add_wake(commit, caller.id, caller.job).await?;
        }
        Ok(commit)
    }

    /// What the end of a run means for those who wait for its place, or for their turn.
    async fn add_departure(&self, mut commit: Commit, ended: &Execution) -> Result<Commit, Error> {
        if ended.parent.is_some() {
            return Ok(commit);
        }
        let mut admission = self.admission(ended, false).await?;
        admission.leave(ended.id);
        if let Some(turn) = ended.conversation {
            let conversations = self.store.conversations(self.tenant);
            let (changed, next) = conversations.add_end(commit, turn, ended).await?;
            commit = changed;
            if let Some(next) = next
                && admission.enter(&WaitingRun::new(&next, self.store.now()))
            {
                commit = self.add_wake(commit, next.id, next.job).await?;
            }
        }
        Ok(self.add_admission(commit, &admission).await?)
    }

    /// Adds to a change that the job of a run stops.
    async fn add_stop(&self, commit: Commit, execution: &Execution) -> Result<Commit, ReadError> {
        let key = keys::job(execution.org, execution.job);
        let Some(job) = self.store.get::<work::Job>(&key).await? else {
            return Ok(commit);
        };
        Ok(match protocol::request_cancel(&job, self.store.now()) {
            Ok(Some(next)) => commit.move_job(&next, job.version),
            Ok(None) | Err(_) => commit,
        })
    }

    /// Ends a run that has not ended: cancelled, or expired with a reason. Idempotent: a run that
    /// has ended is given as it ended. The worker that drives it, if any, is asked to stop; a call
    /// that it is making is still recorded and paid, and nothing follows from it.
    ///
    /// # Errors
    /// [`Error::Commit`], as `Changed` if the run kept changing.
    pub async fn end(
        &self,
        cause: &Cause,
        current: Execution,
        state: ExecutionState,
        failure: Failure,
    ) -> Result<Execution, Error> {
        let mut race = Race::default();
        let mut before = current;
        loop {
            let commit = Commit::new(self.tenant);
            let Some((commit, after)) = self
                .add_ended(commit, cause, &before, state, &failure)
                .await?
            else {
                return Ok(before);
            };
            let commit = self.again(race.lost).add_departure(commit, &after).await?;
            match self.store.commit(commit).await {
                Ok(()) => return Ok(after),
                Err(error) => before = self.after(&mut race, error, before.id).await?,
            }
        }
    }

    /// Adds to a change that an open turn ends and a new one takes its place: the very places that it
    /// has, if it has any.
    ///
    /// # Errors
    /// [`Error`] if the store does not answer.
    pub(crate) async fn add_takeover(
        &self,
        commit: Commit,
        cause: &Cause,
        open: &Execution,
        failure: &Failure,
        run: &NewRun,
    ) -> Result<Commit, Error> {
        let mut open = open.clone();
        // Runs that this one calls write to its stream without touching its row.
        open.last_sequence = self.last_sequence(open.id).await?;
        let state = ExecutionState::Cancelled;
        let Some((commit, _)) = self.add_ended(commit, cause, &open, state, failure).await? else {
            let noun = Execution::NOUN;
            return Ok(Commit::new(self.tenant).refuse(CommitError::Changed { noun }));
        };
        let mut admission = self.admission(&open, false).await?;
        let new = WaitingRun::new(run.execution(), self.store.now());
        let mut entered = admission.hand_over(open.id, &new);
        if !entered {
            admission.leave(open.id);
            entered = admission.enter(&new);
        }
        let commit = self.add_admission(commit, &admission).await?;
        Ok(self.add_queued(commit, cause, run, entered))
    }

    /// Adds to a change that a run ends from outside, with all that its end means but for its place
    /// and its conversation. `None` if it has ended.
    pub(crate) async fn add_ended(
        &self,
        commit: Commit,
        cause: &Cause,
        before: &Execution,
        state: ExecutionState,
        failure: &Failure,
    ) -> Result<Option<(Commit, Execution)>, Error> {
        let mut after = before.clone();
        if after.transition(state, self.store.now()).is_err() {
            return Ok(None);
        }
        let data = json!({
            "agent": after.agent, "task": after.task, "from": before.state, "code": failure.code,
        });
        let event = self
            .store
            .event(self.tenant, cause, state.event(), after.id, data);
        let entry = json!({ "code": failure.code, "message": failure.message });
        // Of one that somebody has cancelled, the state says all.
        if failure.code != state.name() {
            after.failure = Some(failure.clone());
        }
        let mut commit = commit.event(event);
        commit = self.add_settled(commit, cause, before, &mut after).await?;
        commit = self.add_stop(commit, &after).await?;
        let entry = (StreamEntryKind::RunError, entry);
        let commit = self
            .add_told_change(commit, before, &mut after, entry)
            .await?;
        Ok(Some((commit, after)))
    }

    /// Ends a run because somebody asked for it: [`end`](Self::end).
    ///
    /// # Errors
    /// [`Error::Commit`], as `Changed` if the run kept changing.
    pub async fn cancel(&self, cause: &Cause, current: &Execution) -> Result<Execution, Error> {
        let failure = Failure::new("cancelled", "The execution was cancelled.");
        self.end(cause, current.clone(), ExecutionState::Cancelled, failure)
            .await
    }

    /// Stops a run until it is resumed. A call that is under way is finished and kept; nothing new
    /// is begun. Idempotent: a run that is paused, or has ended, is given as it is.
    ///
    /// # Errors
    /// [`Error::Commit`], as `Changed` if the run kept changing.
    pub async fn pause(&self, cause: &Cause, current: &Execution) -> Result<Execution, Error> {
        let mut race = Race::default();
        let mut before = current.clone();
        loop {
            let mut after = before.clone();
            let now = self.store.now();
            if after.transition(ExecutionState::Paused, now).is_err() {
                return Ok(before);
            }
            let data = json!({ "agent": after.agent, "from": before.state });
            let kind = EventKind::ExecutionPaused;
            let event = self.store.event(self.tenant, cause, kind, after.id, data);
            let commit = Commit::new(self.tenant).event(event);
            let mut commit = self.again(race.lost).add_leave(commit, &before).await?;
            let entry = json!({ "name": "execution_paused", "value": { "from": before.state } });
            let entry = (StreamEntryKind::Custom, entry);
            commit = self
                .add_told_change(commit, &before, &mut after, entry)
                .await?;
            match self.store.commit(commit).await {
                Ok(()) => return Ok(after),
                Err(error) => before = self.after(&mut race, error, before.id).await?,
            }
        }
    }

    /// Lets a paused run, or one that waits for credits or a credential, go on. One that was paused
    /// while people were asked waits for them again if they have not answered. Idempotent: a run
    /// that does not wait so is given as it is.
    ///
    /// # Errors
    /// [`Error::Commit`], as `Changed` if the run kept changing.
    pub async fn resume(&self, cause: &Cause, current: &Execution) -> Result<Execution, Error> {
        let waits = [
            ExecutionState::Paused,
            ExecutionState::OverBudget,
            ExecutionState::AwaitingAuth,
        ];
        self.resume_from(&waits, cause, current).await
    }

    /// Lets a run go on for which that came which it waited for in this state. One that is in another
    /// by now, such as one that somebody has paused, is given as it is.
    ///
    /// # Errors
    /// [`Error::Commit`], as `Changed` if the run kept changing.
    pub async fn release(
        &self,
        cause: &Cause,
        current: &Execution,
        state: ExecutionState,
    ) -> Result<Execution, Error> {
        self.resume_from(&[state], cause, current).await
    }

    async fn resume_from(
        &self,
        waits: &[ExecutionState],
        cause: &Cause,
        current: &Execution,
    ) -> Result<Execution, Error> {
        let mut race = Race::default();
        let mut before = current.clone();
        loop {
            if !waits.contains(&before.state) {
                return Ok(before);
            }
            let mut after = before.clone();
            let commit = Commit::new(self.tenant);
            let mut commit = self.add_resume(commit, cause, &mut after).await?;
            let entry = json!({ "name": "execution_resumed", "value": { "from": before.state } });
            let entry = (StreamEntryKind::Custom, entry);
            commit = self
                .add_told_change(commit, &before, &mut after, entry)
                .await?;
            match self.store.commit(commit).await {
                Ok(()) => return Ok(after),
                Err(error) => before = self.after(&mut race, error, before.id).await?,
            }
        }
    }

    /// After a change that was refused: the run as others have left it, to be changed again; or the
    /// error, if it was not a race or was lost too often.
    ///
    /// # Errors
    /// The error of the change, or of reading the run again.
    pub async fn after(
        &self,
        race: &mut Race,
        error: CommitError,
        id: ExecutionId,
    ) -> Result<Execution, Error> {
        if !error.is_raced() || race.lost >= TRIES {
            return Err(error.into());
        }
        race.lost += 1;
        tokio::time::sleep(crate::commit::conflict_delay(race.lost.min(4))).await;
        let Some(mut fresh) = self.get(id).await? else {
            return Err(error.into());
        };
        // Runs that this one calls write to its stream without touching its row.
        fresh.last_sequence = self.last_sequence(id).await?;
        Ok(fresh)
    }

    /// Ends the run that a deadline names, if its time is over. `false` if there was nothing to do.
    ///
    /// # Errors
    /// [`Error`] if the store does not answer or the run kept changing.
    pub async fn expire(&self, cause: &Cause, deadline: &Deadline) -> Result<bool, Error> {
        let now = self.store.now();
        let Some(current) = self.get(deadline.execution).await? else {
            return Ok(false);
        };
        if current.state.is_terminal() || current.deadline() > now {
            return Ok(false);
        }
        let failure = expiry(&current);
        let ended = self
            .end(cause, current, ExecutionState::Expired, failure)
            .await?;
        Ok(ended.state == ExecutionState::Expired)
    }

    /// The job of a run that is queued, for a run that is made.
    pub(super) fn run_job(execution: &Execution, lane: Lane) -> NewJob {
        let payload = json!({ "execution": execution.id });
        NewJob::new(execution.org, RUN_JOB, lane, payload)
            .id(execution.job)
            .max_attempts(MAX_RUN_ATTEMPTS)
            .correlation_id(&execution.correlation_id)
    }
}

/// Why a run whose time is over has ended, in words.
#[must_use]
pub fn expiry(execution: &Execution) -> Failure {
    match execution.state {
        ExecutionState::Queued => Failure::new(
            "queue_deadline_exceeded",
            "No worker could begin the execution in time.",
        ),
        ExecutionState::Running => {
            let seconds = execution.limits.max_seconds;
            let message = format!("The execution did not end within its {seconds} seconds.");
            Failure::new("deadline_exceeded", message)
        }
        state => {
            let message = format!(
                "The execution was {} and nothing came that it waited for.",
                state.name().replace('_', " ")
            );
            Failure::new("wait_deadline_exceeded", message)
        }
    }
}

impl CommitError {
    /// Whether others took a place, joined the line or were let in meanwhile.
    #[must_use]
    pub(crate) fn is_about_places(&self) -> bool {
        let nouns = [Place::NOUN, WaitingRun::NOUN, work::Job::NOUN];
        matches!(self, Self::Exists { noun } | Self::Changed { noun } if nouns.contains(noun))
    }

    /// Whether somebody else came first, so that reading again and trying again makes sense.
    #[must_use]
    pub fn is_raced(&self) -> bool {
        matches!(self, Self::Changed { .. } | Self::Exists { .. })
    }
}
