//! Which roles a caller may give.

use api::{Caller, Problem};
use domain::org::Role;
use domain::permission::Permission;

/// Refuses a role that may do more than whoever gives it: otherwise a key that may change members
/// and nothing else could make an admin, and be one by proxy.
///
/// # Errors
/// 403, naming a permission that the caller lacks.
pub(crate) fn check(caller: &Caller, role: Role) -> Result<(), Problem> {
    match beyond(role, |permission| caller.may(permission)) {
        None => Ok(()),
        Some(permission) => Err(Problem::forbidden(format!(
            "This role has the permission `{permission}`, which you lack: you cannot give it."
        ))),
    }
}

/// The first permission of `role` that the giver lacks.
fn beyond(role: Role, may: impl Fn(Permission) -> bool) -> Option<Permission> {
    Permission::ALL
        .iter()
        .copied()
        .find(|permission| permission.granted_to_role(role) && !may(*permission))
}

#[cfg(test)]
mod tests {
    use domain::user::PlatformRole;

    use super::*;

    const ROLES: [Role; 3] = [Role::Member, Role::Manager, Role::Admin];

    #[test]
    fn a_role_can_be_given_by_its_own_holders_and_those_above() {
        for giver in ROLES {
            for given in ROLES {
                let refused = beyond(given, |permission| permission.granted_to_role(giver));
                assert_eq!(
                    refused.is_none(),
                    given <= giver,
                    "{giver:?} gives {given:?}"
                );
            }
        }
    }

    #[test]
    fn a_key_that_only_manages_members_can_give_no_role() {
        for role in ROLES {
            assert!(beyond(role, |permission| permission == Permission::OrgWrite).is_some());
        }
    }

    #[test]
    fn a_super_admin_gives_every_role_and_support_none() {
        for role in ROLES {
            let may = |platform: PlatformRole| {
                move |permission: Permission| permission.granted_to_platform_role(platform)
            };
            assert_eq!(beyond(role, may(PlatformRole::SuperAdmin)), None);
            assert!(beyond(role, may(PlatformRole::Support)).is_some());
        }
    }
}
