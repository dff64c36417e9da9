use api::{Listing, PageQuery, Paging, Person, Problem, Problems, Query};
use axum::Json;
use axum::extract::State;
use domain::org::{Org, Role};
use kernel::Timestamp;
use kernel::cursor::Page;
use serde::Serialize;
use utoipa::ToSchema;

/// An organization, with the caller's place in it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OrgMembership {
    #[serde(flatten)]
    org: Org,
    /// What the caller may do there.
    role: Role,
    /// Since when the caller is a member.
    joined_at: Timestamp,
}

/// The organizations that you belong to, in the order of their creation. Memberships of deleted
/// ones are left out, so a page may be shorter than its limit. May lag behind by moments.
#[utoipa::path(
    get, path = "/v1/orgs", tag = "orgs", operation_id = "list_orgs",
    params(PageQuery),
    security(("bearer" = [])),
    responses((status = 200, body = Listing<OrgMembership>), Problems),
)]
pub(crate) async fn list(
    State(app): State<api::App>,
    person: Person,
    Query(query): Query<PageQuery>,
) -> Result<Json<Listing<OrgMembership>>, Problem> {
    let scope = format!("{}/orgs", person.user.id);
    let page = Paging::from(query).request_of(&app, &scope)?;
    let memberships = app.store().memberships(person.user.id, &page).await?;
    let orgs = app.store().orgs(&memberships.items).await?;
    let items = memberships
        .items
        .into_iter()
        .filter_map(|member| {
            let org = orgs.iter().find(|org| org.id == member.org)?.clone();
            Some(OrgMembership {
                org,
                role: member.role,
                joined_at: member.joined_at,
            })
        })
        .collect();
    Ok(Json(Listing::of(
        &app,
        &scope,
        Page {
            items,
            next: memberships.next,
        },
    )))
}
