use api::{Json, Person, Problem, Problems, Versioned};
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use domain::org::{Invitation, Member};
use domain::user::User;
use garde::Validate;
use http::StatusCode;
use kernel::{InvitationId, OrgId, Timestamp};
use serde::Deserialize;
use store::Tenant;
use utoipa::ToSchema;

use crate::token;

/// The proof that one was invited.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = InvitationAcceptance)]
pub(crate) struct Acceptance {
    /// The token that came with the invitation.
    #[garde(length(min = 1, max = token::MAX_CHARS))]
    #[schema(min_length = 1, max_length = 200)]
    token: String,
}

/// Accept an invitation. You become a member with its role, if your identity provider has verified
/// the address that was invited. The invitation is used up.
#[utoipa::path(
    post, path = "/v1/orgs/{org_id}/invitations/{invitation_id}/accept", tag = "orgs",
    operation_id = "accept_invitation",
    params(("org_id" = OrgId, Path), ("invitation_id" = InvitationId, Path)),
    request_body = Acceptance,
    security(("bearer" = [])),
    responses((status = 200, body = Member), Problems),
)]
pub(crate) async fn accept(
    State(app): State<api::App>,
    person: Person,
    path: Result<Path<(OrgId, InvitationId)>, PathRejection>,
    Json(body): Json<Acceptance>,
) -> Result<Versioned<Member>, Problem> {
    // A forged token must not tell whether there is such an invitation, or such an org.
    let not_found = || Problem::not_found("invitation");
    let Path((org, id)) = path.map_err(|_| not_found())?;
    if !token::is_genuine(app.signing(), org, id, &body.token) {
        return Err(not_found());
    }
    let orgs = app.store().org(Tenant::authorised(org));
    let (living, member, invitation) =
        tokio::try_join!(orgs.get(), orgs.member(person.user.id), orgs.invitation(id))?;
    living.ok_or_else(not_found)?;
    if member.is_some() {
        return Err(Problem::conflict(
            "already_member",
            "You are a member already.",
        ));
    }
    let invitation = invitation.ok_or_else(not_found)?;
    check(&invitation, &person.user, app.store().now())?;
    let member = orgs
        .accept(&person.cause(), &invitation, &person.user)
        .await?;
    app.forget_members(org);
    Ok(Versioned::new(member.version, member))
}

/// Refuses an invitation that has ended or is somebody else's. Whoever asks holds its token, so the
/// reason may be told.
fn check(invitation: &Invitation, user: &User, now: Timestamp) -> Result<(), Problem> {
    let refused = |code, detail: &str| Err(Problem::new(StatusCode::FORBIDDEN, code, detail));
    if invitation.is_expired(now) {
        return refused(
            "invitation_expired",
            "The invitation has expired. Ask for another.",
        );
    }
    if user.email.as_deref().map(str::to_lowercase) != Some(invitation.email.to_lowercase()) {
        return refused(
            "invitation_for_another",
            "The invitation is for another mail address than the one you signed in with.",
        );
    }
    if !user.email_verified {
        return refused(
            "email_not_verified",
            "Your identity provider has not verified your mail address yet.",
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use domain::event::Actor;
    use domain::org::Role;
    use domain::user::Preferences;
    use kernel::UserId;

    use super::*;

    const BEFORE: Timestamp = Timestamp::from_millis(9);
    const EXPIRY: Timestamp = Timestamp::from_millis(10);

    fn refusal(email: Option<&str>, verified: bool, now: Timestamp) -> Option<&'static str> {
        let invitation = Invitation {
            id: InvitationId::from_u128(1),
            org: OrgId::from_u128(1),
            email: "ada@example.com".to_owned(),
            role: Role::Member,
            invited_by: Actor::System,
            created_at: Timestamp::from_millis(0),
            expires_at: EXPIRY,
        };
        let user = User {
            id: UserId::from_u128(1),
            email: email.map(str::to_owned),
            email_verified: verified,
            name: None,
            platform_role: None,
            preferences: Preferences::default(),
            version: 1,
            created_at: BEFORE,
            updated_at: BEFORE,
        };
        let problem = check(&invitation, &user, now).err()?;
        assert_eq!(problem.status(), StatusCode::FORBIDDEN);
        Some(problem.code())
    }

    #[test]
    fn only_the_verified_holder_of_the_address_may_accept_in_time() {
        assert_eq!(refusal(Some("ada@example.com"), true, BEFORE), None);
        assert_eq!(refusal(Some("Ada@Example.com"), true, BEFORE), None);
        assert_eq!(
            refusal(Some("ada@example.com"), true, EXPIRY),
            Some("invitation_expired")
        );
        assert_eq!(
            refusal(Some("ada@example.com"), false, BEFORE),
            Some("email_not_verified")
        );
        for other in [
            None,
            Some("bob@example.com"),
            Some("ada@example.com.evil.example"),
        ] {
            assert_eq!(
                refusal(other, true, BEFORE),
                Some("invitation_for_another"),
                "{other:?}"
            );
        }
    }
}
