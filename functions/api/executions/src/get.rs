use api::{Owned, Problem, Problems, Query, Read, Versioned};
use axum::extract::State;
use domain::execution::Execution;
use kernel::ExecutionId;

use crate::create::WaitQuery;
use crate::view::ExecutionView;
use crate::wait;

/// An execution as it stands, or as it ends within the time that is waited for it.
#[utoipa::path(
    get, path = "/v1/executions/{execution_id}", tag = "executions",
    operation_id = "get_execution",
    params(("execution_id" = ExecutionId, Path), WaitQuery),
    security(("bearer" = ["executions:read"])),
    responses((status = 200, body = ExecutionView), Problems),
)]
pub(crate) async fn get(
    State(app): State<api::App>,
    execution: Owned<Execution, Read>,
    Query(query): Query<WaitQuery>,
) -> Result<Versioned<ExecutionView>, Problem> {
    let caller = &execution.caller;
    let execution = wait::for_news(&app, caller, execution.item, query.wait.as_deref()).await?;
    let version = execution.version;
    Ok(Versioned::new(version, ExecutionView::new(&app, execution)))
}
