use api::{IfMatch, Json, Owned, Problem, Problems, Versioned, Write};
use axum::Extension;
use axum::extract::State;
use domain::knowledge::KnowledgeBase;
use embedding::Embedders;
use garde::Validate;
use kernel::KnowledgeBaseId;
use serde::Deserialize;
use store::knowledge::KnowledgeBaseUpdate;
use utoipa::ToSchema;

use crate::model::configured;
use crate::{MAX_DESCRIPTION, MAX_MODEL};

/// Changes to a knowledge base. What is absent stays as it is.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct KnowledgeBaseChanges {
    #[garde(inner(custom(api::text::name)))]
    #[schema(min_length = 1, max_length = 200)]
    name: Option<String>,
    #[garde(length(chars, max = MAX_DESCRIPTION))]
    #[schema(max_length = 2_000)]
    description: Option<String>,
    /// The embedding model, as `name@version`. A job gives every document vectors of it; until all
    /// have them the old ones answer. The model that answers gives up such a change.
    #[garde(inner(length(chars, min = 1, max = MAX_MODEL)))]
    #[schema(min_length = 1, max_length = 200, example = "static-en-256@1")]
    embedding_model: Option<String>,
}

/// Change name, description or embedding model of a knowledge base.
#[utoipa::path(
    patch, path = "/v1/knowledge-bases/{knowledge_base_id}", tag = "knowledge-bases",
    operation_id = "update_knowledge_base",
    params(
        ("knowledge_base_id" = KnowledgeBaseId, Path),
        ("If-Match" = Option<String>, Header, description = "The ETag that the change is based on."),
    ),
    request_body = KnowledgeBaseChanges,
    security(("bearer" = ["knowledge:write"])),
    responses((status = 200, body = KnowledgeBase), Problems),
)]
pub(crate) async fn update(
    State(app): State<api::App>,
    Extension(embedders): Extension<Embedders>,
    base: Owned<KnowledgeBase, Write>,
    if_match: IfMatch,
    Json(changes): Json<KnowledgeBaseChanges>,
) -> Result<Versioned<KnowledgeBase>, Problem> {
    if_match.check(base.version, "knowledge base")?;
    let embedding_model = match &changes.embedding_model {
        // Also where it is no longer configured: to give a change up must always be possible.
        Some(asked) if *asked == base.embedding_model => Some(asked.clone()),
        Some(asked) => Some(configured(&embedders, asked)?),
        None => None,
    };
    let changes = KnowledgeBaseUpdate {
        name: changes.name,
        description: changes.description,
        embedding_model,
    };
    let cause = base.caller.cause();
    let knowledge = app.store().knowledge(base.caller.tenant());
    let updated = knowledge.update(&cause, &base.item, changes).await?;
    Ok(Versioned::new(updated.version, updated))
}
