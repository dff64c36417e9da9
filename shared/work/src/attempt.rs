//! What a handler is given, and what it has to be.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use kernel::{Clock, Timestamp};
use serde::de::DeserializeOwned;
use tokio::sync::watch;

use crate::protocol::{self, Jitter, StaleFence};
use crate::{Fence, Job, JobError, Outcome, Progress};

/// Does one or more kinds of work.
///
/// `run` may be dropped at any `await`: when the lease is lost, when a cancellation or the deadline
/// was ignored, when the process dies. It must leave nothing behind that a next attempt cannot take
/// up: commit each step under [`Attempt::fence`], read the committed steps first, and after an
/// error whose effect is unknown end the attempt instead of writing again. Its last change may
/// settle the job in the same transaction: [`Attempt::done`].
///
/// The lease is renewed by the same task that polls `run`: an attempt that blocks its thread stops
/// renewing and loses the job. Put long computations on a blocking thread.
#[async_trait]
pub trait Handler: Send + Sync {
    /// The kinds this handler does, such as `execution.run`.
    fn kinds(&self) -> &[&'static str];

    /// Makes one attempt.
    async fn run(&self, attempt: Attempt) -> Outcome;
}

/// One attempt at a job, held under a lease.
#[derive(Debug)]
pub struct Attempt {
    /// The job as it was claimed.
    pub job: Job,
    /// The condition of every commit of this attempt.
    pub fence: Fence,
    /// How much time is left.
    pub budget: Budget,
    /// Whether somebody wants the job cancelled.
    pub cancel: CancelSignal,
    /// Where to say how far the work has come.
    pub progress: ProgressReporter,
    /// The job as the handler has settled it, if it has.
    pub(crate) settled: Arc<OnceLock<Job>>,
}

impl Attempt {
    /// The job as it is once its work is done, for a handler that writes it in one transaction with
    /// the last change of the work. Written on the condition that the row has the version of
    /// `current`, it stands for the check of the fence. `current` is the job as it was claimed, or
    /// as it was read since: heartbeats and those who want it cancelled write the row as well.
    ///
    /// # Errors
    /// [`StaleFence`] if `current` is not held by this attempt any more.
    pub fn done(&self, current: &Job, now: Timestamp) -> Result<Job, StaleFence> {
        let done = Outcome::done();
        protocol::settle(current, self.fence, &done, None, now, Jitter::FULL)
    }

    /// Tells the runner that [`done`](Self::done) was written: it does not settle the job again,
    /// whatever the handler returns and even if it is dropped.
    pub fn was_settled(&self, job: Job) {
        // Only the first can have been written.
        let _ = self.settled.set(job);
    }

    /// An attempt outside a runner, for the tests of handlers. Nobody cancels it, and its progress
    /// goes nowhere.
    #[must_use]
    pub fn detached(job: Job, clock: Arc<dyn Clock>, time: Duration) -> Self {
        let stop_at = clock.now().plus(time);
        Self {
            fence: job.fence(),
            budget: Budget {
                clock,
                yield_at: stop_at,
                stop_at,
            },
            cancel: CancelSignal(watch::channel(false).1),
            progress: ProgressReporter(watch::channel(None).0),
            settled: Arc::default(),
            job,
        }
    }

    /// The payload, decoded. The error is the outcome to end with: no retry makes a payload
    /// readable.
    pub fn payload<T: DeserializeOwned>(&self) -> Result<T, Outcome> {
        T::deserialize(&self.job.payload).map_err(|error| Outcome::Reject {
            error: JobError::new(
                "payload_unreadable",
                format!(
                    "the payload of {} cannot be decoded: {error}",
                    self.job.kind
                ),
            ),
        })
    }
}

/// The time that an attempt has. Near its end a handler commits and yields.
#[derive(Clone)]
pub struct Budget {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) yield_at: Timestamp,
    pub(crate) stop_at: Timestamp,
}

