use api::{IfMatch, Owned, Problem, Problems, Write};
use axum::extract::State;
use domain::org::Org;
use http::StatusCode;
use kernel::OrgId;

/// Delete an organization. Nobody gets in from now on, and its API keys open nothing; an instance
/// that has just let somebody in may do so for half a minute more.
#[utoipa::path(
    delete, path = "/v1/orgs/{org_id}", tag = "orgs", operation_id = "delete_org",
    params(
        ("org_id" = OrgId, Path),
        ("If-Match" = Option<String>, Header, description = "The ETag that the change is based on."),
    ),
    security(("bearer" = ["orgs:write"])),
    responses((status = 204), Problems),
)]
pub(crate) async fn delete(
    State(app): State<api::App>,
    org: Owned<Org, Write>,
    if_match: IfMatch,
) -> Result<StatusCode, Problem> {
    if_match.check(org.version, "organization")?;
    let cause = org.caller.cause();
    app.store()
        .org(org.caller.tenant())
        .delete(&cause, &org.item)
        .await?;
    app.forget_members(org.id);
    app.forget_keys(org.id);
    Ok(StatusCode::NO_CONTENT)
}
