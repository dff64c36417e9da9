//! What clients may say of a swarm, and the checks that it makes sense in its org.

use api::{FieldProblem, Problem};
use domain::swarm::{MAX_MEMBERS, MAX_ROLE_CHARS, SwarmLimits, SwarmMember, SwarmSpec};
use garde::Validate;
use kernel::{AgentId, MicroCredits};
use serde::Deserialize;
use store::{Store, Tenant};
use utoipa::ToSchema;

/// The most characters of a swarm's description.
pub(crate) const MAX_DESCRIPTION: usize = 2_000;

/// An agent that becomes a member.
#[derive(Debug, Clone, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewSwarmMember)]
pub(crate) struct MemberBody {
    #[garde(skip)]
    agent: AgentId,
    /// What it is there for; its colleagues are told.
    #[garde(length(chars, min = 1, max = MAX_ROLE_CHARS))]
    #[schema(min_length = 1, max_length = 2_000, example = "Looks up orders.")]
    role: String,
}

impl From<MemberBody> for SwarmMember {
    fn from(body: MemberBody) -> Self {
        Self {
            agent: body.agent,
            role: body.role,
        }
    }
}

/// How far one run of a swarm may go, with every run that it leads to.
#[derive(Debug, Clone, Copy, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewSwarmLimits)]
pub(crate) struct LimitsBody {
    /// How many calls may lie between the coordinator's run and the last.
    #[garde(range(min = 1, max = SwarmLimits::MAX_DEPTH))]
    #[schema(minimum = 1, maximum = 5)]
    #[serde(default = "default_depth")]
    max_depth: u32,
    /// Model calls in all runs together, those that fail included.
    #[garde(range(min = 1, max = SwarmLimits::MAX_STEPS))]
    #[schema(minimum = 1, maximum = 1_000)]
    #[serde(default = "default_steps")]
    max_steps: u32,
    /// Seconds of running of the coordinator, which waits for the others meanwhile.
    #[garde(range(min = 1, max = SwarmLimits::MAX_SECONDS))]
    #[schema(minimum = 1, maximum = 86_400)]
    #[serde(default = "default_seconds")]
    max_seconds: u32,
    /// Micro-credits that all runs together may spend.
    #[garde(range(min = 1))]
    #[schema(minimum = 1)]
    max_micro_credits: Option<i64>,
}

fn default_depth() -> u32 {
    SwarmLimits::default().max_depth
}

fn default_steps() -> u32 {
    SwarmLimits::default().max_steps
}

fn default_seconds() -> u32 {
    SwarmLimits::default().max_seconds
}

impl From<LimitsBody> for SwarmLimits {
    fn from(body: LimitsBody) -> Self {
        Self {
            max_depth: body.max_depth,
            max_steps: body.max_steps,
            max_seconds: body.max_seconds,
            max_micro_credits: body.max_micro_credits.map(MicroCredits::new),
        }
    }
}

#[expect(clippy::ptr_arg, reason = "the signature that garde calls")]
pub(crate) fn few_members(members: &Vec<MemberBody>, (): &()) -> garde::Result {
    if members.len() > MAX_MEMBERS {
        return Err(garde::Error::new(format!(
            "must have at most {MAX_MEMBERS} entries"
        )));
    }
    Ok(())
}

/// Checks that the coordinator and the members are the org's own agents, and each named once.
/// Agents that the swarm `had` may have been deleted since: they are passed over.
pub(crate) async fn check(
    store: &Store,
    tenant: Tenant,
    had: Option<&SwarmSpec>,
    spec: &SwarmSpec,
) -> Result<(), Problem> {
    let mut ids: Vec<AgentId> = spec.members.iter().map(|member| member.agent).collect();
    ids.push(spec.coordinator);
    let found = store.agents(tenant).get_many(&ids).await?;
    let is_known = |agent: AgentId| {
        found.iter().any(|known| known.id == agent) || had.is_some_and(|had| had.has(agent))
    };
    let errors = faults(spec, is_known);
    if errors.is_empty() {
        Ok(())
    } else {
        Err(Problem::invalid(errors))
    }
}

fn faults(spec: &SwarmSpec, is_known: impl Fn(AgentId) -> bool) -> Vec<FieldProblem> {
    let fault = |field: String, message: &str| FieldProblem {
        field,
        message: message.to_owned(),
    };
    let mut errors = Vec::new();
    if !is_known(spec.coordinator) {
        errors.push(fault(
            "/coordinator".to_owned(),
            "is not an agent of this organization",
        ));
    }
    for (index, member) in spec.members.iter().enumerate() {
        let agent = member.agent;
        let earlier = &spec.members[..index];
        let message = if agent == spec.coordinator {
            "is the coordinator"
        } else if earlier.iter().any(|other| other.agent == agent) {
            "is named twice"
        } else if !is_known(agent) {
            "is not an agent of this organization"
        } else {
            continue;
        };
        errors.push(fault(format!("/members/{index}/agent"), message));
    }
    errors
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_agent_that_may_not_be_is_named() {
        let agent = AgentId::from_u128;
        let member = |number| SwarmMember {
            agent: agent(number),
            role: "Looks.".to_owned(),
        };
        let spec = SwarmSpec {
            name: "Desk".to_owned(),
            description: String::new(),
            coordinator: agent(9),
            members: vec![member(2), member(9), member(2), member(8)],
            limits: SwarmLimits::default(),
        };
        let faults = faults(&spec, |id| id == agent(2));
        let named: Vec<(&str, &str)> = faults
            .iter()
            .map(|fault| (fault.field.as_str(), fault.message.as_str()))
            .collect();
        let foreign = "is not an agent of this organization";
        assert_eq!(
            named,
            [
                ("/coordinator", foreign),
                ("/members/1/agent", "is the coordinator"),
                ("/members/2/agent", "is named twice"),
                ("/members/3/agent", foreign),
            ]
        );
    }
}
