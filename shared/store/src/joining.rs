//! Documents on their way into sets of vectors. What a document is otherwise is in
//! [`documents`](crate::documents), the vectors themselves are in [`vectors`](crate::vectors).

use domain::event::EventKind;
use domain::execution::Failure;
use domain::knowledge::{Document, DocumentStatus, Joining, KnowledgeBase};
use kernel::MicroCredits;
use serde::{Deserialize, Serialize};
use serde_json::json;
use work::Fence;

use crate::documents::INDEX_JOB;
use crate::knowledge::Knowledge;
use crate::{Cause, Commit, Error};

/// What it took to make the vectors of a document.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Embedded {
    /// How many of its chunks can be found.
    pub chunks: u32,
    /// What each model used.
    pub spent: Vec<EmbeddingSpent>,
}

/// What a model used up to embed texts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmbeddingSpent {
    pub model: String,
    /// Calls of a provider.
    pub calls: u64,
    /// Tokens that the provider counted.
    pub tokens: u64,
    /// Texts whose vectors were kept from before.
    pub kept: u64,
    /// What that costs, where the price of the model is known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cost: Option<MicroCredits>,
}

fn set_numbers(base: &KnowledgeBase) -> Vec<u32> {
    let sets = base.wanted_sets().into_iter();
    sets.map(|set| set.number).collect()
}

impl Knowledge<'_> {
    /// Notes that all chunks of a document can be found, `chunks` in number, and have vectors in
    /// all sets that its knowledge base wants. That base must be as it was read: if it has changed
    /// to another model meanwhile, there is more to do.
    ///
    /// # Errors
    /// [`Error::Commit`], as `FenceLost` if the attempt no longer holds its job, as `Changed` if
    /// the document was changed or taken out meanwhile, or its knowledge base changed.
    pub async fn indexed(
        &self,
        fence: Fence,
        cause: &Cause,
        current: &Document,
        base: &KnowledgeBase,
        embedded: &Embedded,
    ) -> Result<(), Error> {
        let document = Document {
            chunks: embedded.chunks,
            vector_sets: set_numbers(base),
            joining: None,
            ..self.next(current, DocumentStatus::Ready, None)
        };
        let mut commit = Commit::new(self.tenant)
            .fenced_by(fence)
            .unless_changed(base, base.version)
            .replace(&document, current.version);
        // One that could be searched all the while has only got other vectors.
        if current.status != DocumentStatus::Ready {
            let data = json!({
                "knowledge_base": document.knowledge_base,
                "chunks": embedded.chunks,
                "embedding": embedded.spent,
            });
            let event = self.document_event(cause, EventKind::DocumentIndexed, &document, data);
            commit = commit.event(event);
        }
        Ok(self.store.commit(commit).await?)
    }

    /// Has a document that can be searched brought into another set of vectors.
    ///
    /// # Errors
    /// As [`indexed`](Self::indexed).
    pub async fn join(
        &self,
        fence: Fence,
        cause: &Cause,
        current: &Document,
        vector_set: u32,
    ) -> Result<(), Error> {
        let document = Document {
            joining: Some(Joining {
                vector_set,
                failure: None,
            }),
            ..self.next(current, current.status, None)
        };
        let job = self.job(INDEX_JOB, cause, document.knowledge_base, document.file);
        let commit = Commit::new(self.tenant).fenced_by(fence);
        let commit = commit.replace(&document, current.version).job(job);
        Ok(self.store.commit(commit).await?)
    }

    /// Notes that a document cannot be brought into the set of vectors that it was joining. It is
    /// found by its old ones as before.
    ///
    /// # Errors
    /// As [`indexed`](Self::indexed).
    pub async fn not_joined(
        &self,
        fence: Fence,
        current: &Document,
        vector_set: u32,
        failure: &Failure,
    ) -> Result<(), Error> {
        let document = Document {
            joining: Some(Joining {
                vector_set,
                failure: Some(failure.clone()),
            }),
            ..self.next(current, current.status, None)
        };
        let commit = Commit::new(self.tenant).fenced_by(fence);
        let commit = commit.replace(&document, current.version);
        Ok(self.store.commit(commit).await?)
    }
}
