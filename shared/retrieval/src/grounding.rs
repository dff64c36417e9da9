//! Grounding: the passages that an agent is shown before it is asked.
//!
//! Every question is searched for in every way there is. The rankings are fused, and of the best as
//! many are taken as a budget of tokens holds.

use domain::knowledge::{KnowledgeBase, Passage};
use domain::price::estimated_tokens;
use embedding::Embedders;
use kernel::KnowledgeBaseId;
use store::{Store, Tenant};

use crate::fuse::fuse;
use crate::{Ranking, SearchError, bases_by_id, rankings};

/// How many passages one ranking gives.
const CANDIDATES: usize = 20;
/// What a passage costs beside its text: its marker, its document, its place.
const FRAME_TOKENS: u32 = 60;

/// The passages of these knowledge bases that bear on any of `questions`, best first, as many as
/// `max_tokens` hold. Passages that are not near to a question are left out, even if nothing is.
///
/// # Errors
/// [`SearchError::NoKnownWords`] if that holds for all questions; the others, if any is met.
pub async fn passages(
    store: &Store,
    embedders: &Embedders,
    tenant: Tenant,
    bases: &[KnowledgeBaseId],
    questions: &[&str],
    max_tokens: u32,
) -> Result<Vec<Passage>, SearchError> {
    let bases = bases_by_id(store, tenant, bases).await?;
    let mut lists = Vec::new();
    for question in questions {
        match nearest(store, embedders, tenant, &bases, question).await {
            Ok(found) => lists.extend(found),
            Err(SearchError::NoKnownWords) => {}
            Err(error) => return Err(error),
        }
    }
    if lists.is_empty() {
        return Err(SearchError::NoKnownWords);
    }
    // A document that is part of two knowledge bases is shown once.
    let fused = fuse(lists, |passage| (passage.chunk.file, passage.chunk.ordinal));
    Ok(pack(fused, max_tokens))
}

/// What each way of searching finds, best first: the nearest, by each model that a knowledge base
/// has.
async fn nearest(
    store: &Store,
    embedders: &Embedders,
    tenant: Tenant,
    bases: &[KnowledgeBase],
    question: &str,
) -> Result<Vec<Vec<Passage>>, SearchError> {
    let rankings = rankings(store, embedders, tenant, bases, question, CANDIDATES).await?;
    let near = |ranking: Ranking| {
        let floor = ranking.floor.unwrap_or(f64::NEG_INFINITY);
        let passages = ranking.passages.into_iter();
        passages.filter(|passage| passage.score >= floor).collect()
    };
    Ok(rankings.into_iter().map(near).collect())
}

/// The first of `passages` that a budget holds. One that does not fit is passed over.
fn pack(passages: Vec<Passage>, max_tokens: u32) -> Vec<Passage> {
    let mut left = max_tokens;
    let fits = |passage: &Passage| {
        let tokens = estimated_tokens(&passage.chunk.text).saturating_add(FRAME_TOKENS);
        let rest = left.checked_sub(tokens);
        left = rest.unwrap_or(left);
        rest.is_some()
    };
    passages.into_iter().filter(fits).collect()
}

#[cfg(test)]
mod tests {
    use domain::knowledge::Chunk;
    use kernel::{FileId, OrgId};

    use super::*;

    fn passage(ordinal: u32, bytes: usize) -> Passage {
        Passage {
            chunk: Chunk {
                org: OrgId::from_u128(1),
                knowledge_base: KnowledgeBaseId::from_u128(2),
                file: FileId::from_u128(3),
                document: "handbook.pdf".to_owned(),
                content_version: 1,
                ordinal,
                text: "x".repeat(bytes),
                page: None,
                heading_path: Vec::new(),
                start: 0,
                end: 0,
            },
            score: 0.5,
        }
    }

    fn packed(sizes: &[usize], max_tokens: u32) -> Vec<u32> {
        let passages = (0..)
            .zip(sizes)
            .map(|(n, size)| passage(n, *size))
            .collect();
        let packed = pack(passages, max_tokens);
        packed.iter().map(|one| one.chunk.ordinal).collect()
    }

    #[test]
    fn a_budget_is_kept_and_smaller_passages_fill_it() {
        let frame = FRAME_TOKENS;
        assert_eq!(packed(&[300, 300], 2 * (frame + 100)), [0, 1]);
        assert_eq!(packed(&[300, 300], 2 * (frame + 100) - 1), [0]);
        assert_eq!(packed(&[300, 9_000, 30], 2 * (frame + 100)), [0, 2]);
        assert_eq!(packed(&[300], 0), Vec::<u32>::new());
    }
}
