//! Organizations: the tenants, their members and the invitations to join them.
//!
//! | method | path | permission | file |
//! |---|---|---|---|
//! | GET | `/v1/orgs` | any person | `list.rs` |
//! | POST | `/v1/orgs` | any person | `create.rs` |
//! | GET | `/v1/orgs/{org_id}` | `orgs:read` | `get.rs` |
//! | PATCH | `/v1/orgs/{org_id}` | `orgs:write` | `update.rs` |
//! | DELETE | `/v1/orgs/{org_id}` | `orgs:write` | `delete.rs` |
//! | GET | `/v1/orgs/{org_id}/members` | `orgs:read` | `members.rs` |
//! | PATCH | `/v1/orgs/{org_id}/members/{user_id}` | `orgs:write` | `members.rs` |
//! | DELETE | `/v1/orgs/{org_id}/members/{user_id}` | `orgs:write` | `members.rs` |
//! | GET | `/v1/orgs/{org_id}/invitations` | `orgs:write` | `invitations.rs` |
//! | POST | `/v1/orgs/{org_id}/invitations` | `orgs:write` | `invitations.rs` |
//! | DELETE | `/v1/orgs/{org_id}/invitations/{invitation_id}` | `orgs:write` | `invitations.rs` |
//! | POST | `/v1/orgs/{org_id}/invitations/{invitation_id}/accept` | the person invited | `accept.rs` |

use api::{Table, routes};

mod accept;
mod create;
mod delete;
mod get;
mod grants;
mod invitations;
mod list;
mod members;
mod token;
mod update;

/// The operations of this function.
#[must_use]
pub fn routes<T: Table>() -> T {
    T::new()
        .routes(routes!(list::list, create::create))
        .routes(routes!(get::get, update::update, delete::delete))
        .routes(routes!(members::list_members))
        .routes(routes!(members::update_member, members::remove_member))
        .routes(routes!(
            invitations::list_invitations,
            invitations::create_invitation
        ))
        .routes(routes!(invitations::revoke_invitation))
        .routes(routes!(accept::accept))
}
