use api::{IfMatch, Json, Owned, Problem, Problems, Versioned, Write};
use axum::extract::State;
use domain::memory::{Importance, MAX_MEMORY_CHARS, Memory, MemoryKind};
use garde::Validate;
use kernel::{AgentId, MemoryId};
use retrieval::memories::embed_memory;
use serde::Deserialize;
use store::memories::MemoryChange;
use utoipa::ToSchema;

/// Changes to a memory. What is absent stays as it is.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MemoryChanges {
    #[garde(length(chars, max = MAX_MEMORY_CHARS), inner(custom(super::text)))]
    #[schema(min_length = 1, max_length = 2_000)]
    text: Option<String>,
    #[garde(skip)]
    kind: Option<MemoryKind>,
    #[garde(skip)]
    importance: Option<Importance>,
}

/// Change what an agent remembers.
#[utoipa::path(
    patch, path = "/v1/agents/{agent_id}/memory/{memory_id}", tag = "agents",
    operation_id = "update_agent_memory",
    params(
        ("agent_id" = AgentId, Path),
        ("memory_id" = MemoryId, Path),
        ("If-Match" = Option<String>, Header, description = "The ETag that the change is based on."),
    ),
    request_body = MemoryChanges,
    security(("bearer" = ["agents:write"])),
    responses((status = 200, body = Memory), Problems),
)]
pub(crate) async fn update(
    State(app): State<api::App>,
    memory: Owned<Memory, Write>,
    if_match: IfMatch,
    Json(changes): Json<MemoryChanges>,
) -> Result<Versioned<Memory>, Problem> {
    if_match.check(memory.version, "memory")?;
    let text = changes.text.unwrap_or_else(|| memory.text.clone());
    let change = MemoryChange {
        kind: changes.kind.unwrap_or(memory.kind),
        importance: changes.importance.unwrap_or(memory.importance),
        embedding: embed_memory(&text),
        text,
    };
    let tenant = memory.caller.tenant();
    let updated = app
        .store()
        .memories(tenant)
        .update(&memory.caller.cause(), &memory.item, change)
        .await?;
    let updated = super::shown(app.store(), tenant, updated).await?;
    Ok(Versioned::new(updated.version, updated))
}
