//! Waiting, and going on afterwards. A run that waits is a row and a parked job: nothing runs.

use domain::approval::{Approval, ApprovalState, OnExpiry};
use domain::event::EventKind;
use domain::execution::{Execution, ExecutionState, Failure, StreamEntryKind, Waiting};
use kernel::Timestamp;
use serde_json::json;
use std::time::Duration;
use store::executions::expiry;
use store::{Commit, Tenant};
use work::Attempt;

use crate::AgentRunner;
use crate::record::Draft;
use crate::run::{Run, cause_of};
use crate::stop::Stop;

/// How long a run that stands in line waits before it looks for itself. Whoever frees a place wakes
/// it: this is for the case that nobody could.
const IN_LINE: Duration = Duration::from_secs(20 * 60);
const TRIES: u32 = 12;

impl Run<'_> {
    /// Parks the run in a waiting state, giving up its place. Gives the end of the wait.
    pub(crate) async fn begin_wait(
        &mut self,
        state: ExecutionState,
        waiting: Waiting,
        more: impl Fn(&mut Draft),
    ) -> Result<Timestamp, Stop> {
        let data = json!({
            "agent": self.execution.agent, "task": self.execution.task, "reason": waiting.reason,
        });
        let event = self.event(state.event(), data);
        let executions = self.runner.store.executions(self.tenant);
        let mut attempt = 0;
        loop {
            // Who comes next in line is read anew for each try.
            let leaving = executions
                .again(attempt)
                .add_leave(self.commit(), &self.execution)
                .await?;
            let mut draft = self.draft(leaving);
            let (from, now) = (draft.execution.state, draft.now);
            draft
                .execution
                .transition(state, now)
                .map_err(|_| Stop::Refused)?;
            draft.execution.waiting = Some(waiting.clone());
            let value = json!({ "state": state, "from": from, "reason": waiting.reason });
            draft.tell_custom("execution_waiting", value);
            draft.also(|commit| commit.event(event.clone()));
            more(&mut draft);
            match self.commit_draft(draft).await {
                Ok(()) => return Ok(self.execution.deadline()),
                Err(error) if error.is_raced() && attempt < TRIES => {
                    attempt += 1;
                    let known = self.execution.version;
                    self.reload().await?;
                    // Perhaps by an answer to what was about to be waited for: seen from the start.
                    if self.execution.version != known && !waiting.approvals.is_empty() {
                        return Err(Stop::Yield);
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// What a worker does with a run that does not run yet: nothing, until what it waits for is there.
pub(crate) async fn come_back(
    runner: &AgentRunner,
    attempt: &Attempt,
    tenant: Tenant,
    execution: Execution,
) -> Result<Execution, Stop> {
    let now = runner.store.now();
    if execution.deadline() <= now && execution.state.is_waiting() {
        return Err(Stop::Expire(expiry(&execution)));
    }
    let executions = runner.store.executions(tenant);
    match execution.state {
        ExecutionState::OverBudget => {
            let mut after = execution.clone();
            let commit = requeue(runner, attempt, tenant, &mut after)?;
            let commit = executions.add_change(commit, &execution, &mut after);
            runner.store.commit(commit).await?;
            Ok(after)
        }
        ExecutionState::AwaitingInput => answered(runner, attempt, tenant, execution).await,
        state if state.is_waiting() => Err(Stop::Wait(execution.deadline())),
        _ => Ok(execution),
    }
}

/// Applies what the policies say to approvals that nobody answered in time.
async fn answered(
    runner: &AgentRunner,
    attempt: &Attempt,
    tenant: Tenant,
    execution: Execution,
) -> Result<Execution, Stop> {
    let now = runner.store.now();
    let store = &runner.store;
    let awaited = execution
        .waiting
        .as_ref()
        .map(|waiting| waiting.approvals.clone())
        .unwrap_or_default();
    let approvals = store.approvals(tenant).get_many(&awaited).await?;
    let over: Vec<&Approval> = approvals
        .iter()
        .filter(|approval| approval.state == ApprovalState::Pending && approval.expires_at <= now)
        .collect();
    let next = approvals
        .iter()
        .filter(|approval| approval.state == ApprovalState::Pending && approval.expires_at > now)
        .map(|approval| approval.expires_at)
        .min();
    if over.is_empty()
        && let Some(next) = next
    {
        return Err(Stop::Wait(next.min(execution.deadline())));
    }
    if over
        .iter()
        .any(|approval| approval.policy.on_expiry == OnExpiry::Expire)
    {
        return Err(Stop::Expire(Failure::new(
            "approval_expired",
            "Nobody answered in time what the execution had asked.",
        )));
    }
    let cause = cause_of(&execution);
    let executions = store.executions(tenant);
    let mut after = execution.clone();
    let mut commit = match next {
        Some(_) => Commit::new(tenant).fenced_by(attempt.fence),
        None => requeue(runner, attempt, tenant, &mut after)?,
    };
    for approval in &over {
        let closed = approval.expired(now);
        commit = commit.close_approval(store, &cause, &closed, approval.version);
    }
    // Where the run goes on it waits for nothing any more.
    if let Some(waiting) = after.waiting.as_mut() {
        waiting.approvals = approvals
            .iter()
            .filter(|approval| {
                approval.state == ApprovalState::Pending && approval.expires_at > now
            })
            .map(|approval| approval.id)
            .collect();
    }
    let ids: Vec<_> = over.iter().map(|approval| approval.id).collect();
    let entry = json!({ "name": "approval_expired", "value": { "approval_ids": ids } });
    let entry = (StreamEntryKind::Custom, entry);
    let commit = executions
        .add_told_change(commit, &execution, &mut after, entry)
        .await?;
    store.commit(commit).await?;
    match next {
        Some(next) => Err(Stop::Wait(next.min(after.deadline()))),
        None => Ok(after),
    }
}

/// Queues a waiting run again, for this very attempt to go on with.
fn requeue(
    runner: &AgentRunner,
    attempt: &Attempt,
    tenant: Tenant,
    execution: &mut Execution,
) -> Result<Commit, Stop> {
    let from = execution.state;
    execution
        .transition(ExecutionState::Queued, runner.store.now())
        .map_err(|_| Stop::Refused)?;
    let data = json!({ "agent": execution.agent, "from": from });
    let kind = EventKind::ExecutionResumed;
    let cause = cause_of(execution);
    let event = runner.store.event(tenant, &cause, kind, execution.id, data);
    Ok(Commit::new(tenant).fenced_by(attempt.fence).event(event))
}

/// Sees to it that a queued run may run: that its turn has come and that it has a place.
pub(crate) async fn enter(
    runner: &AgentRunner,
    attempt: &Attempt,
    tenant: Tenant,
    execution: &Execution,
) -> Result<(), Stop> {
    let store = &runner.store;
    let now = store.now();
    if execution.deadline() <= now {
        return Err(Stop::Expire(expiry(execution)));
    }
    let conversations = store.conversations(tenant);
    let executions = store.executions(tenant);
    let (its_turn, (places, entered)) = tokio::try_join!(
        conversations.is_open(execution),
        executions.add_enter(Commit::new(tenant), execution),
    )?;
    if !its_turn {
        return Err(Stop::Wait(execution.deadline()));
    }
    if entered && places.is_empty() {
        return Ok(());
    }
    // Whoever pauses it meanwhile takes it out of line, and must find it there.
    let commit = places
        .fenced_by(attempt.fence)
        .unless_changed(execution, execution.version);
    store.commit(commit).await?;
    if entered {
        return Ok(());
    }
    Err(Stop::Wait(execution.deadline().min(now.plus(IN_LINE))))
}
