use api::{Owned, Problem, Problems, Versioned, Write};
use axum::extract::State;
use domain::execution::Execution;
use kernel::ExecutionId;

use crate::view::{ExecutionView, changed};

/// Stop an execution until it is resumed. What is under way is finished and kept; nothing new is
/// begun. Idempotent: one that is paused, or has ended, is answered as it is.
#[utoipa::path(
    post, path = "/v1/executions/{execution_id}/pause", tag = "executions",
    operation_id = "pause_execution",
    params(("execution_id" = ExecutionId, Path)),
    security(("bearer" = ["executions:write"])),
    responses((status = 200, body = ExecutionView), Problems),
)]
pub(crate) async fn pause(
    State(app): State<api::App>,
    execution: Owned<Execution, Write>,
) -> Result<Versioned<ExecutionView>, Problem> {
    let executions = app.store().executions(execution.caller.tenant());
    let cause = execution.caller.cause();
    changed(&app, executions.pause(&cause, &execution.item).await)
}
