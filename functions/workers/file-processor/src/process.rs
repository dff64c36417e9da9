//! `file.process`: reads an uploaded file and says what it is.

use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use documents::{Measure, Rejection};
use domain::event::Actor;
use domain::execution::Failure;
use domain::file::{CHECKSUM_MISMATCH, File, FileStatus, MAX_REQUEST_BYTES};
use kernel::FileId;
use store::extracted::Extracted;
use store::files::{FilePayload, PROCESS_JOB, Reading};
use store::objects::{ContentStream, ObjectError};
use store::{Cause, Store, Tenant};
use tokio::sync::{mpsc, watch};
use work::{Attempt, Handler, Outcome};

use crate::incoming::{Giver, incoming};
use crate::parts::{Part, Stop};
use crate::read::{self, ReadFile, Seen, Unread, refusal};
use crate::trouble::{Trouble, ended};
use crate::{Reader, TRIES, attempts};

/// What an attempt needs beside the reading itself: to fetch the file, cut it and tell the result.
const BESIDE_READING: Duration = Duration::from_secs(25);
/// What is left of that for telling the result, once no more is kept.
const AFTER_READING: Duration = Duration::from_secs(10);
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
                // It was put into a knowledge base, taken out of one, or deleted. Of another content,
                // which it may have by now, another job tells.
                Err(error) if error.is_changed() => match self.wanted(tenant, id).await? {
                    Some(current) if current.content() == file.content() => file = current,
                    _ => return Ok(Outcome::done()),
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

    /// The file, if it still waits for being read.
    async fn wanted(&self, tenant: Tenant, id: FileId) -> Result<Option<File>, Trouble> {
        let file = self.store.files(tenant).get(id).await?;
        Ok(file.filter(|file| file.status == FileStatus::Processing))
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
        if file.size_bytes > MAX_REQUEST_BYTES {
            attempt.progress.report(0, None, "Checking the file");
            match objects.sha256(file.content()).await {
                Ok(sha256) if sha256 == file.sha256 => {}
                Ok(_) => return Ok(Err(mismatch())),
                Err(ObjectError::Missing) => return Ok(Err(missing())),
                Err(error) => return Err(error.into()),
            }
        }
        attempt.progress.report(0, None, "Fetching the file");
        let content = match objects.content(file.content()).await {
            Ok(content) => content,
            Err(ObjectError::Missing) => return Ok(Err(missing())),
            Err(error) => return Err(error.into()),
        };
        let limits = &self.reader.limits;
        let limit = limits.input_bytes.max(limits.streamed_bytes);
        if content.size_bytes > limit {
            let rejection = Rejection::TooLarge {
                measure: Measure::File,
                limit,
            };
            return Ok(Err(refusal(&rejection)));
        }
        let read = match self.flow(attempt, tenant, file, content).await? {
            Ok(read) => read,
            Err(failure) => return Ok(Err(failure)),
        };
        attempt.progress.report(
            file.size_bytes,
            Some(file.size_bytes),
            "Keeping what was read",
        );
        let outline = serde_json::to_vec(&read.outline)
            .unwrap_or_else(|error| unreachable!("texts and numbers are JSON: {error}"));
        let extracted = self.store.extracted(tenant, file.content());
        extracted.keep_outline(outline).await?;
        objects
            .keep_preview(file.content(), &read.preview, read.thumbnail)
            .await?;
        Ok(Ok(read.found))
    }

    /// Lets the content flow through the reader and keeps what comes out of it, a part at a time.
    async fn flow(
        &self,
        attempt: &Attempt,
        tenant: Tenant,
        file: &File,
        content: ContentStream,
    ) -> Result<Result<ReadFile, Failure>, Trouble> {
        let (giver, incoming, taken) = incoming();
        let (keep, parts) = mpsc::channel(1);
        let (see, seen) = watch::channel(Seen::default());
        let reader = self.reader_in_time(attempt);
        let name = file.name.clone();
        let reading = tokio::task::spawn_blocking(move || {
            let see = |now| {
                see.send_replace(now);
            };
            let mut keep = |part| keep.blocking_send(part).map_err(|_| Stop::Unwanted);
            read::read(incoming, &name, &reader, &see, &mut keep)
        });
        let progress = || {
            let bytes = taken.load(Ordering::Relaxed).min(file.size_bytes);
            let message = stage(*seen.borrow());
            attempt
                .progress
                .report(bytes, Some(file.size_bytes), message);
        };
        let extracted = self.store.extracted(tenant, file.content());
        let (given, kept, read) = tokio::join!(
            give(content, giver, &progress),
            self.keep(attempt, &extracted, parts, &progress),
            reading,
        );
        match (given, kept?, read) {
            (_, Kept::OutOfTime, _) => Ok(Err(out_of_time())),
            (_, Kept::All, Ok(Ok(read))) => Ok(Ok(read)),
            (_, Kept::All, Ok(Err(Unread::Refused(failure)))) => Ok(Err(failure)),
            // It may have stopped for want of the rest of the file.
            (Err(error), Kept::All, _) => Err(error.into()),
            (Ok(()), Kept::All, Ok(Err(Unread::NotNow(cause)))) => {
                let message = "The reader of files could not be started.";
                Err(Trouble::transient("reader_unavailable", message, cause))
            }
            // Parsers are shielded; this is the cutting into chunks.
            (Ok(()), Kept::All, Err(panic)) => {
                tracing::error!(%panic, file = %file.id, "a file could not be cut into chunks");
                Ok(Err(refusal(&Rejection::ParserPanicked)))
            }
        }
    }

    /// Keeps each part as it comes, until there are no more or time is up.
    async fn keep(
        &self,
        attempt: &Attempt,
        extracted: &Extracted<'_>,
        mut parts: mpsc::Receiver<Part>,
        progress: &impl Fn(),
    ) -> Result<Kept, ObjectError> {
        while let Some(part) = parts.recv().await {
            if attempt.budget.remaining() < AFTER_READING {
                return Ok(Kept::OutOfTime);
            }
            match part {
                Part::Text { number, text } => extracted.keep_text(number, text).await?,
                Part::Chunks { number, json } => extracted.keep_chunks(number, json).await?,
            }
            progress();
        }
        Ok(Kept::All)
    }

    /// The reader, with no more time than the attempt can give.
    fn reader_in_time(&self, attempt: &Attempt) -> Reader {
        let mut reader = self.reader.clone();
        let left = attempt.budget.remaining().saturating_sub(BESIDE_READING);
        reader.limits.wall_clock = reader.limits.wall_clock.min(left.max(LEAST_READING));
        reader
    }
}

