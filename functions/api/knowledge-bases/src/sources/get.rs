use api::{Owned, Problem, Problems, Read, Versioned};
use axum::extract::State;
use domain::source::WebSource;
use kernel::{KnowledgeBaseId, SourceId};

use super::SourceView;

/// A source as it stands, with its latest crawl.
#[utoipa::path(
    get, path = "/v1/knowledge-bases/{knowledge_base_id}/sources/{source_id}",
    tag = "knowledge-bases", operation_id = "get_source",
    params(("knowledge_base_id" = KnowledgeBaseId, Path), ("source_id" = SourceId, Path)),
    security(("bearer" = ["knowledge:read"])),
    responses((status = 200, body = SourceView), Problems),
)]
pub(crate) async fn get(
    State(app): State<api::App>,
    source: Owned<WebSource, Read>,
) -> Result<Versioned<SourceView>, Problem> {
    let sources = app.store().sources(source.caller.tenant());
    let crawl = sources.crawl(&source.item).await?;
    let view = SourceView {
        crawl: crawl.map(|row| row.crawl),
        source: source.item,
    };
    Ok(Versioned::new(view.source.version, view))
}
