//! Writing the chunks of a file and their vectors, batch by batch.

use std::sync::Arc;
use std::time::Duration;

use domain::execution::Failure;
use domain::file::File;
use domain::knowledge::Chunk;
use domain::price::PriceMap;
use embedding::{Embedder, EmbeddingError, is_zero};
use kernel::KnowledgeBaseId;
use retrieval::{EmbedError, embed_passages};
use store::extracted::CHUNKS_PER_PART;
use store::joining::{Embedded, EmbeddingSpent};
use store::objects::ObjectError;
use store::vectors::VectorsOf;
use store::{Store, Tenant};
use work::{Attempt, Job, Outcome};

use crate::extracted::{self, Piece};
use crate::trouble::Trouble;

/// How many chunks are embedded and written between two looks at the clock.
const BATCH: usize = 100;
/// How long a worker waits for a model that is out of breath and does not say for how long.
const BREATH: Duration = Duration::from_secs(5);

/// How the writing ended.
pub(crate) enum Written {
    /// All is there.
    Whole(Embedded),
    /// The attempt has to end before.
    Stopped(Outcome),
}

/// What is to be written.
pub(crate) struct Plan<'a> {
    pub(crate) tenant: Tenant,
    pub(crate) base: KnowledgeBaseId,
    pub(crate) file: &'a File,
    /// Whether the chunks are to be written, and not only their vectors.
    pub(crate) with_chunks: bool,
    /// The sets that get vectors, and the models that make them.
    pub(crate) sets: Vec<(u32, Arc<dyn Embedder>)>,
    /// The sets that may stay.
    pub(crate) wanted: Vec<u32>,
}

/// Writes what is planned.
pub(crate) struct Filler<'a> {
    pub(crate) store: &'a Store,
    /// What models cost.
    pub(crate) prices: &'a PriceMap,
}

