use api::{IfMatch, Owned, Problem, Problems, Write};
use axum::extract::State;
use domain::agent::Agent;
use http::StatusCode;
use kernel::AgentId;

/// Delete an agent. Executions that run go on; none can be started.
#[utoipa::path(
    delete, path = "/v1/agents/{agent_id}", tag = "agents", operation_id = "delete_agent",
    params(("agent_id" = AgentId, Path)),
    security(("bearer" = ["agents:write"])),
    responses((status = 204), Problems),
)]
pub(crate) async fn delete(
    State(app): State<api::App>,
    agent: Owned<Agent, Write>,
    if_match: IfMatch,
) -> Result<StatusCode, Problem> {
    if_match.check(agent.version, "agent")?;
    let cause = agent.caller.cause();
    app.store()
        .agents(agent.caller.tenant())
        .delete(&cause, &agent.item)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}
