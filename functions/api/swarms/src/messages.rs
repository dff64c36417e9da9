use api::{
    Json, Listing, Owned, Paging, Problem, Problems, Query, Read, SwarmWork, Write, created,
};
use axum::extract::State;
use axum::response::Response;
use domain::swarm::{MAX_MESSAGE_CHARS, MAX_POSTED, Swarm, SwarmMessage};
use garde::Validate;
use kernel::{AgentId, ExecutionId, SwarmId};
use serde::Deserialize;
use store::swarms::PostError;
use store::{ReadError, Store, Tenant};
use utoipa::{IntoParams, ToSchema};

/// Which messages to list.
#[derive(Debug, Deserialize, Validate, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct MessageQuery {
    /// Only messages of the run that this execution belongs to.
    #[garde(skip)]
    execution_id: Option<ExecutionId>,
    /// The most items of a page, 1 to 100.
    #[garde(custom(api::limit_in_range))]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 100, default = 25)]
    limit: Option<String>,
    /// The `next_cursor` of the page before.
    #[garde(length(max = api::MAX_CURSOR_CHARS))]
    cursor: Option<String>,
}

/// What the agents of a swarm, and people, have told each other, oldest first: in one run, or in
/// all. The list of all runs may lag behind by moments.
#[utoipa::path(
    get, path = "/v1/swarms/{swarm_id}/messages", tag = "swarms",
    operation_id = "list_swarm_messages",
    params(("swarm_id" = SwarmId, Path), MessageQuery),
    security(("bearer" = ["executions:read"])),
    responses((status = 200, body = Listing<SwarmMessage>), Problems),
)]
pub(crate) async fn list_messages(
    State(app): State<api::App>,
    work: Owned<SwarmWork, Read>,
    Query(query): Query<MessageQuery>,
) -> Result<axum::Json<Listing<SwarmMessage>>, Problem> {
    let (swarm, tenant) = (&work.swarm, work.caller.tenant());
    let root = match query.execution_id {
        Some(id) => Some(
            root_of(app.store(), tenant, swarm, id)
                .await?
                .ok_or_else(|| no_run("execution_id"))?,
        ),
        None => None,
    };
    let list = match root {
        Some(root) => format!("swarms/{}/messages/{root}", swarm.id),
        None => format!("swarms/{}/messages", swarm.id),
    };
    let limit = query.limit.as_deref().and_then(|limit| limit.parse().ok());
    let page = Paging::new(limit, query.cursor).request(&app, &work.caller, &list)?;
    let swarms = app.store().swarms(tenant);
    let messages = swarms.messages(swarm.id, root, &page).await?;
    Ok(axum::Json(Listing::new(
        &app,
        &work.caller,
        &list,
        messages,
    )))
}

/// What to tell agents that are at work.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewMessage {
    /// The run of the swarm whose agents are told: its execution, or any that it led to.
    #[garde(skip)]
    execution_id: ExecutionId,
    /// The agent that it is for; all of them, if absent.
    #[garde(skip)]
    to: Option<AgentId>,
    #[garde(length(chars, min = 1, max = MAX_MESSAGE_CHARS), custom(not_blank))]
    #[schema(
        min_length = 1,
        max_length = 8_000,
        example = "The customer is in a hurry."
    )]
    text: String,
}

fn not_blank(text: &str, (): &()) -> garde::Result {
    if text.trim().is_empty() {
        return Err(garde::Error::new("must not be blank"));
    }
    Ok(())
}

/// Tell the agents of a run of the swarm something. Each reads it before its next step, as data.
#[utoipa::path(
    post, path = "/v1/swarms/{swarm_id}/messages", tag = "swarms",
    operation_id = "post_swarm_message",
    params(("swarm_id" = SwarmId, Path)),
    request_body = NewMessage,
    security(("bearer" = ["executions:write"])),
    responses((status = 201, body = SwarmMessage), Problems),
)]
pub(crate) async fn post_message(
    State(app): State<api::App>,
    work: Owned<SwarmWork, Write>,
    Json(body): Json<NewMessage>,
) -> Result<Response, Problem> {
    let (swarm, tenant) = (&work.swarm, work.caller.tenant());
    if body.to.is_some_and(|to| !swarm.spec.has(to)) {
        return Err(Problem::invalid_field(
            "/to",
            "is not an agent of this swarm",
        ));
    }
    let root = root_of(app.store(), tenant, swarm, body.execution_id)
        .await?
        .ok_or_else(|| no_run("/execution_id"))?;
    let swarms = app.store().swarms(tenant);
    let message = swarms
        .post(&work.caller.cause(), swarm, root, body.to, body.text)
        .await
        .map_err(not_posted)?;
    let location = format!("/v1/swarms/{}/messages?execution_id={root}", swarm.id);
    Ok(created(&location, axum::Json(message)))
}

/// The coordinator's execution that this one belongs to, if it is one of the swarm's.
async fn root_of(
    store: &Store,
    tenant: Tenant,
    swarm: &Swarm,
    id: ExecutionId,
) -> Result<Option<ExecutionId>, ReadError> {
    let execution = store.executions(tenant).get(id).await?;
    Ok(execution
        .filter(|execution| execution.swarm == Some(swarm.id))
        .map(|execution| execution.root()))
}

fn not_posted(error: PostError) -> Problem {
    match error {
        PostError::Ended => Problem::conflict(
            "execution_ended",
            "The execution has ended: nobody reads on.",
        ),
        PostError::TooMany => Problem::conflict(
            "too_many_messages",
            format!("At most {MAX_POSTED} messages can be posted into one run of a swarm."),
        ),
        PostError::Store(error) => error.into(),
    }
}

fn no_run(field: &str) -> Problem {
    Problem::invalid_field(field, "is not an execution of this swarm")
}
