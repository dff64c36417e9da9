use api::{Granted, Json, Problem, Problems, Versioned, Write, created};
use axum::extract::State;
use axum::response::Response;
use domain::execution::{Execution, MAX_INPUT_CHARS};
use garde::Validate;
use kernel::AgentId;
use serde::Deserialize;
use store::executions::NewRun;
use utoipa::ToSchema;

use crate::view::ExecutionView;

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
}

fn not_blank(text: &str, (): &()) -> garde::Result {
    if text.trim().is_empty() {
        return Err(garde::Error::new("must not be blank"));
    }
    Ok(())
}

/// Run an agent. The execution is queued; watch it by its stream or read it again.
#[utoipa::path(
    post, path = "/v1/executions", tag = "executions", operation_id = "create_execution",
    request_body = NewExecution,
    security(("bearer" = ["executions:write"])),
    responses((status = 201, body = ExecutionView), Problems),
)]
pub(crate) async fn create(
    State(app): State<api::App>,
    caller: Granted<Execution, Write>,
    Json(body): Json<NewExecution>,
) -> Result<Response, Problem> {
    let store = app.store();
    let agent = store
        .agents(caller.tenant())
        .get(body.agent_id)
        .await?
        .ok_or_else(|| {
            Problem::invalid_field("/agent_id", "is not an agent of this organization")
        })?;
    let cause = caller.cause();
    let run = NewRun::new(store, &cause, &agent, body.input, None);
    store
        .executions(caller.tenant())
        .queue(&cause, &run)
        .await?;
    let execution = run.execution().clone();
    let location = format!("/v1/executions/{}", execution.id);
    let version = execution.version;
    Ok(created(
        &location,
        Versioned::new(version, ExecutionView::new(&app, execution)),
    ))
}
