use api::{Granted, Json, Owned, Problem, Problems, Query, Read, Write};
use axum::extract::State;
use axum::response::Response;
use domain::agent::Agent;
use domain::conversation::OnBusy;
use domain::execution::{Execution, MAX_INPUT_CHARS};
use garde::Validate;
use kernel::{AgentId, ConversationId};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::create::{WaitQuery, answer, not_blank};
use crate::view::ExecutionView;
use crate::{start, wait};

/// What an agent is asked.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewExecutionOfAgent {
    /// What it is asked.
    #[garde(length(chars, min = 1, max = MAX_INPUT_CHARS), custom(not_blank))]
    #[schema(
        min_length = 1,
        max_length = 32_000,
        example = "How often is the gearbox oil changed?"
    )]
    input: String,
    /// The conversation that this is a turn of, if any.
    #[garde(skip)]
    conversation_id: Option<ConversationId>,
    /// What the turn does while another is open; as the conversation says, if absent.
    #[garde(skip)]
    on_busy: Option<OnBusy>,
}

/// Run an agent. The same as `POST /v1/executions`, for whoever has the agent's address.
#[utoipa::path(
    post, path = "/v1/agents/{agent_id}/executions", tag = "executions",
    operation_id = "create_agent_execution",
    params(("agent_id" = AgentId, Path), WaitQuery),
    request_body = NewExecutionOfAgent,
    security(("bearer" = ["executions:write", "agents:read"])),
    responses((status = 201, body = ExecutionView), Problems),
)]
pub(crate) async fn create(
    State(app): State<api::App>,
    caller: Granted<Execution, Write>,
    agent: Owned<Agent, Read>,
    Query(query): Query<WaitQuery>,
    Json(body): Json<NewExecutionOfAgent>,
) -> Result<Response, Problem> {
    let (conversation, on_busy) = (body.conversation_id, body.on_busy);
    let execution = start::start(
        &app,
        &caller,
        &agent.item,
        body.input,
        conversation,
        on_busy,
    )
    .await?;
    let execution = wait::for_news(&app, &caller, execution, query.wait.as_deref()).await?;
    Ok(answer(&app, execution))
}
