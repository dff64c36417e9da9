use api::{Listing, Owned, PageQuery, Paging, Problem, Problems, Query, Read};
use axum::Json;
use axum::extract::State;
use domain::execution::{Effect, Execution};
use kernel::ExecutionId;

/// Every model and tool call of an execution, in order, with what was asked and what came back.
#[utoipa::path(
    get, path = "/v1/executions/{execution_id}/trace", tag = "executions",
    operation_id = "get_execution_trace",
    params(("execution_id" = ExecutionId, Path), PageQuery),
    security(("bearer" = ["executions:read"])),
    responses((status = 200, body = Listing<Effect>), Problems),
)]
pub(crate) async fn trace(
    State(app): State<api::App>,
    execution: Owned<Execution, Read>,
    Query(query): Query<PageQuery>,
) -> Result<Json<Listing<Effect>>, Problem> {
    let list = format!("executions/{}/trace", execution.id);
    let page = Paging::from(query).request(&app, &execution.caller, &list)?;
    let executions = app.store().executions(execution.caller.tenant());
    let effects = executions.journal_page(execution.id, &page).await?;
    Ok(Json(Listing::new(&app, &execution.caller, &list, effects)))
}