impl Budget {
    /// Time until the attempt is stopped by force.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        self.stop_at.since(self.clock.now())
    }

    /// Whether it is time to commit and return [`Outcome::Yield`]. Ask before each step.
    #[must_use]
    pub fn should_yield(&self) -> bool {
        self.clock.now() >= self.yield_at
    }

    /// Whether a step that may take `step` still fits.
    #[must_use]
    pub fn fits(&self, step: Duration) -> bool {
        self.remaining() > step
    }
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Budget")
            .field("yield_at", &self.yield_at)
            .field("stop_at", &self.stop_at)
            .finish_non_exhaustive()
    }
}

/// Tells a handler that its job is to be cancelled. It has a short grace to clean up and return
/// [`Outcome::Cancelled`]; then it is dropped.
#[derive(Debug, Clone)]
pub struct CancelSignal(pub(crate) watch::Receiver<bool>);

impl CancelSignal {
    /// Whether cancellation was asked for.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        *self.0.borrow()
    }

    /// Returns once cancellation is asked for; never, if it never is.
    pub async fn cancelled(&mut self) {
        if self.0.wait_for(|&cancelled| cancelled).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Where a handler says how far it has come. The job row shows it within a few seconds.
#[derive(Debug, Clone)]
pub struct ProgressReporter(pub(crate) watch::Sender<Option<Progress>>);

impl ProgressReporter {
    /// `completed` units, of `total` where that is known, and what is being done, for people.
    pub fn report(&self, completed: u64, total: Option<u64>, message: impl Into<String>) {
        // Cut as error messages are: both are kept in the row.
        let message = JobError::new("", message).message;
        self.0.send_replace(Some(Progress {
            completed,
            total,
            message: (!message.is_empty()).then_some(message),
        }));
    }
}

#[cfg(test)]
mod tests {
    use kernel::{ManualClock, OrgId};
    use serde_json::json;

    use super::*;
    use crate::{Lane, NewJob};

    const NOW: Timestamp = Timestamp::from_millis(1_767_225_600_000);

    fn job() -> Job {
        NewJob::new(
            OrgId::from_u128(1),
            "test.count",
            Lane::Files,
            json!({"to": 3}),
        )
        .build(NOW)
    }

    #[test]
    fn a_budget_asks_to_yield_before_it_ends() {
        let clock = ManualClock::at(NOW);
        let budget = Budget {
            clock: Arc::new(clock.clone()),
            yield_at: NOW.plus(Duration::from_secs(20)),
            stop_at: NOW.plus(Duration::from_secs(30)),
        };
        assert!(!budget.should_yield());
        assert!(budget.fits(Duration::from_secs(29)));
        clock.advance(Duration::from_secs(20));
        assert!(budget.should_yield());
        assert_eq!(budget.remaining(), Duration::from_secs(10));
        assert!(!budget.fits(Duration::from_secs(10)));
        clock.advance(Duration::from_secs(99));
        assert_eq!(budget.remaining(), Duration::ZERO);
    }

    #[test]
    fn an_unreadable_payload_is_rejected_with_a_reason() {
        #[derive(Debug, serde::Deserialize)]
        struct Payload {
            #[expect(dead_code, reason = "only its type matters")]
            to: String,
        }
        let attempt = Attempt::detached(
            job(),
            Arc::new(ManualClock::at(NOW)),
            Duration::from_secs(60),
        );
        let Err(Outcome::Reject { error }) = attempt.payload::<Payload>() else {
            panic!("a number was decoded as a string");
        };
        assert_eq!(error.code, "payload_unreadable");
        assert!(error.message.contains("expected a string"), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_cancels_a_detached_attempt() {
        let mut attempt = Attempt::detached(
            job(),
            Arc::new(ManualClock::at(NOW)),
            Duration::from_secs(60),
        );
        let waited =
            tokio::time::timeout(Duration::from_secs(3_600), attempt.cancel.cancelled()).await;
        assert!(waited.is_err());
        assert!(!attempt.cancel.is_cancelled());
    }
}
