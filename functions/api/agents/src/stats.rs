use api::{Owned, Problem, Problems, Read};
use axum::Json;
use axum::extract::State;
use domain::agent::{Agent, AgentStats};
use kernel::AgentId;

/// What an agent has done so far. Follows the event log; `as_of` says how fresh it is.
#[utoipa::path(
    get, path = "/v1/agents/{agent_id}/stats", tag = "agents", operation_id = "get_agent_stats",
    params(("agent_id" = AgentId, Path)),
    security(("bearer" = ["agents:read"])),
    responses((status = 200, body = AgentStats), Problems),
)]
pub(crate) async fn stats(
    State(app): State<api::App>,
    agent: Owned<Agent, Read>,
) -> Result<Json<AgentStats>, Problem> {
    let statistics = app.store().statistics(agent.caller.tenant());
    Ok(Json(statistics.of_agent(agent.id).await?))
}
