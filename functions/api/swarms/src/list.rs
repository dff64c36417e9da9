use api::{Granted, Listing, PageQuery, Paging, Problem, Problems, Query, Read};
use axum::Json;
use axum::extract::State;
use domain::swarm::Swarm;

/// Swarms of the organization, newest first.
#[utoipa::path(
    get, path = "/v1/swarms", tag = "swarms", operation_id = "list_swarms",
    params(PageQuery),
    security(("bearer" = ["agents:read"])),
    responses((status = 200, body = Listing<Swarm>), Problems),
)]
pub(crate) async fn list(
    State(app): State<api::App>,
    caller: Granted<Swarm, Read>,
    Query(query): Query<PageQuery>,
) -> Result<Json<Listing<Swarm>>, Problem> {
    let page = Paging::from(query).request(&app, &caller, "swarms")?;
    let swarms = app.store().swarms(caller.tenant()).page(&page).await?;
    Ok(Json(Listing::new(&app, &caller, "swarms", swarms)))
}
