//! Carries a search out.

use std::time::Duration;

use api::Problem;
use embedding::EmbeddingError;
use http::StatusCode;
use kernel::cursor::Page;
use retrieval::hybrid::{DEPTH, HybridError, MeaningError, Ranked};
use retrieval::{Retriever, SearchError};
use text_index::{Found, Hit, Query, Scope};

use crate::answer::RankingName;
use crate::asked::{Asked, Rankings};
use crate::pages::{Start, page_at, page_of};

/// How long a search may take: less than a request may, so that what was too slow is told.
const TIME_LIMIT: Duration = Duration::from_secs(9);

/// What was found, beside the hits of a page.
pub(crate) struct Summary {
    pub(crate) rankings: Vec<RankingName>,
    pub(crate) total: Option<u64>,
    pub(crate) depth: Option<usize>,
    /// What the words found, without the hits.
    pub(crate) words: Found,
    pub(crate) notes: Vec<String>,
}

/// Finds a page of what is asked for.
///
/// # Errors
/// Why there is no answer, and whether there may be one later.
pub(crate) async fn find(
    retriever: &Retriever<'_>,
    scope: &Scope,
    asked: &Asked,
    start: &Start,
) -> Result<(Page<Hit>, Summary), Problem> {
    let finding = async {
        match asked.rankings {
            Rankings::Words => by_words(retriever, scope, &asked.query, start).await,
            Rankings::Meaning => {
                let found = retriever.by_meaning(scope, &asked.query).await;
                ranked(found, asked, start)
            }
            Rankings::Both => ranked(retriever.hybrid(scope, &asked.query).await, asked, start),
        }
    };
    let found = tokio::time::timeout(TIME_LIMIT, finding).await;
    found.unwrap_or_else(|_| Err(too_slow()))
}

async fn by_words(
    retriever: &Retriever<'_>,
    scope: &Scope,
    query: &Query,
    start: &Start,
) -> Result<(Page<Hit>, Summary), Problem> {
    let query = Query {
        after: match start {
            Start::After(position) => Some(*position),
            Start::First | Start::Shown(_) => None,
        },
        ..query.clone()
    };
    let found = retriever.index.search(retriever.tenant, scope, &query);
    let mut words = found.await.map_err(index_problem)?;
    let hits = std::mem::take(&mut words.hits);
    let page = page_at(hits, words.next);
    let summary = Summary {
        rankings: vec![RankingName::Text],
        total: Some(words.total),
        depth: None,
        words,
        notes: Vec::new(),
    };
    Ok((page, summary))
}

fn ranked(
    found: Result<Ranked, HybridError>,
    asked: &Asked,
    start: &Start,
) -> Result<(Page<Hit>, Summary), Problem> {
    let (found, mut notes) = match found {
        Ok(found) => (found, Vec::new()),
        // An empty list, and why.
        Err(HybridError::Meaning(MeaningError::Search(error @ SearchError::NoKnownWords))) => {
            let nothing = Ranked {
                hits: Vec::new(),
                words: None,
                without_meaning: None,
            };
            (nothing, vec![error.to_string()])
        }
        Err(HybridError::Meaning(error)) => return Err(meaning_problem(error)),
        Err(HybridError::Words(error)) => return Err(index_problem(error)),
    };
    let mut rankings = Vec::new();
    rankings.extend(found.words.is_some().then_some(RankingName::Text));
    match &found.without_meaning {
        None => rankings.push(RankingName::Semantic),
        Some(error) => notes.push(without_meaning(error)),
    }
    let page = page_of(found.hits, start, asked.query.limit);
    let summary = Summary {
        rankings,
        total: None,
        depth: Some(DEPTH),
        words: found.words.unwrap_or_default(),
        notes,
    };
    Ok((page, summary))
}

/// What is said where the words alone answered.
fn without_meaning(error: &MeaningError) -> String {
    match error {
        MeaningError::Search(SearchError::NoKnownWords) | MeaningError::TooManyBases => {}
        error => tracing::warn!(%error, "a search was answered by words alone"),
    }
    format!("Found by words alone. {error}")
}

