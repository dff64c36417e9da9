use api::{IfMatch, Json, Listing, Membership, Owned, Problem, Problems, Read, Versioned, Write};
use axum::extract::State;
use domain::swarm::{MAX_MEMBERS, MAX_ROLE_CHARS, Swarm, SwarmMember};
use garde::Validate;
use http::StatusCode;
use kernel::{AgentId, SwarmId};
use serde::Deserialize;
use utoipa::ToSchema;

/// What an agent does in a swarm.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SwarmRole {
    /// What it is there for; its colleagues are told.
    #[garde(length(chars, min = 1, max = MAX_ROLE_CHARS))]
    #[schema(min_length = 1, max_length = 2_000, example = "Looks up orders.")]
    role: String,
}

/// The members of a swarm, all at once: there are sixteen at most. The coordinator is not among them.
#[utoipa::path(
    get, path = "/v1/swarms/{swarm_id}/members", tag = "swarms",
    operation_id = "list_swarm_members",
    params(("swarm_id" = SwarmId, Path)),
    security(("bearer" = ["agents:read"])),
    responses((status = 200, body = Listing<SwarmMember>), Problems),
)]
pub(crate) async fn list_members(swarm: Owned<Swarm, Read>) -> axum::Json<Listing<SwarmMember>> {
    axum::Json(Listing {
        items: swarm.item.spec.members,
        next_cursor: None,
    })
}

/// Make an agent a member of a swarm, or give a member another role.
#[utoipa::path(
    put, path = "/v1/swarms/{swarm_id}/members/{agent_id}", tag = "swarms",
    operation_id = "set_swarm_member",
    params(
        ("swarm_id" = SwarmId, Path), ("agent_id" = AgentId, Path),
        ("If-Match" = Option<String>, Header, description = "The ETag of the swarm."),
    ),
    request_body = SwarmRole,
    security(("bearer" = ["agents:write"])),
    responses((status = 200, body = Swarm), Problems),
)]
pub(crate) async fn set_member(
    State(app): State<api::App>,
    membership: Owned<Membership, Write>,
    if_match: IfMatch,
    Json(body): Json<SwarmRole>,
) -> Result<Versioned<Swarm>, Problem> {
    let (swarm, agent) = (&membership.swarm, membership.agent);
    if_match.check(swarm.version, "swarm")?;
    let spec = with_member(swarm, agent, body.role)?;
    let cause = membership.caller.cause();
    let swarms = app.store().swarms(membership.caller.tenant());
    let updated = swarms.update(&cause, swarm, spec).await?;
    Ok(Versioned::new(updated.version, updated))
}

fn with_member(
    swarm: &Swarm,
    agent: AgentId,
    role: String,
) -> Result<domain::swarm::SwarmSpec, Problem> {
    let mut spec = swarm.spec.clone();
    if spec.coordinator == agent {
        return Err(Problem::conflict(
            "is_coordinator",
            "This agent is the coordinator of the swarm.",
        ));
    }
    if let Some(member) = spec.members.iter_mut().find(|one| one.agent == agent) {
        member.role = role;
        return Ok(spec);
    }
    if spec.members.len() >= MAX_MEMBERS {
        return Err(Problem::conflict(
            "too_many_members",
            format!("A swarm can have at most {MAX_MEMBERS} members."),
        ));
    }
    spec.members.push(SwarmMember { agent, role });
    Ok(spec)
}

/// Take a member out of a swarm. Runs of the agent that are under way go on, alone.
#[utoipa::path(
    delete, path = "/v1/swarms/{swarm_id}/members/{agent_id}", tag = "swarms",
    operation_id = "remove_swarm_member",
    params(
        ("swarm_id" = SwarmId, Path), ("agent_id" = AgentId, Path),
        ("If-Match" = Option<String>, Header, description = "The ETag of the swarm."),
    ),
    security(("bearer" = ["agents:write"])),
    responses((status = 204), Problems),
)]
pub(crate) async fn remove_member(
    State(app): State<api::App>,
    membership: Owned<Membership, Write>,
    if_match: IfMatch,
) -> Result<StatusCode, Problem> {
    let (swarm, agent) = (&membership.swarm, membership.agent);
    if_match.check(swarm.version, "swarm")?;
    let mut spec = swarm.spec.clone();
    spec.members.retain(|member| member.agent != agent);
    if spec.members.len() == swarm.spec.members.len() {
        return Err(Problem::not_found("member"));
    }
    let cause = membership.caller.cause();
    let swarms = app.store().swarms(membership.caller.tenant());
    swarms.update(&cause, swarm, spec).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[cfg(test)]
mod tests {
    use domain::swarm::{SwarmLimits, SwarmSpec};
    use kernel::{OrgId, Timestamp};

    use super::*;

    fn swarm(members: usize) -> Swarm {
        let members = (10..).take(members).map(|number| SwarmMember {
            agent: AgentId::from_u128(number),
            role: "Looks.".to_owned(),
        });
        Swarm {
            id: SwarmId::from_u128(1),
            org: OrgId::from_u128(1),
            spec: SwarmSpec {
                name: "Desk".to_owned(),
                description: String::new(),
                coordinator: AgentId::from_u128(1),
                members: members.collect(),
                limits: SwarmLimits::default(),
            },
            version: 1,
            created_at: Timestamp::from_millis(0),
            updated_at: Timestamp::from_millis(0),
        }
    }

    #[test]
    fn a_member_is_added_once_and_its_role_may_change() {
        let agent = AgentId::from_u128(10);
        let set = |swarm: &Swarm, agent| with_member(swarm, agent, "Writes.".to_owned());
        let spec = set(&swarm(0), agent).expect("is added");
        assert_eq!((spec.members.len(), spec.members[0].agent), (1, agent));
        let spec = set(&swarm(MAX_MEMBERS), agent).expect("is changed");
        assert_eq!(spec.members.len(), MAX_MEMBERS);
        assert_eq!(spec.members[0].role, "Writes.");
        let full = set(&swarm(MAX_MEMBERS), AgentId::from_u128(99)).expect_err("is full");
        assert_eq!(full.code(), "too_many_members");
        let own = set(&swarm(1), AgentId::from_u128(1)).expect_err("coordinates");
        assert_eq!(own.code(), "is_coordinator");
    }
}
