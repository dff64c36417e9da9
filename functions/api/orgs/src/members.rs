use api::{
    Granted, IfMatch, Listing, Owned, PageQuery, Paging, Problem, Problems, Query, Read, Versioned,
    Write,
};
use axum::Json;
use axum::extract::State;
use domain::org::{Member, Role};
use garde::Validate;
use http::StatusCode;
use kernel::{OrgId, UserId};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::grants;

/// Changes to a member. What is absent stays as it is.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MemberChanges {
    #[garde(skip)]
    role: Option<Role>,
}

/// Members of an organization.
#[utoipa::path(
    get, path = "/v1/orgs/{org_id}/members", tag = "orgs", operation_id = "list_members",
    params(("org_id" = OrgId, Path), PageQuery),
    security(("bearer" = ["orgs:read"])),
    responses((status = 200, body = Listing<Member>), Problems),
)]
pub(crate) async fn list_members(
    State(app): State<api::App>,
    caller: Granted<Member, Read>,
    Query(query): Query<PageQuery>,
) -> Result<Json<Listing<Member>>, Problem> {
    let page = Paging::from(query).request(&app, &caller, "members")?;
    let members = app.store().org(caller.tenant()).members(&page).await?;
    Ok(Json(Listing::new(&app, &caller, "members", members)))
}

/// Change a member's role. Nobody can give a role that may do more than they may themselves, and
/// the last admin cannot be demoted (`last_admin`).
#[utoipa::path(
    patch, path = "/v1/orgs/{org_id}/members/{user_id}", tag = "orgs",
    operation_id = "update_member",
    params(
        ("org_id" = OrgId, Path), ("user_id" = UserId, Path),
        ("If-Match" = Option<String>, Header, description = "The ETag that the change is based on."),
    ),
    request_body = MemberChanges,
    security(("bearer" = ["orgs:write"])),
    responses((status = 200, body = Member), Problems),
)]
pub(crate) async fn update_member(
    State(app): State<api::App>,
    member: Owned<Member, Write>,
    if_match: IfMatch,
    api::Json(changes): api::Json<MemberChanges>,
) -> Result<Versioned<Member>, Problem> {
    if_match.check(member.version, "member")?;
    let Some(role) = changes.role.filter(|role| *role != member.role) else {
        return Ok(Versioned::new(member.version, member.item));
    };
    grants::check(&member.caller, role)?;
    let tenant = member.caller.tenant();
    let cause = member.caller.cause();
    let changed = app
        .store()
        .org(tenant)
        .change_role(&cause, &member.item, role)
        .await?;
    app.forget_members(tenant.org());
    Ok(Versioned::new(changed.version, changed))
}

/// Remove a member. The last admin cannot be removed (`last_admin`).
#[utoipa::path(
    delete, path = "/v1/orgs/{org_id}/members/{user_id}", tag = "orgs",
    operation_id = "remove_member",
    params(
        ("org_id" = OrgId, Path), ("user_id" = UserId, Path),
        ("If-Match" = Option<String>, Header, description = "The ETag that the change is based on."),
    ),
    security(("bearer" = ["orgs:write"])),
    responses((status = 204), Problems),
)]
pub(crate) async fn remove_member(
    State(app): State<api::App>,
    member: Owned<Member, Write>,
    if_match: IfMatch,
) -> Result<StatusCode, Problem> {
    if_match.check(member.version, "member")?;
    let tenant = member.caller.tenant();
    let cause = member.caller.cause();
    app.store().org(tenant).remove(&cause, &member.item).await?;
    app.forget_members(tenant.org());
    Ok(StatusCode::NO_CONTENT)
}
