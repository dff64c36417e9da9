use api::{Owned, Problem, Problems, Read, Versioned};
use axum::extract::State;
use domain::memory::Memory;
use kernel::{AgentId, MemoryId};

/// Something that an agent remembers.
#[utoipa::path(
    get, path = "/v1/agents/{agent_id}/memory/{memory_id}", tag = "agents",
    operation_id = "get_agent_memory",
    params(("agent_id" = AgentId, Path), ("memory_id" = MemoryId, Path)),
    security(("bearer" = ["agents:read"])),
    responses((status = 200, body = Memory), Problems),
)]
pub(crate) async fn get(
    State(app): State<api::App>,
    memory: Owned<Memory, Read>,
) -> Result<Versioned<Memory>, Problem> {
    let tenant = memory.caller.tenant();
    let memory = super::shown(app.store(), tenant, memory.item).await?;
    Ok(Versioned::new(memory.version, memory))
}
