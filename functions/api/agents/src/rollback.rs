use api::{IfMatch, Json, Owned, Problem, Problems, Versioned, Write};
use axum::extract::State;
use domain::agent::Agent;
use garde::Validate;
use kernel::AgentId;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::spec;

/// Which version to go back to.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rollback {
    #[garde(range(min = 1))]
    #[schema(minimum = 1)]
    version: u64,
}

/// Make an earlier version the newest one. What it names must still exist.
#[utoipa::path(
    post, path = "/v1/agents/{agent_id}/rollback", tag = "agents", operation_id = "rollback_agent",
    params(("agent_id" = AgentId, Path)),
    request_body = Rollback,
    security(("bearer" = ["agents:write"])),
    responses((status = 200, body = Agent), Problems),
)]
pub(crate) async fn rollback(
    State(app): State<api::App>,
    agent: Owned<Agent, Write>,
    if_match: IfMatch,
    Json(body): Json<Rollback>,
) -> Result<Versioned<Agent>, Problem> {
    if_match.check(agent.version, "agent")?;
    let tenant = agent.caller.tenant();
    let agents = app.store().agents(tenant);
    let earlier = agents
        .version(agent.id, body.version)
        .await?
        .ok_or_else(|| Problem::invalid_field("/version", "is not a version of this agent"))?;
    spec::check(app.store(), tenant, &earlier.spec).await?;
    let cause = agent.caller.cause();
    let updated = agents.update(&cause, &agent.item, earlier.spec).await?;
    Ok(Versioned::new(updated.version, updated))
}
