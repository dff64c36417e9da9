//! `document.index`: brings the chunks of a file into one knowledge base, and gives them vectors in
//! every set that it wants: the one that answers, and the one of another model that is being made.
//!
//! Chunks and vectors are written over those of the same numbers, so writing again changes nothing.
//! How many are written is the job's progress, from which a next attempt goes on. A chunk in which
//! the model finds nothing (a row of digits, emoji) is kept to be read and cannot be found.
//!
//! What is ready is told on the condition that the knowledge base is as it was read. So whatever is
//! ready after the change to another model began has vectors of both, and `knowledge_base.reembed`
//! has only to see to what was ready before.

use std::sync::Arc;

use async_trait::async_trait;
use domain::execution::Failure;
use domain::file::{File, FileStatus};
use domain::knowledge::{Document, DocumentStatus, KnowledgeBase, VectorSet};
use store::documents::{DocumentPayload, INDEX_JOB};
use store::{Store, Tenant};
use work::{Attempt, Handler, Outcome};

use crate::fill::{Filler, NotWritten, Plan, Written};
use crate::process::cause;
use crate::trouble::{Trouble, ended};
use crate::unindex::{index_again, remove_chunks, remove_vectors};
use crate::{Embedding, TRIES, attempts};

/// Why a document has failed: its model is not configured.
pub(crate) const MODEL_UNAVAILABLE: &str = "embedding_model_not_configured";
/// Why a document has failed: its model refuses it, or its key.
pub(crate) const MODEL_REFUSED: &str = "embedding_refused";

/// Does `document.index`.
pub(crate) struct IndexDocument {
    pub(crate) store: Store,
    pub(crate) embedding: Embedding,
}

#[async_trait]
impl Handler for IndexDocument {
    fn kinds(&self) -> &[&'static str] {
        &[INDEX_JOB]
    }

    async fn run(&self, attempt: Attempt) -> Outcome {
        match attempt.payload::<DocumentPayload>() {
            Ok(payload) => ended(self.index(&attempt, payload).await),
            Err(outcome) => outcome,
        }
    }
}

impl IndexDocument {
    /// Goes on until what stands is what is wanted: whoever changes document or knowledge base
    /// meanwhile changes what that is.
    async fn index(&self, attempt: &Attempt, payload: DocumentPayload) -> Result<Outcome, Trouble> {
        for _ in 0..TRIES {
            if let Some(outcome) = self.index_as_it_stands(attempt, payload).await? {
                return Ok(outcome);
            }
        }
        Err(Trouble::contended())
    }

    /// `None` if document or knowledge base were changed on the way.
    async fn index_as_it_stands(
        &self,
        attempt: &Attempt,
        payload: DocumentPayload,
    ) -> Result<Option<Outcome>, Trouble> {
        let DocumentPayload {
            knowledge_base,
            file,
        } = payload;
        let tenant = Tenant::authorised(attempt.job.org);
        let knowledge = self.store.knowledge(tenant);
        let Some(document) = knowledge.document(knowledge_base, file).await? else {
            // Taken out meanwhile: an attempt before this one may have written after the removal.
            return remove_chunks(&self.store, attempt, payload).await.map(Some);
        };
        let Some(base) = knowledge.base(knowledge_base).await? else {
            // Deleted. Whatever was in it is taken out by the deletion.
            return Ok(Some(Outcome::done()));
        };
        let wanted = self.wanted_sets(&base);
        let missing = document.missing(&wanted);
        if missing.is_empty() && attempt.job.progress.is_some() {
            // An attempt before this one may have written an earlier content over the one that is
            // told to be there.
            return index_again(&self.store, attempt, document).await.map(Some);
        }
        if missing.is_empty() {
            return remove_vectors(&self.store, attempt, &base, file)
                .await
                .map(Some);
        }
        let file = match self.store.files(tenant).get(file).await? {
            Some(file) if file.status == FileStatus::Ready => file,
            // Deleted, which removes the document; or not read, which makes another job.
            _ => return Ok(Some(Outcome::done())),
        };
        let written = match self.fill(attempt, &base, &document, &file, &missing).await {
            Err(trouble) if trouble.is_transient() && attempts::is_last(&attempt.job) => {
                tracing::error!(?trouble, file = %file.id, "a document was given up");
                Ok(Err(given_up(&trouble)))
            }
            written => written,
        }?;
        let cause = cause(attempt);
        let told = match written {
            Ok(Written::Stopped(outcome)) => return Ok(Some(outcome)),
            Ok(Written::Whole(embedded)) => {
                knowledge
                    .indexed(attempt.fence, &cause, &document, &base, &embedded)
                    .await
            }
            Err(failure) if document.status == DocumentStatus::Ready => {
                let set = missing[0].number;
                knowledge
                    .not_joined(attempt.fence, &document, set, &failure)
                    .await
            }
            Err(failure) => {
                knowledge
                    .not_indexed(attempt.fence, &cause, &document, &failure)
                    .await
            }
        };
        match told {
            Err(error) if error.is_changed() => self.overtaken(attempt, payload, &file).await,
            result => Ok(result.map(|()| Some(Outcome::done()))?),
        }
    }

