use api::{Json, Owned, Problem, Problems, Read};
use axum::extract::State;
use domain::knowledge::{KnowledgeBase, Passage};
use garde::Validate;
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
    base: Owned<KnowledgeBase, Read>,
    Json(body): Json<SearchQuery>,
) -> Result<axum::Json<SearchAnswer>, Problem> {
    let bases = std::slice::from_ref(&base.item);
    let tenant = base.caller.tenant();
    let found = retrieval::search_in(app.store(), tenant, bases, &body.query, body.limit).await;
    answer(found).map(axum::Json)
}

fn answer(found: Result<Vec<Passage>, SearchError>) -> Result<SearchAnswer, Problem> {
    let model = retrieval::embedding_model();
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
        Err(error @ SearchError::ModelMismatch { .. }) => Err(Problem::conflict(
            "embedding_model_mismatch",
            error.to_string(),
        )),
        Err(SearchError::Read(error)) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_without_a_known_word_is_answered_with_a_note() {
        let answer = answer(Err(SearchError::NoKnownWords)).expect("an empty list");
        assert!(answer.passages.is_empty());
        assert!(
            answer
                .note
                .is_some_and(|note| note.contains("No word of the query is known"))
        );
    }

    #[test]
    fn vectors_of_another_model_are_a_conflict() {
        let problem = answer(Err(SearchError::ModelMismatch {
            base: KnowledgeBaseId::from_u128(3),
            held: "older@1".to_owned(),
            at_hand: retrieval::embedding_model(),
        }))
        .expect_err("vectors that do not compare");
        assert_eq!(
            (problem.status().as_u16(), problem.code()),
            (409, "embedding_model_mismatch")
        );
    }
}
