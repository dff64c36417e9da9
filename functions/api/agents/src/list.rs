use api::{Granted, Listing, PageQuery, Paging, Problem, Problems, Query, Read};
use axum::Json;
use axum::extract::State;
use domain::agent::Agent;

/// Agents of the organization, newest first.
#[utoipa::path(
    get, path = "/v1/agents", tag = "agents", operation_id = "list_agents",
    params(PageQuery),
    security(("bearer" = ["agents:read"])),
    responses((status = 200, body = Listing<Agent>), Problems),
)]
pub(crate) async fn list(
    State(app): State<api::App>,
    caller: Granted<Agent, Read>,
    Query(query): Query<PageQuery>,
) -> Result<Json<Listing<Agent>>, Problem> {
    let page = Paging::from(query).request(&app, &caller, "agents")?;
    let agents = app.store().agents(caller.tenant()).page(&page).await?;
    Ok(Json(Listing::new(&app, &caller, "agents", agents)))
}
