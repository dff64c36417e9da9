use api::{IfMatch, Json, Owned, Problem, Problems, Versioned, Write};
use axum::extract::State;
use domain::knowledge::KnowledgeBase;
use garde::Validate;
use kernel::KnowledgeBaseId;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::MAX_DESCRIPTION;

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
}

/// Change name or description of a knowledge base.
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
    base: Owned<KnowledgeBase, Write>,
    if_match: IfMatch,
    Json(changes): Json<KnowledgeBaseChanges>,
) -> Result<Versioned<KnowledgeBase>, Problem> {
    if_match.check(base.version, "knowledge base")?;
    let name = changes.name.unwrap_or_else(|| base.name.clone());
    let description = changes
        .description
        .unwrap_or_else(|| base.description.clone());
    let cause = base.caller.cause();
    let knowledge = app.store().knowledge(base.caller.tenant());
    let updated = knowledge
        .update(&cause, &base.item, name, description)
        .await?;
    Ok(Versioned::new(updated.version, updated))
}
