//! How a run ends without an answer.

use domain::event::EventKind;
use domain::execution::{ExecutionState, Failure, StreamEntryKind};
use domain::task::TaskStatus;
use kernel::ExecutionId;
use serde_json::json;
use store::executions::OfOrg;
use store::{Commit, Tenant};
use work::Attempt;

use crate::AgentRunner;
use crate::run::{Stop, cause_of};

/// Ends a run as failed, from whatever stands of it. Needs nothing of the run but its row, so that
/// one that cannot be loaded can still end.
pub(crate) async fn fail(
    runner: &AgentRunner,
    attempt: &Attempt,
    tenant: Tenant,
    id: ExecutionId,
    failure: Failure,
) -> Result<(), Stop> {
    let store = &runner.store;
    let executions = store.executions(tenant);
    let Some(mut execution) = executions.get(id).await? else {
        return Ok(());
    };
    let now = store.now();
    let version = execution.version;
    if execution.state.is_terminal() {
        return Ok(());
    }
    execution
        .transition(ExecutionState::Failed, now)
        .map_err(|_| Stop::Refused)?;
    tracing::warn!(execution = %id, code = failure.code, "an execution failed");
    let entry = execution.next_stream_entry(
        StreamEntryKind::RunError,
        json!({ "code": failure.code, "message": failure.message }),
        now,
    );
    let data = json!({
        "agent": execution.agent,
        "task": execution.task,
        "code": failure.code,
    });
    execution.failure = Some(failure);
    execution.version = version + 1;
    execution.updated_at = now;
    let cause = cause_of(&execution);
    let event = store.event(tenant, &cause, EventKind::ExecutionFailed, id, data);
    let commit = Commit::new(tenant)
        .fenced_by(attempt.fence)
        .replace(&execution, version)
        .create(&OfOrg {
            org: execution.org,
            row: entry,
        })
        .event(event);
    let commit = executions
        .end_task(commit, &cause, &execution, TaskStatus::Blocked, None)
        .await?;
    Ok(store.commit(commit).await?)
}
