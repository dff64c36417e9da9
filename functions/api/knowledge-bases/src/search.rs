use api::{Json, Owned, Problem, Problems, Read};
use axum::Extension;
use axum::extract::State;
use domain::knowledge::{KnowledgeBase, Passage};
use embedding::{Embedders, EmbeddingError};
use garde::Validate;
use http::StatusCode;
use kernel::KnowledgeBaseId;
use retrieval::{MAX_PASSAGES, MAX_QUERY_CHARS, SearchError};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What to look for.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SearchQuery {
    /// A question or a few words.
    #[garde(length(chars, max = MAX_QUERY_CHARS), custom(not_blank))]
    #[schema(
        min_length = 1,
        max_length = 2_000,
        example = "What does fault code E-217 mean?"
    )]
    query: String,
    /// The most passages to give.
    #[garde(range(min = 1, max = MAX_PASSAGES))]
    #[schema(minimum = 1, maximum = 50, default = 10)]
    #[serde(default = "default_limit")]
    limit: usize,
}

fn default_limit() -> usize {
    10
}

fn not_blank(text: &str, (): &()) -> garde::Result {
    if text.trim().is_empty() {
        return Err(garde::Error::new("must not be blank"));
    }
    Ok(())
}

/// What was found.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SearchAnswer {
    /// Passages, nearest to the query first, each with its document and page or heading.
    passages: Vec<Passage>,
    /// The embedding model that compared them.
    #[schema(example = "static-en-256@1")]
    model: String,
    /// Why nothing was found, where there is more to say than that nothing is near.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

/// Find the passages of a knowledge base that are nearest in meaning to a query.
#[utoipa::path(
    post, path = "/v1/knowledge-bases/{knowledge_base_id}/search", tag = "knowledge-bases",
    operation_id = "search_knowledge_base",
    params(("knowledge_base_id" = KnowledgeBaseId, Path)),
    request_body = SearchQuery,
    security(("bearer" = ["knowledge:read"])),
    responses((status = 200, body = SearchAnswer), Problems),
)]
pub(crate) async fn search(
    State(app): State<api::App>,
    Extension(embedders): Extension<Embedders>,
    base: Owned<KnowledgeBase, Read>,
    Json(body): Json<SearchQuery>,
) -> Result<axum::Json<SearchAnswer>, Problem> {
    let bases = std::slice::from_ref(&base.item);
    let tenant = base.caller.tenant();
    let (query, limit) = (&body.query, body.limit);
    let found = retrieval::search_in(app.store(), &embedders, tenant, bases, query, limit).await;
    answer(base.item.embedding_model, found).map(axum::Json)
}

fn answer(
    model: String,
    found: Result<Vec<Passage>, SearchError>,
) -> Result<SearchAnswer, Problem> {
    match found {
        Ok(passages) => Ok(SearchAnswer {
            passages,
            model,
            note: None,
        }),
        Err(error @ SearchError::NoKnownWords) => Ok(SearchAnswer {
            passages: Vec::new(),
            model,
            note: Some(error.to_string()),
        }),
        Err(error @ SearchError::ModelNotConfigured { .. }) => Err(Problem::conflict(
            "embedding_model_not_configured",
            error.to_string(),
        )),
        Err(SearchError::Model(error)) => Err(model_problem(&error)),
        Err(SearchError::Read(error)) => Err(error.into()),
    }
}

fn model_problem(error: &EmbeddingError) -> Problem {
    let detail = error.to_string();
    if !error.is_transient() {
        return Problem::new(StatusCode::BAD_GATEWAY, "embedding_model_refused", detail);
    }
    let wait = error.retry_after().map_or(1, |wait| wait.as_secs().max(1));
    let problem = Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "embedding_model_unavailable",
        detail,
    );
    problem.retry_after(u32::try_from(wait).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use embedding::ModelId;

    use super::*;

    const MODEL: &str = "static-en-256@1";

    #[test]
    fn a_query_without_a_known_word_is_answered_with_a_note() {
        let answer =
            answer(MODEL.to_owned(), Err(SearchError::NoKnownWords)).expect("an empty list");
        assert!(answer.passages.is_empty());
        assert!(
            answer
                .note
                .is_some_and(|note| note.contains("No word of the query is known"))
        );
    }

    #[test]
    fn a_model_that_cannot_answer_is_a_problem_that_says_so() {
        let model: ModelId = "openai::m@256".parse().expect("an id");
        let problem = |error: SearchError| {
            let problem = answer(model.to_string(), Err(error)).expect_err("no answer");
            (problem.status().as_u16(), problem.code())
        };
        assert_eq!(
            problem(SearchError::ModelNotConfigured {
                base: KnowledgeBaseId::from_u128(3),
                held: model.to_string(),
            }),
            (409, "embedding_model_not_configured")
        );
        let unavailable = EmbeddingError::Unavailable {
            model: model.clone(),
            reason: "it is limiting the rate of requests".to_owned(),
            retry_after: None,
        };
        assert_eq!(
            problem(unavailable.into()),
            (503, "embedding_model_unavailable")
        );
        let refused = EmbeddingError::Refused {
            model: model.clone(),
            reason: "the key is wrong".to_owned(),
        };
        assert_eq!(problem(refused.into()), (502, "embedding_model_refused"));
    }
}
