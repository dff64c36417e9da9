use api::{Granted, Listing, PageQuery, Paging, Problem, Problems, Query, Read};
use axum::Json;
use axum::extract::State;
use domain::tool::Tool;

/// Registered tools of the organization, newest first. Built-in tools are in every organization
/// and not listed.
#[utoipa::path(
    get, path = "/v1/tools", tag = "tools", operation_id = "list_tools",
    params(PageQuery),
    security(("bearer" = ["tools:read"])),
    responses((status = 200, body = Listing<Tool>), Problems),
)]
pub(crate) async fn list(
    State(app): State<api::App>,
    caller: Granted<Tool, Read>,
    Query(query): Query<PageQuery>,
) -> Result<Json<Listing<Tool>>, Problem> {
    let page = Paging::from(query).request(&app, &caller, "tools")?;
    let tools = app.store().tools(caller.tenant()).page(&page).await?;
    Ok(Json(Listing::new(&app, &caller, "tools", tools)))
}
