//! Who may answer an approval, until when, and what follows if nobody does.

use std::collections::BTreeSet;
use std::time::Duration;

use kernel::{AgentId, UserId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::org::Role;
use crate::permission::Permission;

/// Who may answer, until when, and what follows if nobody does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ApprovalPolicy {
    /// The least role of who answers.
    #[serde(default = "ApprovalPolicy::default_role")]
    pub role: Role,
    /// Only these people may answer, if any are named; they need the role as well.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub approvers: Vec<UserId>,
    /// Seconds until the approval expires.
    #[serde(default = "ApprovalPolicy::default_seconds")]
    #[schema(minimum = 1, maximum = 2_592_000, default = 86_400)]
    pub expires_in_seconds: u32,
    /// What follows when it expires.
    #[serde(default)]
    pub on_expiry: OnExpiry,
    /// Whether the arguments may be edited by who approves.
    #[serde(default = "ApprovalPolicy::default_edit")]
    pub may_edit: bool,
}

/// What follows when nobody has answered in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnExpiry {
    /// The call is not made; the model is told so, and the run goes on.
    #[default]
    Reject,
    /// The call is made.
    Approve,
    /// The run ends as expired.
    Expire,
}

impl ApprovalPolicy {
    /// The longest that people may be given, in seconds: 30 days.
    pub const MAX_SECONDS: u32 = 30 * 24 * 60 * 60;

    const fn default_role() -> Role {
        Role::Member
    }

    const fn default_seconds() -> u32 {
        24 * 60 * 60
    }

    const fn default_edit() -> bool {
        true
    }

    /// How long people have.
    #[must_use]
    pub fn expires_in(&self) -> Duration {
        Duration::from_secs(self.expires_in_seconds.into())
    }

    /// Whether somebody may answer.
    ///
    /// # Errors
    /// [`NotAdmitted`] says why not.
    pub fn admits(&self, who: Answerer) -> Result<(), NotAdmitted> {
        let role = match who {
            Answerer::Person { id, role } => {
                if !self.approvers.is_empty() && !self.approvers.contains(&id) {
                    return Err(NotAdmitted::Unnamed);
                }
                role
            }
            Answerer::Machine { agent: Some(_), .. } => return Err(NotAdmitted::Agent),
            Answerer::Machine { .. } if !self.approvers.is_empty() => {
                return Err(NotAdmitted::Unnamed);
            }
            Answerer::Machine { role, .. } => role,
        };
        if role < self.role {
            return Err(NotAdmitted::Role(self.role));
        }
        Ok(())
    }
}

/// Somebody who wants to answer and has the permission to change executions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answerer {
    /// A member, with their role in the org.
    Person { id: UserId, role: Role },
    /// A machine, with the role that its scopes amount to, and the agent that it acts as.
    Machine { role: Role, agent: Option<AgentId> },
}

impl Answerer {
    /// A machine with these scopes. It counts as a manager or an admin only if it has every
    /// permission of one: a policy that asks for a role means somebody with all of that trust.
    #[must_use]
    pub fn machine(scopes: &BTreeSet<Permission>, agent: Option<AgentId>) -> Self {
        let has_all_of = |role: Role| {
            Permission::ALL
                .iter()
                .filter(|permission| permission.granted_to_role(role))
                .all(|permission| scopes.contains(permission))
        };
        let role = [Role::Admin, Role::Manager]
            .into_iter()
            .find(|role| has_all_of(*role))
            .unwrap_or(Role::Member);
        Self::Machine { role, agent }
    }
}

/// Why somebody may not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAdmitted {
    /// An agent's key: agents approve nothing, least of all what they do themselves.
    #[error("a key that acts as an agent answers no approvals")]
    Agent,
    /// Others are named.
    #[error("only the approvers that its policy names may answer this approval")]
    Unnamed,
    /// The role is too low.
    #[error("its policy lets nobody below the role `{}` answer this approval", .0.name())]
    Role(Role),
}

impl Default for ApprovalPolicy {
    fn default() -> Self {
        Self {
            role: Self::default_role(),
            approvers: Vec::new(),
            expires_in_seconds: Self::default_seconds(),
            on_expiry: OnExpiry::default(),
            may_edit: Self::default_edit(),
        }
    }
}
