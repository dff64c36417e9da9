use api::{Granted, Listing, PageQuery, Paging, Problem, Problems, Query, Read};
use axum::Json;
use axum::extract::State;
use domain::api_key::ApiKey;

/// API keys of the organization, newest first, revoked ones included.
#[utoipa::path(
    get, path = "/v1/api-keys", tag = "api-keys", operation_id = "list_api_keys",
    params(PageQuery),
    security(("bearer" = ["api-keys:read"])),
    responses((status = 200, body = Listing<ApiKey>), Problems),
)]
pub(crate) async fn list(
    State(app): State<api::App>,
    caller: Granted<ApiKey, Read>,
    Query(query): Query<PageQuery>,
) -> Result<Json<Listing<ApiKey>>, Problem> {
    let page = Paging::from(query).request(&app, &caller, "api-keys")?;
    let keys = app.store().api_keys(caller.tenant()).page(&page).await?;
    Ok(Json(Listing::new(&app, &caller, "api-keys", keys)))
}
