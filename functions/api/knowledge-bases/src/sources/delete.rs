use api::{IfMatch, Owned, Problem, Problems, Write};
use axum::extract::State;
use domain::source::{WebSource, WebSourceStatus};
use http::StatusCode;
use kernel::{KnowledgeBaseId, SourceId};

/// Delete a source with its documents. Nothing of it is added from now on; its documents are removed
/// one after the other, and until the last is it is shown as `deleting`. Their files can be restored
/// for a while.
#[utoipa::path(
    delete, path = "/v1/knowledge-bases/{knowledge_base_id}/sources/{source_id}",
    tag = "knowledge-bases", operation_id = "delete_source",
    params(
        ("knowledge_base_id" = KnowledgeBaseId, Path),
        ("source_id" = SourceId, Path),
        ("If-Match" = Option<String>, Header, description = "The ETag that the deletion is based on."),
    ),
    security(("bearer" = ["knowledge:write"])),
    responses((status = 204), Problems),
)]
pub(crate) async fn delete(
    State(app): State<api::App>,
    source: Owned<WebSource, Write>,
    if_match: IfMatch,
) -> Result<StatusCode, Problem> {
    if_match.check(source.item.version, "source")?;
    if source.item.status != WebSourceStatus::Deleting {
        let sources = app.store().sources(source.caller.tenant());
        sources.delete(&source.caller.cause(), &source.item).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}
