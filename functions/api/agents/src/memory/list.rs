use api::{Listing, Owned, Paging, Problem, Problems, Query, Read};
use axum::Json;
use axum::extract::State;
use domain::agent::Agent;
use domain::memory::{Memory, MemoryKind};
use garde::Validate;
use kernel::AgentId;
use serde::Deserialize;
use utoipa::IntoParams;

/// Which memories to list.
#[derive(Debug, Deserialize, Validate, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct MemoryQuery {
    /// Only memories of this kind.
    #[garde(skip)]
    kind: Option<MemoryKind>,
    /// The most items of a page, 1 to 100.
    #[garde(custom(api::limit_in_range))]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 100, default = 25)]
    limit: Option<String>,
    /// The `next_cursor` of the page before.
    #[garde(length(max = api::MAX_CURSOR_CHARS))]
    cursor: Option<String>,
}

/// What an agent remembers, newest first.
#[utoipa::path(
    get, path = "/v1/agents/{agent_id}/memory", tag = "agents",
    operation_id = "list_agent_memories",
    params(("agent_id" = AgentId, Path), MemoryQuery),
    security(("bearer" = ["agents:read"])),
    responses((status = 200, body = Listing<Memory>), Problems),
)]
pub(crate) async fn list(
    State(app): State<api::App>,
    agent: Owned<Agent, Read>,
    Query(query): Query<MemoryQuery>,
) -> Result<Json<Listing<Memory>>, Problem> {
    let list = match query.kind {
        Some(kind) => format!("agents/{}/memory/{}", agent.id, kind.name()),
        None => format!("agents/{}/memory", agent.id),
    };
    let limit = query.limit.as_deref().and_then(|limit| limit.parse().ok());
    let page = Paging::new(limit, query.cursor).request(&app, &agent.caller, &list)?;
    let memories = app.store().memories(agent.caller.tenant());
    let mut page = memories.page(agent.id, query.kind, &page).await?;
    page.items = memories.with_recalls(agent.id, page.items).await?;
    Ok(Json(Listing::new(&app, &agent.caller, &list, page)))
}
