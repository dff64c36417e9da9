use api::{
    Granted, Listing, Owned, PageQuery, Paging, Problem, Problems, Query, Read, Write, created,
    shown_once,
};
use axum::Json;
use axum::extract::State;
use axum::response::Response;
use domain::org::{Invitation, Role};
use garde::Validate;
use http::StatusCode;
use kernel::{InvitationId, OrgId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{grants, token};

/// Whom to invite, and as what.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewInvitation {
    /// Only a person whose identity provider has verified this address can accept.
    #[garde(custom(api::text::email))]
    #[schema(max_length = 254, example = "ada@example.com")]
    email: String,
    #[garde(skip)]
    role: Role,
}

/// An invitation, with the token that accepts it.
#[derive(Serialize, ToSchema)]
pub(crate) struct InvitationWithToken {
    #[serde(flatten)]
    invitation: Invitation,
    /// Shown in this answer only.
    token: String,
}

/// Open invitations of an organization, newest first, expired ones included.
#[utoipa::path(
    get, path = "/v1/orgs/{org_id}/invitations", tag = "orgs", operation_id = "list_invitations",
    params(("org_id" = OrgId, Path), PageQuery),
    security(("bearer" = ["orgs:write"])),
    responses((status = 200, body = Listing<Invitation>), Problems),
)]
pub(crate) async fn list_invitations(
    State(app): State<api::App>,
    caller: Granted<Invitation, Read>,
    Query(query): Query<PageQuery>,
) -> Result<Json<Listing<Invitation>>, Problem> {
    let page = Paging::from(query).request(&app, &caller, "invitations")?;
    let invitations = app.store().org(caller.tenant()).invitations(&page).await?;
    Ok(Json(Listing::new(
        &app,
        &caller,
        "invitations",
        invitations,
    )))
}

/// Invite somebody by mail address, for seven days. The answer holds the token that accepts the
/// invitation, this once: no mail is sent, so hand id and token on to the person yourself. Nobody
/// can invite to a role that may do more than they may themselves.
#[utoipa::path(
    post, path = "/v1/orgs/{org_id}/invitations", tag = "orgs", operation_id = "create_invitation",
    params(("org_id" = OrgId, Path)),
    request_body = NewInvitation,
    security(("bearer" = ["orgs:write"])),
    responses((status = 201, body = InvitationWithToken), Problems),
)]
pub(crate) async fn create_invitation(
    State(app): State<api::App>,
    caller: Granted<Invitation, Write>,
    api::Json(body): api::Json<NewInvitation>,
) -> Result<Response, Problem> {
    grants::check(&caller, body.role)?;
    let orgs = app.store().org(caller.tenant());
    let invitation = orgs.invite(&caller.cause(), body.email, body.role).await?;
    let location = format!("/v1/orgs/{}/invitations/{}", invitation.org, invitation.id);
    let token = token::seal(app.signing(), invitation.org, invitation.id);
    let answer = axum::Json(InvitationWithToken { invitation, token });
    Ok(shown_once(created(&location, answer)))
}

/// Take an invitation back. Its token opens nothing from now on.
#[utoipa::path(
    delete, path = "/v1/orgs/{org_id}/invitations/{invitation_id}", tag = "orgs",
    operation_id = "revoke_invitation",
    params(("org_id" = OrgId, Path), ("invitation_id" = InvitationId, Path)),
    security(("bearer" = ["orgs:write"])),
    responses((status = 204), Problems),
)]
pub(crate) async fn revoke_invitation(
    State(app): State<api::App>,
    invitation: Owned<Invitation, Write>,
) -> Result<StatusCode, Problem> {
    let cause = invitation.caller.cause();
    let orgs = app.store().org(invitation.caller.tenant());
    orgs.revoke_invitation(&cause, &invitation.item).await?;
    Ok(StatusCode::NO_CONTENT)
}
