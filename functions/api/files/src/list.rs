use api::{Granted, Listing, PageQuery, Paging, Problem, Problems, Query, Read};
use axum::Json;
use axum::extract::State;
use domain::file::File;

/// Files of the organization, newest first.
#[utoipa::path(
    get, path = "/v1/files", tag = "files", operation_id = "list_files",
    params(PageQuery),
    security(("bearer" = ["files:read"])),
    responses((status = 200, body = Listing<File>), Problems),
)]
pub(crate) async fn list(
    State(app): State<api::App>,
    caller: Granted<File, Read>,
    Query(query): Query<PageQuery>,
) -> Result<Json<Listing<File>>, Problem> {
    let page = Paging::from(query).request(&app, &caller, "files")?;
    let files = app.store().files(caller.tenant()).page(&page).await?;
    Ok(Json(Listing::new(&app, &caller, "files", files)))
}
