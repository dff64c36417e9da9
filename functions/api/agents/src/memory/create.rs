use api::{Json, Owned, Problem, Problems, Versioned, Write, created};
use axum::extract::State;
use axum::response::Response;
use domain::agent::Agent;
use domain::memory::{Importance, MAX_MEMORY_CHARS, Memory, MemoryKind, MemorySource};
use garde::Validate;
use kernel::AgentId;
use retrieval::memories::embed_memory;
use serde::Deserialize;
use store::memories::MemoryDraft;
use utoipa::ToSchema;

/// Something for an agent to remember.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewMemory {
    /// What it is to remember, in a sentence or two.
    #[garde(length(chars, max = MAX_MEMORY_CHARS), custom(super::text))]
    #[schema(
        min_length = 1,
        max_length = 2_000,
        example = "Gearbox oil is changed every 500 hours."
    )]
    text: String,
    #[garde(skip)]
    #[serde(default)]
    #[schema(default = "fact")]
    kind: MemoryKind,
    #[garde(skip)]
    #[serde(default)]
    #[schema(default = 5)]
    importance: Importance,
}

/// Have an agent remember something.
#[utoipa::path(
    post, path = "/v1/agents/{agent_id}/memory", tag = "agents",
    operation_id = "create_agent_memory",
    params(("agent_id" = AgentId, Path)),
    request_body = NewMemory,
    security(("bearer" = ["agents:write"])),
    responses((status = 201, body = Memory), Problems),
)]
pub(crate) async fn create(
    State(app): State<api::App>,
    agent: Owned<Agent, Write>,
    Json(body): Json<NewMemory>,
) -> Result<Response, Problem> {
    let cause = agent.caller.cause();
    let draft = MemoryDraft {
        agent: agent.id,
        kind: body.kind,
        importance: body.importance,
        source: MemorySource::Person { by: cause.actor },
        embedding: embed_memory(&body.text),
        text: body.text,
    };
    let memory = app
        .store()
        .memories(agent.caller.tenant())
        .create(&cause, draft)
        .await?;
    let location = format!("/v1/agents/{}/memory/{}", memory.agent, memory.id);
    Ok(created(&location, Versioned::new(memory.version, memory)))
}
