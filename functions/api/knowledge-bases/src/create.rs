use api::{Granted, Json, Problem, Problems, Versioned, Write, created};
use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use domain::knowledge::KnowledgeBase;
use embedding::Embedders;
use garde::Validate;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::model::configured;
use crate::{MAX_DESCRIPTION, MAX_MODEL};

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
    /// The embedding model, as `name@version`. Left out, that of the platform.
    #[garde(inner(length(chars, min = 1, max = MAX_MODEL)))]
    #[schema(min_length = 1, max_length = 200, example = "static-en-256@1")]
    embedding_model: Option<String>,
}

/// Create a knowledge base. It holds vectors of one embedding model.
#[utoipa::path(
    post, path = "/v1/knowledge-bases", tag = "knowledge-bases",
    operation_id = "create_knowledge_base",
    request_body = NewKnowledgeBase,
    security(("bearer" = ["knowledge:write"])),
    responses((status = 201, body = KnowledgeBase), Problems),
)]
pub(crate) async fn create(
    State(app): State<api::App>,
    Extension(embedders): Extension<Embedders>,
    caller: Granted<KnowledgeBase, Write>,
    Json(body): Json<NewKnowledgeBase>,
) -> Result<Response, Problem> {
    let model = match &body.embedding_model {
        Some(asked) => configured(&embedders, asked)?,
        None => embedders.default_model().model().to_string(),
    };
    let base = app
        .store()
        .knowledge(caller.tenant())
        .create(&caller.cause(), body.name, body.description, model)
        .await?;
    let location = format!("/v1/knowledge-bases/{}", base.id);
    Ok(created(&location, Versioned::new(base.version, base)))
}
