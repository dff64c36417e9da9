use api::{Owned, Problems, Read, Versioned};
use domain::org::Org;
use kernel::OrgId;

/// An organization.
#[utoipa::path(
    get, path = "/v1/orgs/{org_id}", tag = "orgs", operation_id = "get_org",
    params(("org_id" = OrgId, Path)),
    security(("bearer" = ["orgs:read"])),
    responses((status = 200, body = Org), Problems),
)]
pub(crate) async fn get(org: Owned<Org, Read>) -> Versioned<Org> {
    Versioned::new(org.version, org.item)
}
