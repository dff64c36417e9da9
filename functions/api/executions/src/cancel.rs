use api::{Owned, Problem, Problems, Versioned, Write};
use axum::extract::State;
use domain::execution::Execution;
use kernel::ExecutionId;

use crate::view::{ExecutionView, changed};

/// End an execution, and those that it called. Idempotent: one that has ended is answered as it
/// ended. A call that is under way outside may still take effect there, and what it cost is
/// charged.
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
    let executions = app.store().executions(execution.caller.tenant());
    let cause = execution.caller.cause();
    changed(&app, executions.cancel(&cause, &execution.item).await)
}
