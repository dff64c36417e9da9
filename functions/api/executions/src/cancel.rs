use std::sync::Arc;

use api::{Owned, Problem, Problems, Versioned, Write};
use axum::extract::State;
use domain::execution::Execution;
use kernel::ExecutionId;
use store::{CommitError, Error};
use work::Control;

use crate::view::ExecutionView;

/// How often the race against the worker that drives the run is entered.
const ATTEMPTS: u32 = 10;

/// End an execution. Idempotent: one that has ended is answered as it ended. A call that is under
/// way outside may still take effect there; nothing of it is recorded.
#[utoipa::path(
    post, path = "/v1/executions/{execution_id}/cancel", tag = "executions",
    operation_id = "cancel_execution",
    params(("execution_id" = ExecutionId, Path)),
    security(("bearer" = ["executions:write"])),
    responses((status = 200, body = ExecutionView), Problems),
)]
pub(crate) async fn cancel(
    State(app): State<api::App>,
    execution: Owned<Execution, Write>,
) -> Result<Versioned<ExecutionView>, Problem> {
    let ended = end(&app, execution).await?;
    Ok(Versioned::new(
        ended.version,
        ExecutionView::new(&app, ended),
    ))
}

async fn end(app: &api::App, execution: Owned<Execution, Write>) -> Result<Execution, Problem> {
    let tenant = execution.caller.tenant();
    let executions = app.store().executions(tenant);
    let cause = execution.caller.cause();
    let mut current = execution.item;
    for _ in 0..ATTEMPTS {
        if current.state.is_terminal() {
            return Ok(current);
        }
        match executions.cancel(&cause, &current).await {
            Ok(ended) => {
                stop_worker(app, &ended).await;
                return Ok(ended);
            }
            Err(Error::Commit(CommitError::Changed { .. } | CommitError::Exists { .. })) => {
                current = executions
                    .get(current.id)
                    .await?
                    .ok_or_else(|| Problem::not_found("execution"))?;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Err(Problem::unavailable("the execution kept changing while it was cancelled").retry_after(1))
}

/// Tells the worker, so that it stops now and not at its next commit, which would be refused.
async fn stop_worker(app: &api::App, execution: &Execution) {
    let store = app.store();
    let control = Control::new(Arc::new(store.clone()), store.bell(), store.clock());
    if let Err(error) = control.cancel(execution.org, execution.job).await {
        tracing::warn!(execution = %execution.id, %error, "the job of a cancelled run goes on");
    }
}
