use api::{Owned, Problem, Problems, Versioned, Write};
use axum::extract::State;
use domain::source::{WebSource, WebSourceStatus};
use kernel::{KnowledgeBaseId, SourceId};

use super::refuse_deleting;

/// Have a source crawled now. Idempotent: one that is being crawled is answered as it is.
#[utoipa::path(
    post, path = "/v1/knowledge-bases/{knowledge_base_id}/sources/{source_id}/refresh",
    tag = "knowledge-bases", operation_id = "refresh_source",
    params(("knowledge_base_id" = KnowledgeBaseId, Path), ("source_id" = SourceId, Path)),
    security(("bearer" = ["knowledge:write"])),
    responses((status = 200, body = WebSource), Problems),
)]
pub(crate) async fn refresh(
    State(app): State<api::App>,
    source: Owned<WebSource, Write>,
) -> Result<Versioned<WebSource>, Problem> {
    refuse_deleting(&source.item)?;
    let refreshed = match source.item.status {
        WebSourceStatus::Crawling => source.item,
        WebSourceStatus::Paused => {
            return Err(Problem::conflict(
                "source_paused",
                "This source is paused. Resume it, and it is crawled when it is due.",
            ));
        }
        WebSourceStatus::Waiting | WebSourceStatus::Deleting => {
            let sources = app.store().sources(source.caller.tenant());
            sources
                .refresh(&source.caller.cause(), &source.item)
                .await?
        }
    };
    Ok(Versioned::new(refreshed.version, refreshed))
}
