//! Grounding: the passages that an agent is shown before it is asked.
//!
//! Every question is searched for in every way there is. The rankings are fused, and of the best as
//! many are taken as a budget of tokens holds.

use domain::knowledge::Chunk;
use domain::price::estimated_tokens;
use kernel::KnowledgeBaseId;

use crate::fuse::fuse;
use crate::{FoundChunk, Ranking, Retriever, SearchError, bases_by_id};

/// How many passages one ranking gives.
const CANDIDATES: usize = 20;
/// What a passage costs beside its text: its marker, its document, its place.
const FRAME_TOKENS: u32 = 60;

/// The chunks of these knowledge bases that bear on any of `questions`, best first, as many as
/// `max_tokens` hold. What is not near to a question and has less than half of its words is left
/// out, even if nothing remains.
///
/// # Errors
/// [`SearchError::NoKnownWords`] if that holds for all questions; the others, if any is met.
pub async fn passages(
    retriever: &Retriever<'_>,
    bases: &[KnowledgeBaseId],
    questions: &[&str],
    max_tokens: u32,
) -> Result<Vec<Chunk>, SearchError> {
    let bases = bases_by_id(retriever.store, retriever.tenant, bases).await?;
    let mut lists = Vec::new();
    for question in questions {
        let found = retriever.rankings(&bases, question, CANDIDATES, Ranking::into_near);
        match found.await {
            Ok(found) => lists.extend(found),
            Err(SearchError::NoKnownWords) => {}
            Err(error) => return Err(error),
        }
    }
    if lists.is_empty() {
        return Err(SearchError::NoKnownWords);
    }
    // A document that is part of two knowledge bases is shown once.
    let fused = fuse(lists, |found: &FoundChunk| {
        (found.chunk.file, found.chunk.ordinal)
    });
    let chunks = fused.into_iter().map(|found| found.chunk);
    Ok(pack(chunks.collect(), max_tokens))
}

/// The first of `chunks` that a budget holds. One that does not fit is passed over.
fn pack(chunks: Vec<Chunk>, max_tokens: u32) -> Vec<Chunk> {
    let mut left = max_tokens;
    let fits = |chunk: &Chunk| {
        let tokens = estimated_tokens(&chunk.text).saturating_add(FRAME_TOKENS);
        let rest = left.checked_sub(tokens);
        left = rest.unwrap_or(left);
        rest.is_some()
    };
    chunks.into_iter().filter(fits).collect()
}

#[cfg(test)]
mod tests {
    use kernel::{FileId, OrgId};

    use super::*;

    fn chunk(ordinal: u32, bytes: usize) -> Chunk {
        Chunk {
            org: OrgId::from_u128(1),
            knowledge_base: KnowledgeBaseId::from_u128(2),
            file: FileId::from_u128(3),
            document: "handbook.pdf".to_owned(),
            url: None,
            content_version: 1,
            ordinal,
            text: "x".repeat(bytes),
            page: None,
            heading_path: Vec::new(),
            start: 0,
            end: 0,
        }
    }

    fn packed(sizes: &[usize], max_tokens: u32) -> Vec<u32> {
        let chunks = (0..).zip(sizes).map(|(n, size)| chunk(n, *size)).collect();
        let packed = pack(chunks, max_tokens);
        packed.iter().map(|chunk| chunk.ordinal).collect()
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
