//! `document.index`: embeds the chunks of a file into one knowledge base.
//!
//! Chunks are written over those of the same numbers, so writing again changes nothing. How many
//! are written is the job's progress, from which a next attempt goes on. A chunk in which the model
//! finds nothing (a row of digits, emoji) is kept to be read and cannot be found.

use async_trait::async_trait;
use domain::execution::Failure;
use domain::file::{File, FileStatus};
use domain::knowledge::{Chunk, Document, DocumentStatus};
use kernel::KnowledgeBaseId;
use store::documents::{DocumentPayload, INDEX_JOB};
use store::extracted::CHUNKS_PER_PART;
use store::objects::ObjectError;
use store::{Store, Tenant};
use work::{Attempt, Handler, Job, Outcome};

use crate::attempts;
use crate::extracted::{self, Piece};
use crate::process::cause;
use crate::trouble::{Trouble, ended};
use crate::unindex::{index_again, remove_chunks};

/// How many chunks are embedded and written between two looks at the clock.
const BATCH: usize = 100;

/// Does `document.index`.
pub(crate) struct IndexDocument {
    pub(crate) store: Store,
}

/// How the writing of chunks ended.
enum Written {
    /// All are there; so many can be found.
    Findable(u32),
    /// The attempt has to end before.
    Stopped(Outcome),
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
    async fn index(&self, attempt: &Attempt, payload: DocumentPayload) -> Result<Outcome, Trouble> {
        let DocumentPayload {
            knowledge_base,
            file,
        } = payload;
        let tenant = Tenant::authorised(attempt.job.org);
        let knowledge = self.store.knowledge(tenant);
        let Some(document) = knowledge.document(knowledge_base, file).await? else {
            // Taken out meanwhile: an attempt before this one may have written after the removal.
            return remove_chunks(&self.store, attempt, payload).await;
        };
        if document.status == DocumentStatus::Ready {
            // An attempt before this one may have written an earlier content over the one that is
            // told to be there.
            return match attempt.job.progress {
                Some(_) => index_again(&self.store, attempt, document).await,
                None => Ok(Outcome::done()),
            };
        }
        let file = match self.store.files(tenant).get(file).await? {
            Some(file) if file.status == FileStatus::Ready => file,
            // Deleted, which removes the document; or not read, which makes another job.
            _ => return Ok(Outcome::done()),
        };
        let written = match self.fill(attempt, tenant, knowledge_base, &file).await {
            Err(trouble) if trouble.is_transient() && attempts::is_last(&attempt.job) => {
                tracing::error!(?trouble, file = %file.id, "a document was given up");
                Ok(Err(Failure::new(
                    "unavailable",
                    "The document could not be indexed, since our storage did not answer for a \
                     while. Take it out and add it again.",
                )))
            }
            written => written,
        }?;
        let cause = cause(attempt);
        let told = match written {
            Ok(Written::Stopped(outcome)) => return Ok(outcome),
            Ok(Written::Findable(count)) => {
                knowledge
                    .indexed(attempt.fence, &cause, &document, count)
                    .await
            }
            Err(failure) => {
                knowledge
                    .not_indexed(attempt.fence, &cause, &document, &failure)
                    .await
            }
        };
        match told {
            Err(error) if error.is_changed() => {
                self.overtaken(attempt, payload, &document, file.content_version)
                    .await
            }
            result => Ok(result.map(|()| Outcome::done())?),
        }
    }

    /// What to do when the document was changed while its chunks were written: if it was taken
    /// out, they are removed; if it is there, whoever changed it has made a job of their own. Over
    /// what that has written of another content, this one may have written.
    async fn overtaken(
        &self,
        attempt: &Attempt,
        payload: DocumentPayload,
        document: &Document,
        content_version: u32,
    ) -> Result<Outcome, Trouble> {
        let knowledge = self.store.knowledge(Tenant::authorised(attempt.job.org));
        match knowledge
            .document(payload.knowledge_base, payload.file)
            .await?
        {
            Some(current) if current.content_version != content_version => {
                index_again(&self.store, attempt, current).await
            }
            Some(current) => {
                tracing::info!(read = document.version, now = current.version, "overtaken");
                Ok(Outcome::done())
            }
            None => remove_chunks(&self.store, attempt, payload).await,
        }
    }

    /// Brings every chunk of a file into a knowledge base, and no other.
    async fn fill(
        &self,
        attempt: &Attempt,
        tenant: Tenant,
        base: KnowledgeBaseId,
        file: &File,
    ) -> Result<Result<Written, Failure>, Trouble> {
        if attempts::is_deadly(&attempt.job) {
            return Ok(Err(Failure::new(
                "indexing_failed",
                "Indexing the document stopped our worker several times, and was given up.",
            )));
        }
        let knowledge = self.store.knowledge(tenant);
        let Some(held) = knowledge.base(base).await? else {
            // Deleted. Whatever was in it is taken out by the deletion.
            return Ok(Ok(Written::Stopped(Outcome::done())));
        };
        if let Err(mismatch) = retrieval::check_model(&held) {
            return Ok(Err(Failure::new(
                "embedding_model_mismatch",
                mismatch.to_string(),
            )));
        }
        self.write(attempt, tenant, base, file).await
    }

