use api::{Granted, Listing, PageQuery, Paging, Problem, Problems, Query, Read};
use axum::Json;
use axum::extract::State;
use domain::budget::Budget;

/// Every account that has a budget: agents, then the organization, then executions, oldest first.
#[utoipa::path(
    get, path = "/v1/budgets", tag = "budgets", operation_id = "list_budgets",
    params(PageQuery),
    security(("bearer" = ["budgets:read"])),
    responses((status = 200, body = Listing<Budget>), Problems),
)]
pub(crate) async fn list(
    State(app): State<api::App>,
    caller: Granted<Budget, Read>,
    Query(query): Query<PageQuery>,
) -> Result<Json<Listing<Budget>>, Problem> {
    let page = Paging::from(query).request(&app, &caller, "budgets")?;
    let budgets = app.store().budgets(caller.tenant()).page(&page).await?;
    Ok(Json(Listing::new(&app, &caller, "budgets", budgets)))
}
