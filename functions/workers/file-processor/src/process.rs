//! `file.process`: reads an uploaded file and says what it is.

use std::time::Duration;

use async_trait::async_trait;
use documents::{Measure, Rejection};
use domain::event::Actor;
use domain::execution::Failure;
use domain::file::{File, FileStatus};
use kernel::FileId;
use store::files::{FilePayload, PROCESS_JOB, Reading};
use store::objects::ObjectError;
use store::{Cause, Store, Tenant};
use work::{Attempt, Handler, Outcome};

use crate::read::{self, ReadFile, Unread, refusal};
use crate::trouble::{Trouble, ended};
use crate::{Reader, TRIES, attempts};

/// What an attempt needs beside the reading itself: to fetch the file, cut it and tell the result.
const BESIDE_READING: Duration = Duration::from_secs(25);
/// A reader gets at least this long, however little is left.
const LEAST_READING: Duration = Duration::from_secs(1);

/// What a file turned out to be, or why it cannot be read.
type Verdict = Result<Reading, Failure>;

/// Does `file.process`.
pub(crate) struct ProcessFile {
    pub(crate) store: Store,
    pub(crate) reader: Reader,
}

#[async_trait]
impl Handler for ProcessFile {
    fn kinds(&self) -> &[&'static str] {
        &[PROCESS_JOB]
    }

    async fn run(&self, attempt: Attempt) -> Outcome {
        match attempt.payload::<FilePayload>() {
            Ok(payload) => ended(self.process(&attempt, payload.file).await),
            Err(outcome) => outcome,
        }
    }
}

impl ProcessFile {
    async fn process(&self, attempt: &Attempt, id: FileId) -> Result<Outcome, Trouble> {
        let tenant = Tenant::authorised(attempt.job.org);
        let Some(mut file) = self.wanted(tenant, id).await? else {
            return Ok(Outcome::done());
        };
        let whole = self.reader.limits.wall_clock + BESIDE_READING;
        if attempt.job.yields == 0 && !attempt.budget.fits(whole) {
            // What is left of this invocation is not enough; the next one begins with all of its.
            return Ok(Outcome::Yield);
        }
        let mut verdict = self.verdict(attempt, tenant, &file).await?;
        let cause = cause(attempt);
        let files = self.store.files(tenant);
        for _ in 0..TRIES {
            let told = match &verdict {
                Ok(found) => files.processed(attempt.fence, &cause, &file, found).await,
                Err(failure) => files.failed(attempt.fence, &cause, &file, failure).await,
            };
            match told {
                // It was put into a knowledge base, taken out of one, or deleted.
                Err(error) if error.is_changed() => match self.wanted(tenant, id).await? {
                    Some(current) => file = current,
                    None => return Ok(Outcome::done()),
                },
                Err(error) => {
                    let trouble = Trouble::from(error);
                    if trouble.is_transient() || verdict.is_err() {
                        return Err(trouble);
                    }
                    // A result that no store takes is a failure that it does.
                    tracing::error!(?trouble, file = %id, "what was found cannot be stored");
                    verdict = Err(Failure::new(
                        "unstorable",
                        "The file was read, and what was found in it cannot be stored.",
                    ));
                }
                Ok(()) => return Ok(Outcome::done()),
            }
        }
        Err(Trouble::contended())
    }

    /// The file, if it still waits for being read. Of one that was deleted nothing is left behind,
    /// not even by an attempt that was overtaken by the deletion.
    async fn wanted(&self, tenant: Tenant, id: FileId) -> Result<Option<File>, Trouble> {
        let file = self.store.files(tenant).get_any(id).await?;
        match file {
            Some(file) if file.status == FileStatus::Processing => Ok(Some(file)),
            Some(file) if file.status != FileStatus::Deleted => Ok(None),
            _ => {
                self.store.objects(tenant).remove(id).await?;
                Ok(None)
            }
        }
    }

    async fn verdict(
        &self,
        attempt: &Attempt,
        tenant: Tenant,
        file: &File,
    ) -> Result<Verdict, Trouble> {
        if attempts::is_deadly(&attempt.job) {
            return Ok(Err(Failure::new(
                "processing_failed",
                "Reading the file stopped our worker several times. It was given up; the file is \
                 most likely damaged.",
            )));
        }
        match self.read(attempt, tenant, file).await {
            Err(trouble) if trouble.is_transient() && attempts::is_last(&attempt.job) => {
                tracing::error!(?trouble, file = %file.id, "a file was given up");
                Ok(Err(Failure::new(
                    "unavailable",
                    "The file could not be read, since our storage did not answer for a while. \
                     Delete it and upload it again.",
                )))
            }
            verdict => verdict,
        }
    }

    async fn read(
        &self,
        attempt: &Attempt,
        tenant: Tenant,
        file: &File,
    ) -> Result<Verdict, Trouble> {
        let objects = self.store.objects(tenant);
        attempt.progress.report(0, None, "Fetching the file");
        let limit = self.reader.limits.input_bytes;
        let bytes = match objects.content(file.id, limit).await {
            Ok(bytes) => bytes,
            Err(ObjectError::Missing) => {
                return Ok(Err(Failure::new(
                    "content_missing",
                    "The uploaded content is no longer there. Delete the file and upload it again.",
                )));
            }
            Err(ObjectError::TooLarge { .. }) => {
                let rejection = Rejection::TooLarge {
                    measure: Measure::File,
                    limit,
                };
                return Ok(Err(refusal(&rejection)));
            }
            Err(error) => return Err(error.into()),
        };
        attempt.progress.report(0, None, "Reading the file");
        let reader = self.reader_in_time(attempt);
        let name = file.name.clone();
        let reading = tokio::task::spawn_blocking(move || read::read(bytes, &name, &reader));
        let read = match reading.await {
            Ok(Ok(read)) => read,
            Ok(Err(Unread::Refused(failure))) => return Ok(Err(failure)),
            Ok(Err(Unread::NotNow(cause))) => {
                let message = "The reader of files could not be started.";
                return Err(Trouble::transient("reader_unavailable", message, cause));
            }
            // Parsers are shielded; this is the cutting into chunks.
            Err(panic) => {
                tracing::error!(%panic, file = %file.id, "a file could not be cut into chunks");
                return Ok(Err(refusal(&Rejection::ParserPanicked)));
            }
        };
        let ReadFile { found, extracted } = read;
        attempt.progress.report(0, None, "Keeping what was read");
        objects.keep_extracted(file.id, extracted).await?;
        Ok(Ok(found))
    }

    /// The reader, with no more time than the attempt can give.
    fn reader_in_time(&self, attempt: &Attempt) -> Reader {
        let mut reader = self.reader.clone();
        let left = attempt.budget.remaining().saturating_sub(BESIDE_READING);
        reader.limits.wall_clock = reader.limits.wall_clock.min(left.max(LEAST_READING));
        reader
    }
}

/// The platform, on the thread of the request that made the job.
pub(crate) fn cause(attempt: &Attempt) -> Cause {
    Cause {
        actor: Actor::System,
        correlation_id: attempt.job.correlation_id.clone(),
    }
}