    /// The chunks of a file that one part holds.
    async fn part(
        &self,
        tenant: Tenant,
        file: &File,
        part: u32,
    ) -> Result<Result<Vec<Piece>, Failure>, Trouble> {
        let extracted = self.store.extracted(tenant, file.content());
        let pieces = match extracted.chunks(part).await {
            Ok(json) => extracted::read(&json),
            Err(ObjectError::Missing | ObjectError::TooLarge { .. }) => Err(extracted::lost(
                "What was read from the file is no longer there.",
            )),
            Err(error) => return Err(error.into()),
        };
        let total = file.chunks.unwrap_or(0);
        let expected = total
            .saturating_sub(part * CHUNKS_PER_PART)
            .min(CHUNKS_PER_PART);
        Ok(pieces.and_then(|pieces| {
            if number(pieces.len()) == expected {
                return Ok(pieces);
            }
            Err(extracted::lost("What was read from the file is not whole."))
        }))
    }

    async fn write(
        &self,
        attempt: &Attempt,
        tenant: Tenant,
        base: KnowledgeBaseId,
        file: &File,
    ) -> Result<Result<Written, Failure>, Trouble> {
        let knowledge = self.store.knowledge(tenant);
        let total = file.chunks.unwrap_or(0);
        let mut done = written_before(&attempt.job, total);
        // A removal that was under way may have taken some of them.
        if done > 0 && !knowledge.holds_chunks(base, file.id, done).await? {
            done = 0;
        }
        let mut findable = 0;
        let mut wrote = false;
        for part in 0..total.div_ceil(CHUNKS_PER_PART) {
            let pieces = match self.part(tenant, file, part).await? {
                Ok(pieces) => pieces,
                Err(failure) => return Ok(Err(failure)),
            };
            let numbers = (part * CHUNKS_PER_PART..).step_by(BATCH);
            for (first, pieces) in numbers.zip(pieces.chunks(BATCH)) {
                if attempt.cancel.is_cancelled() {
                    return Ok(Ok(Written::Stopped(Outcome::Cancelled)));
                }
                if wrote && attempt.budget.should_yield() {
                    return Ok(Ok(Written::Stopped(Outcome::Yield)));
                }
                let rows = rows(tenant, base, file, first, pieces);
                findable += rows
                    .iter()
                    .filter(|(_, vector)| !embedding::is_zero(vector))
                    .count();
                let next = first + number(rows.len());
                if next <= done {
                    tokio::task::yield_now().await;
                    continue;
                }
                knowledge.write_chunks(&rows).await?;
                wrote = true;
                attempt
                    .progress
                    .report(u64::from(next), Some(u64::from(total)), "Indexing");
            }
        }
        while knowledge.remove_chunks(base, file.id, total).await? {
            if attempt.budget.should_yield() {
                return Ok(Ok(Written::Stopped(Outcome::Yield)));
            }
        }
        Ok(Ok(Written::Findable(number(findable))))
    }
}

/// Chunks with their vectors, numbered from `first` on.
fn rows(
    tenant: Tenant,
    base: KnowledgeBaseId,
    file: &File,
    first: u32,
    pieces: &[Piece],
) -> Vec<(Chunk, Vec<f32>)> {
    let texts: Vec<&str> = pieces.iter().map(|piece| piece.text.as_str()).collect();
    (first..)
        .zip(pieces)
        .zip(retrieval::embed(&texts))
        .map(|((ordinal, piece), vector)| {
            let chunk = Chunk {
                org: tenant.org(),
                knowledge_base: base,
                file: file.id,
                document: file.name.clone(),
                content_version: file.content_version,
                ordinal,
                text: piece.text.clone(),
                page: piece.page,
                heading_path: piece.heading_path.clone(),
                start: piece.start,
                end: piece.end,
            };
            (chunk, vector)
        })
        .collect()
}

/// How many chunks earlier attempts at this job have written, if they wrote of as many as there
/// are now.
fn written_before(job: &Job, total: u32) -> u32 {
    job.progress
        .as_ref()
        .filter(|progress| progress.total == Some(u64::from(total)))
        .and_then(|progress| u32::try_from(progress.completed).ok())
        .filter(|written| *written <= total)
        .unwrap_or(0)
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use kernel::{OrgId, Timestamp};
    use work::{Lane, NewJob, Progress};

    use super::*;

    #[test]
    fn an_attempt_goes_on_where_the_one_before_stood() {
        let new = NewJob::new(OrgId::from_u128(1), INDEX_JOB, Lane::Files, ().into());
        let mut job = new.build(Timestamp::from_millis(1_767_225_600_000));
        assert_eq!(written_before(&job, 500), 0);
        let at = |completed, total| {
            Some(Progress {
                completed,
                total,
                message: None,
            })
        };
        job.progress = at(200, Some(500));
        assert_eq!(written_before(&job, 500), 200);
        assert_eq!(written_before(&job, 400), 0, "the file was cut otherwise");
        job.progress = at(501, Some(500));
        assert_eq!(written_before(&job, 500), 0);
        job.progress = at(0, None);
        assert_eq!(written_before(&job, 500), 0);
    }
}
