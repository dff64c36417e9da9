//! Swarms: agents that work together under a coordinator, and the log of what they tell each other.

use kernel::{AgentId, ExecutionId, MessageId, MicroCredits, OrgId, SwarmId, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::event::Actor;

/// The most members a swarm may have, beside its coordinator.
pub const MAX_MEMBERS: usize = 16;
/// The most characters of a member's role.
pub const MAX_ROLE_CHARS: usize = 2_000;
/// The most characters of a message.
pub const MAX_MESSAGE_CHARS: usize = 8_000;
/// The most messages that people may post into one run of a swarm.
pub const MAX_POSTED: u64 = 200;

/// What a swarm is, apart from which one it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SwarmSpec {
    /// What people call it.
    pub name: String,
    /// What it is for; its agents are told.
    #[serde(default)]
    pub description: String,
    /// The agent that is given the work and hands it on. Not among the members.
    pub coordinator: AgentId,
    /// The others, each once, in the order in which their colleagues are told of them.
    pub members: Vec<SwarmMember>,
    pub limits: SwarmLimits,
}

/// A swarm as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Swarm {
    pub id: SwarmId,
    pub org: OrgId,
    #[serde(flatten)]
    pub spec: SwarmSpec,
    /// Rises by one with every change; the ETag of the swarm.
    pub version: u64,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// An agent of a swarm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SwarmMember {
    pub agent: AgentId,
    /// What it is there for; its colleagues are told.
    pub role: String,
}

/// How far one run of a swarm may go, with every run that it leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SwarmLimits {
    /// How many calls may lie between the coordinator's run and the last: 1 if members call nobody.
    #[schema(minimum = 1, maximum = 5)]
    pub max_depth: u32,
    /// Model calls in all runs together, those that fail included.
    #[schema(minimum = 1, maximum = 1_000)]
    pub max_steps: u32,
    /// Seconds of running of the coordinator, which waits for the others meanwhile.
    #[schema(minimum = 1, maximum = 86_400)]
    pub max_seconds: u32,
    /// Micro-credits that all runs together may spend.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(minimum = 1)]
    pub max_micro_credits: Option<MicroCredits>,
}

impl SwarmLimits {
    /// The deepest that agents of a swarm may call each other.
    pub const MAX_DEPTH: u32 = 5;
    /// The most model calls a swarm may be given.
    pub const MAX_STEPS: u32 = 1_000;
    /// The longest time a swarm may be given, in seconds.
    pub const MAX_SECONDS: u32 = 86_400;
}

impl Default for SwarmLimits {
    fn default() -> Self {
        Self {
            max_depth: 3,
            max_steps: 100,
            max_seconds: 3_600,
            max_micro_credits: None,
        }
    }
}

impl SwarmSpec {
    /// Whether an agent is the coordinator or a member.
    #[must_use]
    pub fn has(&self, agent: AgentId) -> bool {
        self.coordinator == agent || self.member(agent).is_some()
    }

    /// The member that this agent is.
    #[must_use]
    pub fn member(&self, agent: AgentId) -> Option<&SwarmMember> {
        self.members.iter().find(|member| member.agent == agent)
    }

    /// The members that an agent of the swarm may hand work to: all but itself. Nobody, for an
    /// agent of another swarm or none.
    pub fn colleagues(&self, agent: AgentId) -> impl Iterator<Item = &SwarmMember> {
        let belongs = self.has(agent);
        self.members
            .iter()
            .filter(move |member| belongs && member.agent != agent)
    }
}

/// Something that an agent of a swarm, or a person, told the agents of one run of the swarm. Never
/// changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SwarmMessage {
    pub id: MessageId,
    pub org: OrgId,
    pub swarm: SwarmId,
    /// The coordinator's run, whose log this belongs to.
    pub execution: ExecutionId,
    /// The place in that log, with gaps; also the sequence of the entry in the run's stream that
    /// tells of it. A message that comes later has a higher one, whoever writes it.
    pub sequence: u64,
    /// The agent, in one of its runs, or the person.
    pub from: Actor,
    /// The agent that it is for; all agents of the swarm, if absent.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub to: Option<AgentId>,
    pub text: String,
    pub at: Timestamp,
}

impl SwarmMessage {
    /// Whether a run of an agent is to be shown it: what is for all or for the agent, but not what
    /// the run itself has said.
    #[must_use]
    pub fn is_for(&self, agent: AgentId, execution: ExecutionId) -> bool {
        let own = matches!(self.from, Actor::Agent { execution: from, .. } if from == execution);
        !own && self.to.is_none_or(|to| to == agent)
    }

    /// What the stream of the coordinator's run tells of it.
    #[must_use]
    pub fn told(&self) -> serde_json::Value {
        serde_json::json!({
            "message_id": self.id,
            "from": self.from,
            "to": self.to,
            "text": self.text,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agent(number: u128) -> AgentId {
        AgentId::from_u128(number)
    }

    fn spec() -> SwarmSpec {
        let member = |number| SwarmMember {
            agent: agent(number),
            role: String::new(),
        };
        SwarmSpec {
            name: "Desk".to_owned(),
            description: String::new(),
            coordinator: agent(1),
            members: vec![member(2), member(3)],
            limits: SwarmLimits::default(),
        }
    }

    #[test]
    fn work_goes_to_members_other_than_oneself_and_from_nobody_outside() {
        let spec = spec();
        let colleagues = |number: u128| -> Vec<AgentId> {
            let found = spec.colleagues(agent(number));
            found.map(|member| member.agent).collect()
        };
        assert_eq!(colleagues(1), [agent(2), agent(3)]);
        assert_eq!(colleagues(2), [agent(3)]);
        assert_eq!(colleagues(9), []);
        assert!(spec.has(agent(1)) && spec.has(agent(3)) && !spec.has(agent(9)));
    }

    #[test]
    fn a_message_is_for_all_or_for_one_and_never_for_the_run_that_wrote_it() {
        let run = ExecutionId::from_u128;
        let message = |to| SwarmMessage {
            id: MessageId::from_u128(1),
            org: OrgId::from_u128(1),
            swarm: SwarmId::from_u128(1),
            execution: run(1),
            sequence: 7,
            from: Actor::Agent {
                id: agent(2),
                execution: run(2),
            },
            to,
            text: "Hello.".to_owned(),
            at: Timestamp::from_millis(0),
        };
        let to_all = message(None);
        assert!(to_all.is_for(agent(3), run(3)));
        assert!(to_all.is_for(agent(2), run(4)), "another run of the sender");
        assert!(!to_all.is_for(agent(2), run(2)));
        let to_one = message(Some(agent(3)));
        assert!(to_one.is_for(agent(3), run(3)));
        assert!(!to_one.is_for(agent(1), run(1)));
    }
}
