use api::{Owned, Problem, Problems, Query, Read};
use axum::Json;
use axum::extract::State;
use domain::agent::Agent;
use domain::memory::recall::{MAX_TOLD, RecalledMemory};
use garde::Validate;
use kernel::AgentId;
use retrieval::MAX_QUERY_CHARS;
use retrieval::memories::recall as recall_memories;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// What the agent is asked.
#[derive(Debug, Deserialize, Validate, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct RecallQuery {
    /// What an execution would be asked. Without it: what the agent is told whatever it is asked.
    #[garde(length(chars, max = MAX_QUERY_CHARS))]
    #[param(max_length = 2_000)]
    query: Option<String>,
    /// The most memories to show, 1 to 50. An execution is told of 8.
    #[garde(custom(few))]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 50, default = 8)]
    limit: Option<String>,
}

fn few(limit: &Option<String>, (): &()) -> garde::Result {
    match limit.as_deref().map(str::parse::<u32>) {
        None | Some(Ok(1..=50)) => Ok(()),
        Some(_) => Err(garde::Error::new("must be a whole number from 1 to 50")),
    }
}

/// What an agent would be told of.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Recall {
    /// The best first, each with its scores and the reason why it is told.
    memories: Vec<RecalledMemory>,
    /// The embedding model that compared them.
    #[schema(example = "static-en-256@1")]
    model: String,
}

/// Show what an agent would be told of its memories, were it asked this.
#[utoipa::path(
    get, path = "/v1/agents/{agent_id}/memory/recall", tag = "agents",
    operation_id = "recall_agent_memories",
    params(("agent_id" = AgentId, Path), RecallQuery),
    security(("bearer" = ["agents:read"])),
    responses((status = 200, body = Recall), Problems),
)]
pub(crate) async fn recall(
    State(app): State<api::App>,
    agent: Owned<Agent, Read>,
    Query(query): Query<RecallQuery>,
) -> Result<Json<Recall>, Problem> {
    let limit = query.limit.and_then(|limit| limit.parse().ok());
    let recalled = recall_memories(
        app.store(),
        agent.caller.tenant(),
        agent.id,
        query.query.as_deref().unwrap_or_default(),
        limit.unwrap_or(MAX_TOLD),
    )
    .await?;
    Ok(Json(Recall {
        memories: recalled.memories,
        model: retrieval::memories::embedding_model(),
    }))
}
