use api::{Listing, Owned, PageQuery, Paging, Problem, Problems, Query, Read};
use axum::extract::State;
use domain::knowledge::KnowledgeBase;
use domain::source::WebSource;
use kernel::KnowledgeBaseId;

/// Sources of a knowledge base, newest first.
#[utoipa::path(
    get, path = "/v1/knowledge-bases/{knowledge_base_id}/sources", tag = "knowledge-bases",
    operation_id = "list_sources",
    params(("knowledge_base_id" = KnowledgeBaseId, Path), PageQuery),
    security(("bearer" = ["knowledge:read"])),
    responses((status = 200, body = Listing<WebSource>), Problems),
)]
pub(crate) async fn list(
    State(app): State<api::App>,
    base: Owned<KnowledgeBase, Read>,
    Query(query): Query<PageQuery>,
) -> Result<axum::Json<Listing<WebSource>>, Problem> {
    let list = format!("knowledge-bases/{}/sources", base.id);
    let page = Paging::from(query).request(&app, &base.caller, &list)?;
    let sources = app.store().sources(base.caller.tenant());
    let sources = sources.of(base.id, &page).await?;
    Ok(axum::Json(Listing::new(&app, &base.caller, &list, sources)))
}
