use api::{Json, Owned, Problem, Problems, Versioned, Write, created};
use axum::extract::State;
use axum::response::Response;
use domain::memory::Memory;
use garde::Validate;
use kernel::{AgentId, MemoryId};
use retrieval::memories::embed_memory;
use serde::Deserialize;
use utoipa::ToSchema;

/// Whom to tell.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Share {
    /// Another agent of the organization.
    #[garde(skip)]
    agent_id: AgentId,
}

/// Copy a memory to another agent of the organization. The copy is that agent's own, and the only
/// way from one agent's memory to another's.
#[utoipa::path(
    post, path = "/v1/agents/{agent_id}/memory/{memory_id}/share", tag = "agents",
    operation_id = "share_agent_memory",
    params(("agent_id" = AgentId, Path), ("memory_id" = MemoryId, Path)),
    request_body = Share,
    security(("bearer" = ["agents:write"])),
    responses((status = 201, body = Memory, description = "The copy."), Problems),
)]
pub(crate) async fn share(
    State(app): State<api::App>,
    memory: Owned<Memory, Write>,
    Json(body): Json<Share>,
) -> Result<Response, Problem> {
    let tenant = memory.caller.tenant();
    let to = body.agent_id;
    let refused = |what: &str| Problem::invalid_field("/agent_id", what);
    if to == memory.agent {
        return Err(refused("is the agent that remembers this"));
    }
    if app.store().agents(tenant).get(to).await?.is_none() {
        return Err(refused("is not an agent of this organization"));
    }
    let cause = memory.caller.cause();
    let embedding = embed_memory(&memory.text);
    let copy = app
        .store()
        .memories(tenant)
        .share(&cause, &memory.item, to, embedding)
        .await?;
    let location = format!("/v1/agents/{}/memory/{}", copy.agent, copy.id);
    Ok(created(&location, Versioned::new(copy.version, copy)))
}
