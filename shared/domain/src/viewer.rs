//! What people have for themselves, and who sees it beside them.

use crate::event::Actor;
use crate::org::Role;

/// Somebody who looks at what may be another's own: a conversation, and the runs in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Viewer {
    /// Sees what everybody has.
    Everything,
    /// Sees their own, and what is nobody's in particular.
    Own(Actor),
}

impl Viewer {
    /// A member of an org: managers see what everybody has.
    #[must_use]
    pub fn of_role(role: Role, actor: Actor) -> Self {
        match role {
            Role::Member => Self::Own(actor),
            Role::Manager | Role::Admin => Self::Everything,
        }
    }

    /// Whether they see what `owner` has for themselves.
    #[must_use]
    pub fn sees(self, owner: Option<Actor>) -> bool {
        match self {
            Self::Everything => true,
            Self::Own(actor) => owner.is_none_or(|owner| owner == actor),
        }
    }
}

#[cfg(test)]
mod tests {
    use kernel::{ApiKeyId, UserId};

    use super::*;

    #[test]
    fn members_see_their_own_and_managers_everything() {
        let user = |number| Actor::User {
            id: UserId::from_u128(number),
        };
        let key = Actor::ApiKey {
            id: ApiKeyId::from_u128(1),
        };
        for (role, others) in [
            (Role::Member, false),
            (Role::Manager, true),
            (Role::Admin, true),
        ] {
            let viewer = Viewer::of_role(role, user(1));
            assert!(viewer.sees(Some(user(1))), "{role:?}");
            assert!(viewer.sees(None), "{role:?}");
            assert_eq!(viewer.sees(Some(user(2))), others, "{role:?}");
            assert_eq!(viewer.sees(Some(key)), others, "{role:?}");
        }
    }
}