pub(crate) fn index_problem(error: text_index::Error) -> Problem {
    match error {
        text_index::Error::TooLong => Problem::invalid_field("/query", error.to_string()),
        text_index::Error::Outdated => Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "index_outdated",
            "The text index is being made anew. Try again in a moment.",
        )
        .retry_after(10),
        text_index::Error::Read(error) => error.into(),
        text_index::Error::Object(error) => error.into(),
        error @ (text_index::Error::Index(_) | text_index::Error::Panicked) => {
            Problem::internal(error)
        }
    }
}

fn meaning_problem(error: MeaningError) -> Problem {
    match error {
        MeaningError::TooManyBases => {
            Problem::invalid_field("/filters/knowledge_base", error.to_string())
        }
        MeaningError::Search(SearchError::Read(error)) => error.into(),
        MeaningError::Search(SearchError::Model(error)) => model_problem(&error),
        MeaningError::Search(
            error @ (SearchError::ModelNotConfigured { .. } | SearchError::NoKnownWords),
        ) => Problem::conflict("embedding_model_not_configured", error.to_string()),
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

fn too_slow() -> Problem {
    let detail = "The search took too long. Ask with fewer words, or try again in a moment.";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "search_timeout", detail).retry_after(1)
}

#[cfg(test)]
mod tests {
    use kernel::KnowledgeBaseId;
    use text_index::{ItemKind, Matching};

    use super::*;

    fn asked() -> Asked {
        Asked {
            rankings: Rankings::Both,
            query: Query {
                matching: Matching::Any,
                ..Query::new("oil")
            },
        }
    }

    fn code(error: impl Into<HybridError>) -> (u16, &'static str) {
        let problem = ranked(Err(error.into()), &asked(), &Start::First).err();
        let problem = problem.expect("no answer");
        (problem.status().as_u16(), problem.code())
    }

    fn of_model(error: EmbeddingError) -> MeaningError {
        MeaningError::Search(error.into())
    }

    #[test]
    fn why_there_is_no_answer_is_told() {
        use text_index::Error;
        let model: embedding::ModelId = "openai::m@256".parse().expect("an id");
        assert_eq!(code(Error::TooLong), (422, "invalid_request"));
        assert_eq!(code(Error::Outdated), (503, "index_outdated"));
        assert_eq!(code(Error::Panicked), (500, "internal"));
        assert_eq!(code(MeaningError::TooManyBases), (422, "invalid_request"));
        let held = SearchError::ModelNotConfigured {
            base: KnowledgeBaseId::from_u128(3),
            held: model.to_string(),
        };
        assert_eq!(
            code(MeaningError::Search(held)),
            (409, "embedding_model_not_configured")
        );
        let unavailable = EmbeddingError::Unavailable {
            model: model.clone(),
            reason: "it is limiting the rate of requests".to_owned(),
            retry_after: None,
        };
        assert_eq!(
            code(of_model(unavailable)),
            (503, "embedding_model_unavailable")
        );
        let refused = EmbeddingError::Refused {
            model,
            reason: "the key is wrong".to_owned(),
        };
        assert_eq!(code(of_model(refused)), (502, "embedding_model_refused"));
        assert_eq!(too_slow().status().as_u16(), 503);
    }

    #[test]
    fn a_question_without_a_known_word_has_an_empty_answer_that_says_so() {
        let error = HybridError::Meaning(MeaningError::Search(SearchError::NoKnownWords));
        let found = ranked(Err(error), &asked(), &Start::First);
        let (page, found) = found.expect("an answer");
        assert!(page.items.is_empty() && page.next.is_none());
        assert!(found.notes[0].contains("No word of the query is known"));
        assert_eq!(found.rankings, [RankingName::Semantic]);
    }

    #[test]
    fn words_alone_answer_where_meaning_cannot_and_that_is_said() {
        let hit = Hit {
            item: text_index::Item::new(ItemKind::Task, "x", kernel::Timestamp::from_millis(0)),
            score: 1.0,
            highlights: Vec::new(),
        };
        let found = Ranked {
            hits: vec![hit],
            words: Some(Found::default()),
            without_meaning: Some(MeaningError::TooManyBases),
        };
        let found = ranked(Ok(found), &asked(), &Start::First);
        let (page, found) = found.expect("an answer");
        assert_eq!(found.rankings, [RankingName::Text]);
        assert!(found.notes[0].starts_with("Found by words alone. More than 50"));
        assert_eq!(page.items.len(), 1);
    }
}
