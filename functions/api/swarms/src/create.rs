use api::{Granted, Json, Problem, Problems, Versioned, Write, created};
use axum::extract::State;
use axum::response::Response;
use domain::swarm::{Swarm, SwarmSpec};
use garde::Validate;
use kernel::AgentId;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::spec::{self, LimitsBody, MAX_DESCRIPTION, MemberBody, few_members};

/// A new swarm.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewSwarm {
    /// What people call it.
    #[garde(custom(api::text::name))]
    #[schema(min_length = 1, max_length = 200, example = "Order desk")]
    name: String,
    /// What it is for; its agents are told.
    #[garde(length(chars, max = MAX_DESCRIPTION))]
    #[schema(max_length = 2_000)]
    #[serde(default)]
    description: String,
    /// The agent that is given the work and hands it on. Not among the members.
    #[garde(skip)]
    coordinator: AgentId,
    /// The other agents, each once.
    #[garde(dive, custom(few_members))]
    #[schema(max_items = 16)]
    #[serde(default)]
    members: Vec<MemberBody>,
    #[garde(dive)]
    limits: Option<LimitsBody>,
}

/// Create a swarm.
#[utoipa::path(
    post, path = "/v1/swarms", tag = "swarms", operation_id = "create_swarm",
    request_body = NewSwarm,
    security(("bearer" = ["agents:write"])),
    responses((status = 201, body = Swarm), Problems),
)]
pub(crate) async fn create(
    State(app): State<api::App>,
    caller: Granted<Swarm, Write>,
    Json(body): Json<NewSwarm>,
) -> Result<Response, Problem> {
    let spec = SwarmSpec {
        name: body.name,
        description: body.description,
        coordinator: body.coordinator,
        members: body.members.into_iter().map(Into::into).collect(),
        limits: body.limits.map(Into::into).unwrap_or_default(),
    };
    spec::check(app.store(), caller.tenant(), None, &spec).await?;
    let swarms = app.store().swarms(caller.tenant());
    let swarm = swarms.create(&caller.cause(), spec).await?;
    let location = format!("/v1/swarms/{}", swarm.id);
    Ok(created(&location, Versioned::new(swarm.version, swarm)))
}
