use api::{Granted, Listing, Paging, Problem, Problems, Query, Read};
use axum::Json;
use axum::extract::State;
use domain::execution::{Execution, ExecutionState};
use garde::Validate;
use kernel::AgentId;
use serde::Deserialize;
use utoipa::IntoParams;

/// Which executions to list.
#[derive(Debug, Deserialize, Validate, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListQuery {
    /// Only those of this agent.
    #[garde(skip)]
    agent_id: Option<AgentId>,
    /// Only those in this state. A page may then have fewer items than its limit and still a
    /// `next_cursor`.
    #[garde(skip)]
    state: Option<ExecutionState>,
    /// The most items of a page, 1 to 100.
    #[garde(custom(api::limit_in_range))]
    #[param(minimum = 1, maximum = 100, default = 25)]
    limit: Option<String>,
    /// The `next_cursor` of the page before.
    #[garde(length(max = api::MAX_CURSOR_CHARS))]
    cursor: Option<String>,
}

/// Executions of the organization, newest first.
#[utoipa::path(
    get, path = "/v1/executions", tag = "executions", operation_id = "list_executions",
    params(ListQuery),
    security(("bearer" = ["executions:read"])),
    responses((status = 200, body = Listing<Execution>), Problems),
)]
pub(crate) async fn list(
    State(app): State<api::App>,
    caller: Granted<Execution, Read>,
    Query(query): Query<ListQuery>,
) -> Result<Json<Listing<Execution>>, Problem> {
    let of = query
        .agent_id
        .map_or_else(String::new, |agent| format!("/of/{agent}"));
    let in_state = query.state.map_or("", ExecutionState::name);
    let list = format!("executions{of}/{in_state}");
    let limit = query.limit.as_deref().and_then(|limit| limit.parse().ok());
    let page = Paging::new(limit, query.cursor).request(&app, &caller, &list)?;
    let executions = app
        .store()
        .executions(caller.tenant())
        .page(caller.viewer(), query.agent_id, query.state, &page)
        .await?;
    Ok(Json(Listing::new(&app, &caller, &list, executions)))
}
