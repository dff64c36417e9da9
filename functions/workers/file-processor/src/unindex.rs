//! `document.unindex`: removes the chunks of a document that was taken out of a knowledge base.
//!
//! A document can be added again while that goes on. So whoever has removed chunks looks again when
//! it is through, and has a document that is there indexed anew.

use async_trait::async_trait;
use domain::knowledge::{Document, DocumentStatus, KnowledgeBase};
use kernel::FileId;
use store::documents::{DocumentPayload, UNINDEX_JOB};
use store::{Store, Tenant};
use work::{Attempt, Handler, Outcome};

use crate::process::cause;
use crate::trouble::{Trouble, ended};

/// Does `document.unindex`.
pub(crate) struct UnindexDocument {
    pub(crate) store: Store,
}

#[async_trait]
impl Handler for UnindexDocument {
    fn kinds(&self) -> &[&'static str] {
        &[UNINDEX_JOB]
    }

    async fn run(&self, attempt: Attempt) -> Outcome {
        match attempt.payload::<DocumentPayload>() {
            Ok(payload) => ended(self.unindex(&attempt, payload).await),
            Err(outcome) => outcome,
        }
    }
}

impl UnindexDocument {
    async fn unindex(
        &self,
        attempt: &Attempt,
        payload: DocumentPayload,
    ) -> Result<Outcome, Trouble> {
        let knowledge = self.store.knowledge(Tenant::authorised(attempt.job.org));
        let added = knowledge
            .document(payload.knowledge_base, payload.file)
            .await?;
        let untouched = attempt.job.attempts == 0 && attempt.job.yields == 0;
        match added {
            // Added again before anything was removed: its own job writes over what is there.
            Some(_) if untouched => Ok(Outcome::done()),
            Some(document) => index_again(&self.store, attempt, document).await,
            None => remove_chunks(&self.store, attempt, payload).await,
        }
    }
}

/// Removes every chunk of a document that is no longer there.
pub(crate) async fn remove_chunks(
    store: &Store,
    attempt: &Attempt,
    payload: DocumentPayload,
) -> Result<Outcome, Trouble> {
    let DocumentPayload {
        knowledge_base,
        file,
    } = payload;
    let knowledge = store.knowledge(Tenant::authorised(attempt.job.org));
    while knowledge.remove_chunks(knowledge_base, file, 0).await?
        || knowledge
            .remove_vectors(knowledge_base, file, &[], 0)
            .await?
    {
        if attempt.budget.should_yield() {
            return Ok(Outcome::Yield);
        }
    }
    match knowledge.document(knowledge_base, file).await? {
        Some(document) => index_again(store, attempt, document).await,
        None => Ok(Outcome::done()),
    }
}

/// Removes the vectors of a document that are in no set which its knowledge base wants.
pub(crate) async fn remove_vectors(
    store: &Store,
    attempt: &Attempt,
    base: &KnowledgeBase,
    file: FileId,
) -> Result<Outcome, Trouble> {
    let knowledge = store.knowledge(Tenant::authorised(attempt.job.org));
    let wanted: Vec<u32> = base.wanted_sets().iter().map(|set| set.number).collect();
    while knowledge
        .remove_vectors(base.id, file, &wanted, u32::MAX)
        .await?
    {
        if attempt.budget.should_yield() {
            return Ok(Outcome::Yield);
        }
    }
    Ok(Outcome::done())
}

/// Has a document indexed of whose chunks some were removed.
pub(crate) async fn index_again(
    store: &Store,
    attempt: &Attempt,
    document: Document,
) -> Result<Outcome, Trouble> {
    if document.status == DocumentStatus::Failed {
        return Ok(Outcome::done());
    }
    let knowledge = store.knowledge(Tenant::authorised(attempt.job.org));
    // A change that comes between is tried again by the next attempt, which begins here.
    knowledge
        .index_again(attempt.fence, &cause(attempt), &document)
        .await?;
    Ok(Outcome::done())
}
