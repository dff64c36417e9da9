use api::{Listing, Owned, Paging, Problem, Problems, Query, Read};
use axum::Json;
use axum::extract::State;
use domain::source::{WebPage, WebPageStatus, WebSource};
use garde::Validate;
use kernel::{KnowledgeBaseId, SourceId};
use serde::Deserialize;
use utoipa::IntoParams;

/// Which pages of a source are listed.
#[derive(Debug, Deserialize, Validate, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct WebPageQuery {
    /// Only pages that stand so.
    #[garde(skip)]
    status: Option<WebPageStatus>,
    /// The most items of a page, 1 to 100.
    #[garde(custom(api::limit_in_range))]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 100, default = 25)]
    limit: Option<String>,
    /// The `next_cursor` of the page before.
    #[garde(length(max = api::MAX_CURSOR_CHARS))]
    cursor: Option<String>,
}

/// Pages of a source: where each stands and why. In no order that means anything. Of one status, a
/// page of the list may hold fewer than its limit, and have more behind it.
#[utoipa::path(
    get, path = "/v1/knowledge-bases/{knowledge_base_id}/sources/{source_id}/pages",
    tag = "knowledge-bases", operation_id = "list_source_pages",
    params(
        ("knowledge_base_id" = KnowledgeBaseId, Path),
        ("source_id" = SourceId, Path),
        WebPageQuery,
    ),
    security(("bearer" = ["knowledge:read"])),
    responses((status = 200, body = Listing<WebPage>), Problems),
)]
pub(crate) async fn pages(
    State(app): State<api::App>,
    source: Owned<WebSource, Read>,
    Query(query): Query<WebPageQuery>,
) -> Result<Json<Listing<WebPage>>, Problem> {
    let limit = query.limit.as_deref().and_then(|limit| limit.parse().ok());
    let list = format!("sources/{}/pages?{:?}", source.item.id, query.status);
    let page = Paging::new(limit, query.cursor).request(&app, &source.caller, &list)?;
    let sources = app.store().sources(source.caller.tenant());
    let rows = sources.pages(&source.item, query.status, &page).await?;
    let pages = rows.map(|row| row.page);
    Ok(Json(Listing::new(&app, &source.caller, &list, pages)))
}
