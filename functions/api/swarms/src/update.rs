use api::{IfMatch, Json, Owned, Problem, Problems, Versioned, Write};
use axum::extract::State;
use domain::swarm::{Swarm, SwarmSpec};
use garde::Validate;
use kernel::{AgentId, SwarmId};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::spec::{self, LimitsBody, MAX_DESCRIPTION, MemberBody, few_members};

/// Changes to a swarm. What is absent stays as it is.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SwarmChanges {
    #[garde(inner(custom(api::text::name)))]
    #[schema(min_length = 1, max_length = 200)]
    name: Option<String>,
    #[garde(length(chars, max = MAX_DESCRIPTION))]
    #[schema(max_length = 2_000)]
    description: Option<String>,
    #[garde(skip)]
    coordinator: Option<AgentId>,
    /// Takes the place of all that were members before.
    #[garde(dive, custom(few_if_any))]
    #[schema(max_items = 16)]
    members: Option<Vec<MemberBody>>,
    /// Takes the place of all limits that stood before.
    #[garde(dive)]
    limits: Option<LimitsBody>,
}

#[expect(clippy::ref_option, reason = "the signature that garde calls")]
fn few_if_any(members: &Option<Vec<MemberBody>>, context: &()) -> garde::Result {
    members
        .as_ref()
        .map_or(Ok(()), |members| few_members(members, context))
}

/// Change a swarm. Runs that are under way go by it from their next step on; what they may spend and
/// how many steps they have was settled when they began.
#[utoipa::path(
    patch, path = "/v1/swarms/{swarm_id}", tag = "swarms", operation_id = "update_swarm",
    params(
        ("swarm_id" = SwarmId, Path),
        ("If-Match" = Option<String>, Header, description = "The ETag that the change is based on."),
    ),
    request_body = SwarmChanges,
    security(("bearer" = ["agents:write"])),
    responses((status = 200, body = Swarm), Problems),
)]
pub(crate) async fn update(
    State(app): State<api::App>,
    swarm: Owned<Swarm, Write>,
    if_match: IfMatch,
    Json(changes): Json<SwarmChanges>,
) -> Result<Versioned<Swarm>, Problem> {
    if_match.check(swarm.version, "swarm")?;
    let old = swarm.spec.clone();
    let members = changes.members.map(|members| {
        let members = members.into_iter().map(Into::into);
        members.collect()
    });
    let spec = SwarmSpec {
        name: changes.name.unwrap_or(old.name),
        description: changes.description.unwrap_or(old.description),
        coordinator: changes.coordinator.unwrap_or(old.coordinator),
        members: members.unwrap_or(old.members),
        limits: changes.limits.map_or(old.limits, Into::into),
    };
    let tenant = swarm.caller.tenant();
    spec::check(app.store(), tenant, Some(&swarm.spec), &spec).await?;
    let cause = swarm.caller.cause();
    let swarms = app.store().swarms(tenant);
    let updated = swarms.update(&cause, &swarm.item, spec).await?;
    Ok(Versioned::new(updated.version, updated))
}