impl Filler<'_> {
    /// Goes on where an attempt before has stopped, until all is there or the attempt has to end.
    pub(crate) async fn write(
        &self,
        attempt: &Attempt,
        plan: &Plan<'_>,
    ) -> Result<Written, NotWritten> {
        let total = plan.file.chunks.unwrap_or(0);
        let mut done = written_before(&attempt.job, total);
        // A removal that was under way may have taken some of them, and another set may be wanted.
        if done > 0 && !self.holds(plan, done).await? {
            done = 0;
        }
        let mut embedded = Embedded::default();
        let mut wrote = false;
        for part in 0..total.div_ceil(CHUNKS_PER_PART) {
            let pieces = self.part(plan, part).await?;
            let numbers = (part * CHUNKS_PER_PART..).step_by(BATCH);
            for (first, pieces) in numbers.zip(pieces.chunks(BATCH)) {
                if attempt.cancel.is_cancelled() {
                    return Ok(Written::Stopped(Outcome::Cancelled));
                }
                if wrote && attempt.budget.should_yield() {
                    return Ok(Written::Stopped(Outcome::Yield));
                }
                let vectors = match self.embed(plan, pieces, &mut embedded).await {
                    // What is written stays: this is a pause and no failed attempt.
                    Err(EmbedError::Model(error)) if wrote && error.is_transient() => {
                        let pause = error.retry_after().unwrap_or(BREATH);
                        let until = self.store.now().plus(pause);
                        return Ok(Written::Stopped(Outcome::Park { until }));
                    }
                    vectors => vectors?,
                };
                let next = first + number(pieces.len());
                if next <= done {
                    tokio::task::yield_now().await;
                    continue;
                }
                self.write_batch(plan, first, pieces, &vectors).await?;
                wrote = true;
                attempt
                    .progress
                    .report(u64::from(next), Some(u64::from(total)), "Indexing");
            }
        }
        if let Some(outcome) = self.remove_others(attempt, plan, total).await? {
            return Ok(Written::Stopped(outcome));
        }
        Ok(Written::Whole(embedded))
    }

    /// The chunks of a file that one part holds.
    async fn part(&self, plan: &Plan<'_>, part: u32) -> Result<Vec<Piece>, NotWritten> {
        let extracted = self.store.extracted(plan.tenant, plan.file.content());
        let pieces = match extracted.chunks(part).await {
            Ok(json) => extracted::read(&json).map_err(NotWritten::Lost)?,
            Err(ObjectError::Missing | ObjectError::TooLarge { .. }) => {
                let what = "What was read from the file is no longer there.";
                return Err(NotWritten::Lost(extracted::lost(what)));
            }
            Err(error) => return Err(Trouble::from(error).into()),
        };
        let total = plan.file.chunks.unwrap_or(0);
        let expected = total
            .saturating_sub(part * CHUNKS_PER_PART)
            .min(CHUNKS_PER_PART);
        if number(pieces.len()) == expected {
            return Ok(pieces);
        }
        let what = "What was read from the file is not whole.";
        Err(NotWritten::Lost(extracted::lost(what)))
    }

    /// Whether everything below that number was written.
    async fn holds(&self, plan: &Plan<'_>, until: u32) -> Result<bool, Trouble> {
        let knowledge = self.store.knowledge(plan.tenant);
        let (base, file) = (plan.base, plan.file.id);
        if plan.with_chunks && !knowledge.holds_chunks(base, file, until).await? {
            return Ok(false);
        }
        for (set, _) in &plan.sets {
            if !knowledge.holds_vectors(base, file, *set, until).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The vectors of some chunks in each set, in the order of the sets.
    async fn embed(
        &self,
        plan: &Plan<'_>,
        pieces: &[Piece],
        embedded: &mut Embedded,
    ) -> Result<Vec<Vec<Vec<f32>>>, EmbedError> {
        let texts: Vec<&str> = pieces.iter().map(|piece| piece.text.as_str()).collect();
        let mut sets = Vec::with_capacity(plan.sets.len());
        for (set, (_, embedder)) in plan.sets.iter().enumerate() {
            let made = embed_passages(
                self.store,
                plan.tenant,
                embedder.as_ref(),
                self.prices,
                &texts,
            )
            .await?;
            if set == 0 {
                let findable = made.vectors.iter().filter(|vector| !is_zero(vector));
                embedded.chunks += number(findable.count());
            }
            add_spent(&mut embedded.spent, made.spent);
            sets.push(made.vectors);
        }
        Ok(sets)
    }

    async fn write_batch(
        &self,
        plan: &Plan<'_>,
        first: u32,
        pieces: &[Piece],
        vectors: &[Vec<Vec<f32>>],
    ) -> Result<(), Trouble> {
        let knowledge = self.store.knowledge(plan.tenant);
        if plan.with_chunks {
            let chunks = chunks(plan, first, pieces);
            knowledge.write_chunks(&chunks).await?;
        }
        for ((set, _), vectors) in plan.sets.iter().zip(vectors) {
            let of = VectorsOf {
                knowledge_base: plan.base,
                set: *set,
                file: plan.file.id,
                content_version: plan.file.content_version,
            };
            knowledge.write_vectors(&of, first, vectors).await?;
        }
        Ok(())
    }

    /// Removes what other attempts, other versions of the file and other models have left.
    async fn remove_others(
        &self,
        attempt: &Attempt,
        plan: &Plan<'_>,
        total: u32,
    ) -> Result<Option<Outcome>, Trouble> {
        let knowledge = self.store.knowledge(plan.tenant);
        let (base, file) = (plan.base, plan.file.id);
        while knowledge.remove_chunks(base, file, total).await?
            || knowledge
                .remove_vectors(base, file, &plan.wanted, total)
                .await?
        {
            if attempt.budget.should_yield() {
                return Ok(Some(Outcome::Yield));
            }
        }
        Ok(None)
    }
}

/// Why nothing, or not all, was written.
pub(crate) enum NotWritten {
    /// The model refuses a text of the document, and will again.
    Refused(EmbeddingError),
    /// What was read from the file is gone.
    Lost(Failure),
    Trouble(Trouble),
}

impl From<EmbedError> for NotWritten {
    fn from(error: EmbedError) -> Self {
        match error {
            EmbedError::Model(error) if error.is_transient() => Self::Trouble(error.into()),
            EmbedError::Model(error) => Self::Refused(error),
            EmbedError::Read(error) => Self::Trouble(error.into()),
        }
    }
}

impl From<Trouble> for NotWritten {
    fn from(trouble: Trouble) -> Self {
        Self::Trouble(trouble)
    }
}

fn add_spent(spent: &mut Vec<EmbeddingSpent>, more: EmbeddingSpent) {
    match spent.iter_mut().find(|spent| spent.model == more.model) {
        Some(spent) => {
            spent.calls += more.calls;
            spent.tokens += more.tokens;
            spent.kept += more.kept;
            spent.cost = spent
                .cost
                .zip(more.cost)
                .and_then(|(a, b)| a.checked_add(b));
        }
        None => spent.push(more),
    }
}

/// Pieces as chunks of a knowledge base, numbered from `first` on.
fn chunks(plan: &Plan<'_>, first: u32, pieces: &[Piece]) -> Vec<Chunk> {
    (first..)
        .zip(pieces)
        .map(|(ordinal, piece)| Chunk {
            org: plan.tenant.org(),
            knowledge_base: plan.base,
            file: plan.file.id,
            document: plan.file.name.clone(),
            url: plan.file.url.clone(),
            content_version: plan.file.content_version,
            ordinal,
            text: piece.text.clone(),
            page: piece.page,
            heading_path: piece.heading_path.clone(),
            start: piece.start,
            end: piece.end,
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
        let new = NewJob::new(
            OrgId::from_u128(1),
            "document.index",
            Lane::Files,
            ().into(),
        );
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
