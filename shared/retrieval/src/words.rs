//! The ranking by words of what agents are shown: passages that have most words of a question.

use std::time::Duration;

use domain::knowledge::{Chunk, KnowledgeBase};
use domain::viewer::Viewer;
use store::ReadError;
use text_index::{ChunkPlace, Filter, ItemKind, Matching, Query, Scope};

use crate::Retriever;

/// How long the text index may take. A worker that sees an org for the first time fetches its index;
/// a run does not wait for that longer than for a model's first word.
const PATIENCE: Duration = Duration::from_secs(5);

impl Retriever<'_> {
    /// The chunks of these knowledge bases that have at least half of the words of `question`, best
    /// first. None while there is no text index that answers: what is near in meaning is found all
    /// the same.
    pub(crate) async fn by_words(
        &self,
        bases: &[KnowledgeBase],
        question: &str,
        limit: usize,
    ) -> Result<Vec<Chunk>, ReadError> {
        let text = text_index::query_of(question);
        // Without words everything is found, and in a filter no knowledge base is every one.
        if text.is_empty() || bases.is_empty() {
            return Ok(Vec::new());
        }
        let query = Query {
            matching: Matching::Most,
            filter: Filter {
                knowledge_bases: bases.iter().map(|base| base.id).collect(),
                ..Filter::default()
            },
            limit,
            highlight: false,
            ..Query::new(text)
        };
        // What an agent may search is a matter of its knowledge bases, and chunks are nobody's own.
        let scope = Scope::new([ItemKind::Chunk], Viewer::Everything);
        let searching = self.index.search(self.tenant, &scope, &query);
        let found = match tokio::time::timeout(PATIENCE, searching).await {
            Ok(Ok(found)) => found,
            Ok(Err(error)) => {
                tracing::warn!(%error, "passages are found by meaning alone");
                return Ok(Vec::new());
            }
            Err(_) => {
                tracing::warn!("the text index takes long: passages are found by meaning alone");
                return Ok(Vec::new());
            }
        };
        let places: Vec<ChunkPlace> = found
            .hits
            .iter()
            .filter_map(|hit| {
                let item = &hit.item;
                Some((item.knowledge_base?, item.file?, item.ordinal?))
            })
            .collect();
        self.chunks_in_order(&places).await
    }

    /// The chunks at these places, as they are now, in this order.
    async fn chunks_in_order(&self, places: &[ChunkPlace]) -> Result<Vec<Chunk>, ReadError> {
        if places.is_empty() {
            return Ok(Vec::new());
        }
        let mut chunks = self.store.knowledge(self.tenant).chunks_at(places).await?;
        let place = |chunk: &Chunk| {
            let of = (chunk.knowledge_base, chunk.file, chunk.ordinal);
            places.iter().position(|place| *place == of)
        };
        chunks.sort_by_key(place);
        Ok(chunks)
    }
}
