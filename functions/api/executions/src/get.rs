use api::{Owned, Problems, Read, Versioned};
use axum::extract::State;
use domain::execution::Execution;
use kernel::ExecutionId;

use crate::view::ExecutionView;

/// An execution as it stands.
#[utoipa::path(
    get, path = "/v1/executions/{execution_id}", tag = "executions",
    operation_id = "get_execution",
    params(("execution_id" = ExecutionId, Path)),
    security(("bearer" = ["executions:read"])),
    responses((status = 200, body = ExecutionView), Problems),
)]
pub(crate) async fn get(
    State(app): State<api::App>,
    execution: Owned<Execution, Read>,
) -> Versioned<ExecutionView> {
    Versioned::new(execution.version, ExecutionView::new(&app, execution.item))
}
