//! Whom clients may give a task to, and the check that they belong to the org.

use api::{App, Caller, Problem};
use domain::agent::Agent;
use domain::task::Assignee;
use kernel::{AgentId, UserId};
use serde::Deserialize;
use utoipa::ToSchema;

/// Who is to do a task.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewAssignee {
    kind: AssigneeKind,
    /// The id of an agent or a user, as `kind` says.
    #[schema(
        pattern = "^(agt|usr)_[0-9a-hjkmnp-tv-z]{26}$",
        example = "agt_01jbst9de6fp79y0938nkrkayd"
    )]
    id: String,
}

/// The kinds of whoever does tasks.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AssigneeKind {
    Agent,
    User,
}

impl NewAssignee {
    /// The one who is meant. `field` is where the id stands in the body.
    pub(crate) fn read(&self, field: &str) -> Result<Assignee, Problem> {
        let assignee = match self.kind {
            AssigneeKind::Agent => self.id.parse::<AgentId>().map(|id| Assignee::Agent { id }),
            AssigneeKind::User => self.id.parse::<UserId>().map(|id| Assignee::User { id }),
        };
        assignee.map_err(|error| Problem::invalid_field(field, error.to_string()))
    }
}

/// Someone of the caller's org who may be given a task: an agent, as it stands now, or a member.
#[derive(Debug)]
pub(crate) enum Candidate {
    Agent(Box<Agent>),
    User(UserId),
}

impl Candidate {
    /// Looks the assignee up. `field` is where the id stands in the body.
    pub(crate) async fn find(
        app: &App,
        caller: &Caller,
        assignee: Assignee,
        field: &str,
    ) -> Result<Self, Problem> {
        let (store, tenant) = (app.store(), caller.tenant());
        match assignee {
            Assignee::Agent { id } => {
                let agent = store.agents(tenant).get(id).await?.ok_or_else(|| {
                    Problem::invalid_field(field, "is not an agent of this organization")
                })?;
                Ok(Self::Agent(Box::new(agent)))
            }
            Assignee::User { id } => {
                store.org(tenant).member(id).await?.ok_or_else(|| {
                    Problem::invalid_field(field, "is not a member of this organization")
                })?;
                Ok(Self::User(id))
            }
        }
    }

    pub(crate) fn assignee(&self) -> Assignee {
        match self {
            Self::Agent(agent) => Assignee::Agent { id: agent.id },
            Self::User(id) => Assignee::User { id: *id },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_must_be_of_the_kind_that_is_named() {
        let agent = AgentId::from_u128(1);
        let read = |kind, id: String| NewAssignee { kind, id }.read("/assignee/id");
        assert_eq!(
            read(AssigneeKind::Agent, agent.to_string()).unwrap(),
            Assignee::Agent { id: agent }
        );
        let refused = read(AssigneeKind::User, agent.to_string()).unwrap_err();
        assert!(format!("{refused:?}").contains("/assignee/id"));
    }
}