fn missing() -> Failure {
    Failure::new(
        "content_missing",
        "The uploaded content is no longer there. Delete the file and upload it again.",
    )
}

/// Each part of a large content was compared with its own checksum when it was uploaded; whether
/// they are the whole that was announced shows here.
fn mismatch() -> Failure {
    Failure::new(
        CHECKSUM_MISMATCH,
        "The parts that were uploaded do not make the content that was announced. Upload it again.",
    )
}

/// How the parts of a file were kept.
enum Kept {
    All,
    OutOfTime,
}

/// Gives the content to the reader, until it wants no more.
async fn give(
    mut content: ContentStream,
    giver: Giver,
    progress: &impl Fn(),
) -> Result<(), ObjectError> {
    loop {
        match content.next().await {
            Ok(Some(piece)) => {
                if !giver.give(piece).await {
                    return Ok(());
                }
                progress();
            }
            Ok(None) => {
                giver.end().await;
                return Ok(());
            }
            Err(error) => {
                giver.fail().await;
                return Err(error);
            }
        }
    }
}

/// What a reader that is so far is doing.
fn stage(seen: Seen) -> String {
    let page = seen.page.map(|page| format!("page {page}, "));
    format!(
        "Reading: {}{} passages",
        page.unwrap_or_default(),
        seen.chunks
    )
}

fn out_of_time() -> Failure {
    Failure::new(
        "timed_out",
        "Reading the file took longer than one attempt may. Split it and upload the parts.",
    )
}

/// The platform, on the thread of the request that made the job.
pub(crate) fn cause(attempt: &Attempt) -> Cause {
    Cause {
        actor: Actor::System,
        correlation_id: attempt.job.correlation_id.clone(),
    }
}
