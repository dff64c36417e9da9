use api::{IfMatch, Json, Owned, Problem, Problems, Versioned, Write};
use axum::extract::State;
use domain::org::Org;
use garde::Validate;
use kernel::OrgId;
use serde::Deserialize;
use utoipa::ToSchema;

/// Changes to an organization. What is absent stays as it is.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OrgChanges {
    #[garde(inner(custom(api::text::name)))]
    #[schema(min_length = 1, max_length = 200)]
    name: Option<String>,
}

/// Change an organization.
#[utoipa::path(
    patch, path = "/v1/orgs/{org_id}", tag = "orgs", operation_id = "update_org",
    params(
        ("org_id" = OrgId, Path),
        ("If-Match" = Option<String>, Header, description = "The ETag that the change is based on."),
    ),
    request_body = OrgChanges,
    security(("bearer" = ["orgs:write"])),
    responses((status = 200, body = Org), Problems),
)]
pub(crate) async fn update(
    State(app): State<api::App>,
    org: Owned<Org, Write>,
    if_match: IfMatch,
    Json(changes): Json<OrgChanges>,
) -> Result<Versioned<Org>, Problem> {
    if_match.check(org.version, "organization")?;
    let Some(name) = changes.name.filter(|name| *name != org.name) else {
        return Ok(Versioned::new(org.version, org.item));
    };
    let cause = org.caller.cause();
    let renamed = app
        .store()
        .org(org.caller.tenant())
        .rename(&cause, &org.item, name)
        .await?;
    Ok(Versioned::new(renamed.version, renamed))
}
