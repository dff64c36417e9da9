use api::{Owned, Problem, Problems, Read, Versioned};
use axum::extract::State;
use domain::knowledge::KnowledgeBase;
use kernel::KnowledgeBaseId;
use serde::Serialize;
use utoipa::ToSchema;
use work::Progress;

/// A knowledge base, and how far a change of its embedding model has come.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct KnowledgeBaseView {
    #[serde(flatten)]
    base: KnowledgeBase,
    #[serde(skip_serializing_if = "Option::is_none")]
    reembedding_progress: Option<ReembeddingProgress>,
}

/// How many documents have vectors of the new model. Documents that become ready meanwhile have
/// them from the beginning, and count as well.
#[derive(Debug, Serialize, ToSchema)]
struct ReembeddingProgress {
    documents_done: u64,
    /// Absent until they were counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    documents: Option<u64>,
}

/// A knowledge base as it stands.
#[utoipa::path(
    get, path = "/v1/knowledge-bases/{knowledge_base_id}", tag = "knowledge-bases",
    operation_id = "get_knowledge_base",
    params(("knowledge_base_id" = KnowledgeBaseId, Path)),
    security(("bearer" = ["knowledge:read"])),
    responses((status = 200, body = KnowledgeBaseView), Problems),
)]
pub(crate) async fn get(
    State(app): State<api::App>,
    base: Owned<KnowledgeBase, Read>,
) -> Result<Versioned<KnowledgeBaseView>, Problem> {
    let knowledge = app.store().knowledge(base.caller.tenant());
    let progress = match base.item.under_way() {
        Some(reembedding) => knowledge.reembedding_progress(reembedding).await?,
        None => None,
    };
    let view = KnowledgeBaseView {
        base: base.item,
        reembedding_progress: progress.map(ReembeddingProgress::from),
    };
    Ok(Versioned::new(view.base.version, view))
}

impl From<Progress> for ReembeddingProgress {
    fn from(progress: Progress) -> Self {
        Self {
            documents_done: progress.completed,
            documents: progress.total,
        }
    }
}
