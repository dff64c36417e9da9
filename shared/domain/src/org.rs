//! Organizations, their members and invitations.

use kernel::{InvitationId, OrgId, Timestamp, UserId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::event::Actor;

/// How long an invitation can be accepted.
pub const INVITATION_LIFETIME: std::time::Duration = std::time::Duration::from_hours(7 * 24);

/// The tenant: everything a team has belongs to one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Org {
    pub id: OrgId,
    /// What people call it.
    pub name: String,
    /// How many members are admins. Never falls below one.
    pub admins: u32,
    /// Rises by one with every change; the ETag of the org.
    pub version: u64,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// What a member may do; each role has all that the one before it has.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Works: runs agents, uploads files, keeps tasks.
    Member,
    /// Builds: agents, tools and knowledge bases.
    Manager,
    /// Runs the org: members, keys, audit.
    Admin,
}

impl Role {
    /// The stable name of the role.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Member => "member",
            Self::Manager => "manager",
            Self::Admin => "admin",
        }
    }
}

/// A user's place in an org.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Member {
    pub org: OrgId,
    pub user: UserId,
    pub role: Role,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub email: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub name: Option<String>,
    pub joined_at: Timestamp,
    /// Rises by one with every change.
    pub version: u64,
}

/// Why a change of members was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MembershipError {
    /// The org would be left without an admin.
    #[error("the last admin of an organization can be neither removed nor demoted")]
    LastAdmin,
}

/// How a change of one member's role (to `None`: removal) changes the number of admins.
///
/// # Errors
/// [`MembershipError::LastAdmin`] where no admin would be left.
pub fn admins_after(
    admins: u32,
    from: Option<Role>,
    to: Option<Role>,
) -> Result<u32, MembershipError> {
    let lost = u32::from(from == Some(Role::Admin));
    let gained = u32::from(to == Some(Role::Admin));
    let left = (admins + gained).saturating_sub(lost);
    if left == 0 {
        return Err(MembershipError::LastAdmin);
    }
    Ok(left)
}

/// An offer of membership, accepted with a token that only its maker was shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Invitation {
    pub id: InvitationId,
    pub org: OrgId,
    /// Only a user with this verified address may accept.
    pub email: String,
    pub role: Role,
    pub invited_by: Actor,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
}

impl Invitation {
    /// Whether the invitation can no longer be accepted.
    #[must_use]
    pub fn is_expired(&self, now: Timestamp) -> bool {
        now >= self.expires_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_admin_stays() {
        use Role::{Admin, Member};
        assert_eq!(
            admins_after(1, Some(Admin), Some(Member)),
            Err(MembershipError::LastAdmin)
        );
        assert_eq!(
            admins_after(1, Some(Admin), None),
            Err(MembershipError::LastAdmin)
        );
        assert_eq!(admins_after(1, Some(Admin), Some(Admin)), Ok(1));
        assert_eq!(admins_after(2, Some(Admin), None), Ok(1));
        assert_eq!(admins_after(1, None, Some(Admin)), Ok(2));
        assert_eq!(admins_after(1, Some(Member), None), Ok(1));
    }
}
