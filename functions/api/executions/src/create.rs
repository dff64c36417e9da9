use api::{Granted, Json, Problem, Problems, Query, Versioned, Write, created};
use axum::extract::State;
use axum::response::Response;
use domain::conversation::OnBusy;
use domain::execution::{Execution, MAX_INPUT_CHARS};
use garde::Validate;
use kernel::{AgentId, ConversationId};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use crate::view::ExecutionView;
use crate::{start, wait};

/// What to run.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewExecution {
    /// The agent to run, as it stands now.
    #[garde(skip)]
    agent_id: AgentId,
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

/// How long to wait for the end.
#[derive(Debug, Deserialize, Validate, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct WaitQuery {
    /// Seconds to wait, 0 to 30: the answer comes when the execution has ended or waits for
    /// people, or when the time is over, whereupon it is answered as it stands.
    #[garde(custom(wait::seconds_in_range))]
    #[param(minimum = 0, maximum = 30, default = 0)]
    pub(crate) wait: Option<String>,
}

pub(crate) fn not_blank(text: &str, (): &()) -> garde::Result {
    if text.trim().is_empty() {
        return Err(garde::Error::new("must not be blank"));
    }
    Ok(())
}

/// Run an agent. The execution is queued; watch it by its stream, wait for it, or read it again.
#[utoipa::path(
    post, path = "/v1/executions", tag = "executions", operation_id = "create_execution",
    params(WaitQuery),
    request_body = NewExecution,
    security(("bearer" = ["executions:write"])),
    responses((status = 201, body = ExecutionView), Problems),
)]
pub(crate) async fn create(
    State(app): State<api::App>,
    caller: Granted<Execution, Write>,
    Query(query): Query<WaitQuery>,
    Json(body): Json<NewExecution>,
) -> Result<Response, Problem> {
    let agents = app.store().agents(caller.tenant());
    let agent = agents.get(body.agent_id).await?.ok_or_else(|| {
        Problem::invalid_field("/agent_id", "is not an agent of this organization")
    })?;
    let (conversation, on_busy) = (body.conversation_id, body.on_busy);
    let execution = start::start(&app, &caller, &agent, body.input, conversation, on_busy).await?;
    let execution = wait::for_news(&app, &caller, execution, query.wait.as_deref()).await?;
    Ok(answer(&app, execution))
}

/// A new execution, and where it is.
pub(crate) fn answer(app: &api::App, execution: Execution) -> Response {
    let location = format!("/v1/executions/{}", execution.id);
    let version = execution.version;
    let view = ExecutionView::new(app, execution);
    created(&location, Versioned::new(version, view))
}
