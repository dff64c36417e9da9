//! `knowledge_base.reembed`: gives every document of a knowledge base vectors of another model, lets
//! them answer once all have them, and removes the old ones.
//!
//! The work is done by the documents' own jobs, one for each document that was ready before the
//! change; whatever becomes ready later has vectors of both models (see `index.rs`). This job makes
//! them, each in the transaction that marks its document, and looks now and then whether they are
//! through. So a crash anywhere loses nothing, and nothing is done twice.

use std::time::Duration;

use async_trait::async_trait;
use domain::execution::Failure;
use domain::knowledge::{Document, DocumentStatus, KnowledgeBase, Reembedding};
use kernel::cursor::PageRequest;
use store::knowledge::{REEMBED_JOB, ReembedPayload};
use store::{Store, Tenant};
use work::{Attempt, Handler, Outcome};

use crate::TRIES;
use crate::index::{MODEL_REFUSED, MODEL_UNAVAILABLE};
use crate::process::cause;
use crate::trouble::{Trouble, ended};
use crate::unindex::remove_vectors;

/// How many documents are looked at between two looks at the clock.
const PAGE: u32 = 200;
/// How long to wait before looking again: a part of the time that it has taken so far.
const LEAST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
const PART_OF_TIME: u32 = 8;

/// Does `knowledge_base.reembed`.
pub(crate) struct ReembedKnowledgeBase {
    pub(crate) store: Store,
}

/// How far the documents have come.
#[derive(Debug, Default)]
struct Standing {
    /// How many have the new vectors.
    done: u64,
    /// How many have still to get them.
    waiting: u64,
    /// Why one of them cannot.
    failure: Option<Failure>,
}

#[async_trait]
impl Handler for ReembedKnowledgeBase {
    fn kinds(&self) -> &[&'static str] {
        &[REEMBED_JOB]
    }

    async fn run(&self, attempt: Attempt) -> Outcome {
        match attempt.payload::<ReembedPayload>() {
            Ok(payload) => ended(self.reembed(&attempt, payload).await),
            Err(outcome) => outcome,
        }
    }
}

impl ReembedKnowledgeBase {
    async fn reembed(
        &self,
        attempt: &Attempt,
        payload: ReembedPayload,
    ) -> Result<Outcome, Trouble> {
        let knowledge = self.store.knowledge(Tenant::authorised(attempt.job.org));
        for _ in 0..TRIES {
            let Some(base) = knowledge.base(payload.knowledge_base).await? else {
                return Ok(Outcome::done());
            };
            let stepped = match base.under_way() {
                // Another change has begun since, whose own job sees to all of it.
                Some(next) if next.job != attempt.job.id => return Ok(Outcome::done()),
                Some(next) => self.step(attempt, &base, next).await,
                None => return self.clean(attempt, &base).await,
            };
            match stepped {
                Ok(Some(outcome)) => return Ok(outcome),
                // Whole, given up, or changed by somebody: what now stands decides.
                Ok(None) => {}
                Err(error) if error.is_changed() => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Trouble::contended())
    }

    /// One look at all documents, and what follows from it. `None` if there is nothing to wait for.
    async fn step(
        &self,
        attempt: &Attempt,
        base: &KnowledgeBase,
        next: &Reembedding,
    ) -> Result<Option<Outcome>, store::Error> {
        let knowledge = self.store.knowledge(Tenant::authorised(attempt.job.org));
        let cause = cause(attempt);
        let mut standing = Standing::default();
        let mut page = PageRequest::first(PAGE);
        loop {
            let documents = knowledge.documents(base.id, &page).await?;
            for document in &documents.items {
                self.look_at(attempt, document, next.vector_set, &mut standing)
                    .await?;
            }
            if attempt.cancel.is_cancelled() {
                return Ok(Some(Outcome::Cancelled));
            }
            match documents.next {
                Some(after) => {
                    page = PageRequest {
                        limit: PAGE,
                        after: Some(after),
                    }
                }
                None => break,
            }
        }
        let Standing {
            done,
            waiting,
            failure,
        } = standing;
        attempt
            .progress
            .report(done, Some(done + waiting), "Embedding documents");
        if let Some(failure) = failure {
            knowledge
                .give_change_up(attempt.fence, &cause, base, &failure)
                .await?;
            return Ok(None);
        }
        if waiting == 0 {
            knowledge.change_over(attempt.fence, &cause, base).await?;
            return Ok(None);
        }
        let now = self.store.now();
        let taken = now.since(next.started_at) / PART_OF_TIME;
        let until = now.plus(taken.clamp(LEAST_PAUSE, LONGEST_PAUSE));
        Ok(Some(Outcome::Park { until }))
    }

    /// Counts a document, and has it embedded if nobody does that yet.
    async fn look_at(
        &self,
        attempt: &Attempt,
        document: &Document,
        set: u32,
        standing: &mut Standing,
    ) -> Result<(), store::Error> {
        // The others get these vectors before they are ready, or are never found.
        if document.status != DocumentStatus::Ready {
            return Ok(());
        }
        if document.vector_sets.contains(&set) {
            standing.done += 1;
            return Ok(());
        }
        standing.waiting += 1;
        let joining = document.joining.as_ref();
        match joining.filter(|joining| joining.vector_set == set) {
            Some(joining) => {
                if let Some(failure) = &joining.failure {
                    standing.failure = Some(Failure::new(
                        failure.code.clone(),
                        format!("{}: {}", document.name, failure.message),
                    ));
                }
                Ok(())
            }
            None => {
                let knowledge = self.store.knowledge(Tenant::authorised(attempt.job.org));
                let joined = knowledge
                    .join(attempt.fence, &cause(attempt), document, set)
                    .await;
                match joined {
                    // Looked at again the next time.
                    Err(error) if error.is_changed() => Ok(()),
                    result => result,
                }
            }
        }
    }

    /// Removes every vector that is of no set which the knowledge base wants, and lets those
    /// documents be tried again that only the other model stood in the way of.
    async fn clean(&self, attempt: &Attempt, base: &KnowledgeBase) -> Result<Outcome, Trouble> {
        let knowledge = self.store.knowledge(Tenant::authorised(attempt.job.org));
        let mut page = PageRequest::first(PAGE);
        loop {
            let documents = knowledge.documents(base.id, &page).await?;
            for document in &documents.items {
                if failed_by_model(document) {
                    let cause = cause(attempt);
                    let again = knowledge.index_again(attempt.fence, &cause, document);
                    match again.await {
                        Err(error) if error.is_changed() => {}
                        result => result?,
                    }
                    continue;
                }
                match remove_vectors(&self.store, attempt, base, document.file).await? {
                    Outcome::Done { .. } => {}
                    unfinished => return Ok(unfinished),
                }
            }
            let Some(after) = documents.next else {
                return Ok(Outcome::done());
            };
            page = PageRequest {
                limit: PAGE,
                after: Some(after),
            };
        }
    }
}

/// Whether a document failed for the sake of the model, which may be another now.
fn failed_by_model(document: &Document) -> bool {
    let codes = [MODEL_UNAVAILABLE, MODEL_REFUSED];
    document.status == DocumentStatus::Failed
        && document
            .failure
            .as_ref()
            .is_some_and(|failure| codes.contains(&failure.code.as_str()))
}
