use api::{Granted, Json, Problem, Problems, Versioned, Write, created};
use axum::extract::State;
use axum::response::Response;
use domain::knowledge::KnowledgeBase;
use garde::Validate;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::MAX_DESCRIPTION;

/// A new knowledge base.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewKnowledgeBase {
    /// What people call it.
    #[garde(custom(api::text::name))]
    #[schema(min_length = 1, max_length = 200, example = "Handbooks")]
    name: String,
    /// What is in it, for people.
    #[garde(length(chars, max = MAX_DESCRIPTION))]
    #[schema(max_length = 2_000)]
    #[serde(default)]
    description: String,
}

/// Create a knowledge base. It holds vectors of the platform's embedding model.
#[utoipa::path(
    post, path = "/v1/knowledge-bases", tag = "knowledge-bases",
    operation_id = "create_knowledge_base",
    request_body = NewKnowledgeBase,
    security(("bearer" = ["knowledge:write"])),
    responses((status = 201, body = KnowledgeBase), Problems),
)]
pub(crate) async fn create(
    State(app): State<api::App>,
    caller: Granted<KnowledgeBase, Write>,
    Json(body): Json<NewKnowledgeBase>,
) -> Result<Response, Problem> {
    let base = app
        .store()
        .knowledge(caller.tenant())
        .create(
            &caller.cause(),
            body.name,
            body.description,
            retrieval::embedding_model(),
        )
        .await?;
    let location = format!("/v1/knowledge-bases/{}", base.id);
    Ok(created(&location, Versioned::new(base.version, base)))
}
