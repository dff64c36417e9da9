use api::{Owned, Problem, Problems, Versioned, Write};
use axum::extract::State;
use domain::execution::Execution;
use kernel::ExecutionId;

use crate::view::{ExecutionView, changed};

/// Let an execution go on that was paused, or that waits for credits or a credential. One that was
/// paused while people were asked waits for their answers again. Idempotent: one that does not wait
/// so is answered as it is.
#[utoipa::path(
    post, path = "/v1/executions/{execution_id}/resume", tag = "executions",
    operation_id = "resume_execution",
    params(("execution_id" = ExecutionId, Path)),
    security(("bearer" = ["executions:write"])),
    responses((status = 200, body = ExecutionView), Problems),
)]
pub(crate) async fn resume(
    State(app): State<api::App>,
    execution: Owned<Execution, Write>,
) -> Result<Versioned<ExecutionView>, Problem> {
    let executions = app.store().executions(execution.caller.tenant());
    let cause = execution.caller.cause();
    changed(&app, executions.resume(&cause, &execution.item).await)
}
