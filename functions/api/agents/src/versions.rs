use api::{Listing, Owned, PageQuery, Paging, Problem, Problems, Query, Read};
use axum::Json;
use axum::extract::{Path, State};
use domain::agent::{Agent, AgentVersion};
use kernel::AgentId;

/// Versions of an agent, newest first.
#[utoipa::path(
    get, path = "/v1/agents/{agent_id}/versions", tag = "agents",
    operation_id = "list_agent_versions",
    params(("agent_id" = AgentId, Path), PageQuery),
    security(("bearer" = ["agents:read"])),
    responses((status = 200, body = Listing<AgentVersion>), Problems),
)]
pub(crate) async fn list_versions(
    State(app): State<api::App>,
    agent: Owned<Agent, Read>,
    Query(query): Query<PageQuery>,
) -> Result<Json<Listing<AgentVersion>>, Problem> {
    let list = format!("agents/{}/versions", agent.id);
    let page = Paging::from(query).request(&app, &agent.caller, &list)?;
    let versions = app
        .store()
        .agents(agent.caller.tenant())
        .versions(agent.id, &page)
        .await?;
    Ok(Json(Listing::new(&app, &agent.caller, &list, versions)))
}

/// An agent as it was in one version.
#[utoipa::path(
    get, path = "/v1/agents/{agent_id}/versions/{version}", tag = "agents",
    operation_id = "get_agent_version",
    params(("agent_id" = AgentId, Path), ("version" = u64, Path)),
    security(("bearer" = ["agents:read"])),
    responses((status = 200, body = AgentVersion), Problems),
)]
pub(crate) async fn get_version(
    State(app): State<api::App>,
    agent: Owned<Agent, Read>,
    path: Path<(String, String)>,
) -> Result<Json<AgentVersion>, Problem> {
    let not_found = || Problem::not_found("agent version");
    let (_, version) = path.0;
    let number = version.parse().map_err(|_| not_found())?;
    let agents = app.store().agents(agent.caller.tenant());
    agents
        .version(agent.id, number)
        .await?
        .map(Json)
        .ok_or_else(not_found)
}
