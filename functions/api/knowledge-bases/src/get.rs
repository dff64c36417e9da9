use api::{Owned, Problems, Read, Versioned};
use domain::knowledge::KnowledgeBase;
use kernel::KnowledgeBaseId;

/// A knowledge base as it stands.
#[utoipa::path(
    get, path = "/v1/knowledge-bases/{knowledge_base_id}", tag = "knowledge-bases",
    operation_id = "get_knowledge_base",
    params(("knowledge_base_id" = KnowledgeBaseId, Path)),
    security(("bearer" = ["knowledge:read"])),
    responses((status = 200, body = KnowledgeBase), Problems),
)]
pub(crate) async fn get(base: Owned<KnowledgeBase, Read>) -> Versioned<KnowledgeBase> {
    Versioned::new(base.version, base.item)
}
