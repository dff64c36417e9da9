use api::{Listing, Owned, PageQuery, Paging, Problem, Problems, Query, Read, Write};
use axum::Json;
use axum::extract::State;
use domain::agent::Agent;
use domain::memory::Memory;
use http::StatusCode;
use kernel::{AgentId, MemoryId};

/// What an agent remembers, newest first.
#[utoipa::path(
    get, path = "/v1/agents/{agent_id}/memories", tag = "agents",
    operation_id = "list_agent_memories",
    params(("agent_id" = AgentId, Path), PageQuery),
    security(("bearer" = ["agents:read"])),
    responses((status = 200, body = Listing<Memory>), Problems),
)]
pub(crate) async fn list_memories(
    State(app): State<api::App>,
    agent: Owned<Agent, Read>,
    Query(query): Query<PageQuery>,
) -> Result<Json<Listing<Memory>>, Problem> {
    let list = format!("agents/{}/memories", agent.id);
    let page = Paging::from(query).request(&app, &agent.caller, &list)?;
    let memories = app
        .store()
        .memories(agent.caller.tenant())
        .page(agent.id, &page)
        .await?;
    Ok(Json(Listing::new(&app, &agent.caller, &list, memories)))
}

/// Have an agent forget something.
#[utoipa::path(
    delete, path = "/v1/agents/{agent_id}/memories/{memory_id}", tag = "agents",
    operation_id = "delete_agent_memory",
    params(("agent_id" = AgentId, Path), ("memory_id" = MemoryId, Path)),
    security(("bearer" = ["agents:write"])),
    responses((status = 204), Problems),
)]
pub(crate) async fn delete_memory(
    State(app): State<api::App>,
    memory: Owned<Memory, Write>,
) -> Result<StatusCode, Problem> {
    let cause = memory.caller.cause();
    app.store()
        .memories(memory.caller.tenant())
        .delete(&cause, &memory.item)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}
