use api::{Owned, Problems, Read, Versioned};
use domain::agent::Agent;
use kernel::AgentId;

/// An agent as it stands.
#[utoipa::path(
    get, path = "/v1/agents/{agent_id}", tag = "agents", operation_id = "get_agent",
    params(("agent_id" = AgentId, Path)),
    security(("bearer" = ["agents:read"])),
    responses((status = 200, body = Agent), Problems),
)]
pub(crate) async fn get(agent: Owned<Agent, Read>) -> Versioned<Agent> {
    Versioned::new(agent.version, agent.item)
}
