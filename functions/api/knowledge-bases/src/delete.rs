use api::{IfMatch, Owned, Problem, Problems, Write};
use axum::extract::State;
use domain::knowledge::KnowledgeBase;
use http::StatusCode;
use kernel::KnowledgeBaseId;
use kernel::cursor::PageRequest;

/// Delete a knowledge base that holds no documents and has no sources. A document that is added in the same instant is
/// taken out again.
#[utoipa::path(
    delete, path = "/v1/knowledge-bases/{knowledge_base_id}", tag = "knowledge-bases",
    operation_id = "delete_knowledge_base",
    params(
        ("knowledge_base_id" = KnowledgeBaseId, Path),
        ("If-Match" = Option<String>, Header, description = "The ETag that the deletion is based on."),
    ),
    security(("bearer" = ["knowledge:write"])),
    responses((status = 204), Problems),
)]
pub(crate) async fn delete(
    State(app): State<api::App>,
    base: Owned<KnowledgeBase, Write>,
    if_match: IfMatch,
) -> Result<StatusCode, Problem> {
    if_match.check(base.version, "knowledge base")?;
    let knowledge = app.store().knowledge(base.caller.tenant());
    let documents = knowledge.documents(base.id, &PageRequest::first(1)).await?;
    if !documents.items.is_empty() {
        return Err(Problem::conflict(
            "not_empty",
            "This knowledge base holds documents. Take them out before you delete it.",
        ));
    }
    let sources = app.store().sources(base.caller.tenant());
    let sources = sources.of(base.id, &PageRequest::first(1)).await?;
    if !sources.items.is_empty() {
        return Err(Problem::conflict(
            "has_sources",
            "This knowledge base has sources. Delete them before you delete it, and wait until they \
             are gone.",
        ));
    }
    knowledge.delete(&base.caller.cause(), &base.item).await?;
    Ok(StatusCode::NO_CONTENT)
}
