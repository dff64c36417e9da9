use api::{Json, Person, Problem, Problems, Versioned, created};
use axum::extract::State;
use axum::response::Response;
use domain::org::Org;
use garde::Validate;
use serde::Deserialize;
use utoipa::ToSchema;

/// A new organization.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewOrg {
    /// What people call it.
    #[garde(custom(api::text::name))]
    #[schema(min_length = 1, max_length = 200, example = "Harbour Lane Bakery")]
    name: String,
}

/// Create an organization. You are its first admin.
#[utoipa::path(
    post, path = "/v1/orgs", tag = "orgs", operation_id = "create_org",
    request_body = NewOrg,
    security(("bearer" = [])),
    responses((status = 201, body = Org), Problems),
)]
pub(crate) async fn create(
    State(app): State<api::App>,
    person: Person,
    Json(body): Json<NewOrg>,
) -> Result<Response, Problem> {
    let org = app
        .store()
        .create_org(&person.cause(), body.name, &person.user)
        .await?;
    let location = format!("/v1/orgs/{}", org.id);
    Ok(created(&location, Versioned::new(org.version, org)))
}