    /// What to do when document or knowledge base were changed while this was written: over what
    /// somebody else has written of another content, this one may have written. `None` to look again.
    async fn overtaken(
        &self,
        attempt: &Attempt,
        payload: DocumentPayload,
        written: &File,
    ) -> Result<Option<Outcome>, Trouble> {
        let knowledge = self.store.knowledge(Tenant::authorised(attempt.job.org));
        let (base, file) = (payload.knowledge_base, payload.file);
        match knowledge.document(base, file).await? {
            Some(current) if current.content_version != written.content_version => {
                index_again(&self.store, attempt, current).await.map(Some)
            }
            _ => Ok(None),
        }
    }

    /// The sets that a knowledge base wants. One of a model that is no longer configured, which
    /// nobody can search, is not made any more once another is on its way.
    fn wanted_sets(&self, base: &KnowledgeBase) -> Vec<VectorSet> {
        let mut wanted = base.wanted_sets();
        if wanted.len() > 1 {
            wanted.retain(|set| {
                set.number != base.vectors.current
                    || self.embedding.embedders.get(&set.model).is_some()
            });
        }
        wanted
    }

    /// Brings every chunk of a file into a knowledge base, and no other.
    async fn fill(
        &self,
        attempt: &Attempt,
        base: &KnowledgeBase,
        document: &Document,
        file: &File,
        missing: &[VectorSet],
    ) -> Result<Result<Written, Failure>, Trouble> {
        if attempts::is_deadly(&attempt.job) {
            return Ok(Err(Failure::new(
                "indexing_failed",
                "Indexing the document stopped our worker several times, and was given up.",
            )));
        }
        let tenant = Tenant::authorised(attempt.job.org);
        let mut sets = Vec::with_capacity(missing.len());
        for set in missing {
            match self.embedding.embedders.get(&set.model) {
                Some(embedder) => sets.push((set.number, Arc::clone(embedder))),
                None => {
                    return Ok(Err(Failure::new(
                        MODEL_UNAVAILABLE,
                        format!("The embedding model {} is not configured here.", set.model),
                    )));
                }
            }
        }
        let plan = Plan {
            tenant,
            base: base.id,
            file,
            with_chunks: document.status != DocumentStatus::Ready,
            sets,
            wanted: self
                .wanted_sets(base)
                .iter()
                .map(|set| set.number)
                .collect(),
        };
        let filler = Filler {
            store: &self.store,
            prices: &self.embedding.prices,
        };
        match filler.write(attempt, &plan).await {
            Err(NotWritten::Refused(error)) => {
                Ok(Err(Failure::new(MODEL_REFUSED, error.to_string())))
            }
            Err(NotWritten::Lost(failure)) => Ok(Err(failure)),
            Err(NotWritten::Trouble(trouble)) => Err(trouble),
            Ok(written) => Ok(Ok(written)),
        }
    }
}

/// What people read of a document that was given up.
fn given_up(trouble: &Trouble) -> Failure {
    let why = trouble.message();
    Failure::new(
        "unavailable",
        format!("The document could not be indexed, after many tries. {why} Try it again later."),
    )
}
