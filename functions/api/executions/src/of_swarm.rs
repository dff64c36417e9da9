use api::{Json, Owned, Problem, Problems, Query, SwarmWork, Write};
use axum::extract::State;
use axum::response::Response;
use domain::execution::MAX_INPUT_CHARS;
use garde::Validate;
use kernel::SwarmId;
use serde::Deserialize;
use store::executions::NewRun;
use utoipa::ToSchema;

use crate::create::{WaitQuery, answer, not_blank};
use crate::view::ExecutionView;
use crate::wait;

/// What a swarm is asked.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewExecutionOfSwarm {
    /// What its coordinator is asked.
    #[garde(length(chars, min = 1, max = MAX_INPUT_CHARS), custom(not_blank))]
    #[schema(
        min_length = 1,
        max_length = 32_000,
        example = "Why is order 4711 late, and what can we offer?"
    )]
    input: String,
}

/// Run a swarm: its coordinator, who hands work on to the members, within the swarm's limits.
#[utoipa::path(
    post, path = "/v1/swarms/{swarm_id}/executions", tag = "executions",
    operation_id = "create_swarm_execution",
    params(("swarm_id" = SwarmId, Path), WaitQuery),
    request_body = NewExecutionOfSwarm,
    security(("bearer" = ["executions:write"])),
    responses((status = 201, body = ExecutionView), Problems),
)]
pub(crate) async fn create(
    State(app): State<api::App>,
    work: Owned<SwarmWork, Write>,
    Query(query): Query<WaitQuery>,
    Json(body): Json<NewExecutionOfSwarm>,
) -> Result<Response, Problem> {
    let (store, tenant, swarm) = (app.store(), work.caller.tenant(), &work.swarm);
    let coordinator = store.agents(tenant).get(swarm.spec.coordinator).await?;
    let coordinator = coordinator.ok_or_else(|| {
        let id = swarm.spec.coordinator;
        Problem::conflict(
            "coordinator_missing",
            format!("The coordinator of this swarm, {id}, was deleted."),
        )
    })?;
    let cause = work.caller.cause();
    let run = NewRun::new(store, &cause, &coordinator, body.input, None).for_swarm(swarm);
    store.executions(tenant).queue(&cause, &run).await?;
    let execution = run.execution().clone();
    let execution = wait::for_news(&app, &work.caller, execution, query.wait.as_deref()).await?;
    Ok(answer(&app, execution))
}
