use api::{Granted, Listing, PageQuery, Paging, Problem, Problems, Query, Read};
use axum::Json;
use axum::extract::State;
use domain::knowledge::KnowledgeBase;

/// Knowledge bases of the organization, newest first.
#[utoipa::path(
    get, path = "/v1/knowledge-bases", tag = "knowledge-bases",
    operation_id = "list_knowledge_bases",
    params(PageQuery),
    security(("bearer" = ["knowledge:read"])),
    responses((status = 200, body = Listing<KnowledgeBase>), Problems),
)]
pub(crate) async fn list(
    State(app): State<api::App>,
    caller: Granted<KnowledgeBase, Read>,
    Query(query): Query<PageQuery>,
) -> Result<Json<Listing<KnowledgeBase>>, Problem> {
    let page = Paging::from(query).request(&app, &caller, "knowledge-bases")?;
    let bases = app.store().knowledge(caller.tenant()).bases(&page).await?;
    Ok(Json(Listing::new(&app, &caller, "knowledge-bases", bases)))
}
