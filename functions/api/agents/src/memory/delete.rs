use api::{IfMatch, Owned, Problem, Problems, Write};
use axum::extract::State;
use domain::memory::Memory;
use http::StatusCode;
use kernel::{AgentId, MemoryId};

/// Have an agent forget something.
#[utoipa::path(
    delete, path = "/v1/agents/{agent_id}/memory/{memory_id}", tag = "agents",
    operation_id = "delete_agent_memory",
    params(("agent_id" = AgentId, Path), ("memory_id" = MemoryId, Path)),
    security(("bearer" = ["agents:write"])),
    responses((status = 204), Problems),
)]
pub(crate) async fn delete(
    State(app): State<api::App>,
    memory: Owned<Memory, Write>,
    if_match: IfMatch,
) -> Result<StatusCode, Problem> {
    if_match.check(memory.version, "memory")?;
    let cause = memory.caller.cause();
    app.store()
        .memories(memory.caller.tenant())
        .delete(&cause, &memory.item)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}
