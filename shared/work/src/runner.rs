//! Takes a ring to its end.

use std::any::Any;
use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use futures::StreamExt as _;
use kernel::{Clock, JobId, OrgId, Timestamp};
use rand::distr::{Distribution, StandardUniform};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use tokio::sync::watch;
use tracing::{Instrument as _, error, info, info_span, warn};

use crate::{
    Attempt, Bell, Budget, CancelSignal, Control, ControlError, Doorbell, Handler, Job, JobError,
    JobStore, Observer, Outcome, ProgressReporter, Silent, StoreError, WorkEvent,
};

mod claiming;
mod settling;
mod supervising;

use supervising::Stop;

/// The times a runner keeps to.
#[derive(Debug, Clone)]
pub struct RunnerConfig {
    /// How long a claim holds without being renewed: how long a job waits after its worker died.
    pub lease: Duration,
    /// How often the lease is renewed; also how soon a cancellation is noticed. Well under half of
    /// `lease`.
    pub heartbeat: Duration,
    /// How often reported progress is written, at most.
    pub progress_every: Duration,
    /// How long before the deadline a handler is stopped, to leave time for settling.
    pub stop_margin: Duration,
    /// How long before it is stopped a handler is asked to yield.
    pub yield_margin: Duration,
    /// The least time before it is asked to yield that is worth beginning an attempt for.
    pub least_work: Duration,
    /// How long a handler may take to stop after a cancellation.
    pub cancel_grace: Duration,
    /// How long one call of the store may take. Under `heartbeat`.
    pub store_timeout: Duration,
    /// How many rings of a batch run at the same time.
    pub concurrency: usize,
}

impl Default for RunnerConfig {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(30),
            heartbeat: Duration::from_secs(8),
            progress_every: Duration::from_secs(2),
            stop_margin: Duration::from_secs(8),
            yield_margin: Duration::from_secs(12),
            least_work: Duration::from_secs(5),
            cancel_grace: Duration::from_secs(5),
            store_timeout: Duration::from_secs(4),
            concurrency: 4,
        }
    }
}

/// What to tell the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// The ring is answered. Delete the message.
    Acknowledge,
    /// The ring could not be answered. Leave the message to be delivered again.
    Redeliver,
}

/// Runs jobs: claims, keeps the lease, runs the handler, settles, rings the successor.
pub struct Runner {
    store: Arc<dyn JobStore>,
    bell: Arc<dyn Bell>,
    clock: Arc<dyn Clock>,
    config: RunnerConfig,
    handlers: BTreeMap<&'static str, Arc<dyn Handler>>,
    observer: Arc<dyn Observer>,
    random: Mutex<StdRng>,
}

impl Runner {
    /// A runner without handlers.
    #[must_use]
    pub fn new(
        store: Arc<dyn JobStore>,
        bell: Arc<dyn Bell>,
        clock: Arc<dyn Clock>,
        config: RunnerConfig,
    ) -> Self {
        Self {
            store,
            bell,
            clock,
            config,
            handlers: BTreeMap::new(),
            observer: Arc::new(Silent),
            random: Mutex::new(StdRng::from_os_rng()),
        }
    }

    /// Adds a handler.
    ///
    /// # Panics
    /// If another handler does one of its kinds: a mistake in the wiring of a worker, seen at its
    /// start.
    #[must_use]
    pub fn handler(mut self, handler: Arc<dyn Handler>) -> Self {
        for &kind in handler.kinds() {
            let former = self.handlers.insert(kind, Arc::clone(&handler));
            assert!(former.is_none(), "two handlers for jobs of kind {kind}");
        }
        self
    }

    /// Sends what happens to `observer`.
    #[must_use]
    pub fn observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = observer;
        self
    }

    /// Draws claim tokens and jitter from `seed`, for runs that can be repeated exactly.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.random = Mutex::new(StdRng::seed_from_u64(seed));
        self
    }

    /// Cancels a job: [`Control::cancel`].
    pub async fn cancel(&self, org: OrgId, id: JobId) -> Result<Job, ControlError> {
        self.control().cancel(org, id).await
    }

    /// Redrives a dead job: [`Control::redrive`].
    pub async fn redrive(&self, org: OrgId, id: JobId) -> Result<Job, ControlError> {
        self.control().redrive(org, id).await
    }

    /// Operations on the jobs of this runner's store.
    #[must_use]
    pub fn control(&self) -> Control {
        Control::new(
            Arc::clone(&self.store),
            Arc::clone(&self.bell),
            Arc::clone(&self.clock),
        )
    }

    /// Answers several rings, `concurrency` at a time. Each has its own outcome: one that fails,
    /// or panics outside its handler, leaves the others alone. `key` is what the queue calls the
    /// message.
    pub async fn run_batch<K>(
        &self,
        rings: impl IntoIterator<Item = (K, Doorbell)>,
        deadline: Timestamp,
    ) -> Vec<(K, Delivery)> {
        let answers = rings.into_iter().map(|(key, doorbell)| async move {
            let run = AssertUnwindSafe(self.run(doorbell, deadline)).catch_unwind();
            let delivery = run.await.unwrap_or_else(|panic| {
                error!(
                    org = %doorbell.org,
                    job = %doorbell.job,
                    panic = panic_message(panic.as_ref()),
                    "the runner panicked, the ring will be delivered again"
                );
                Delivery::Redeliver
            });
            (key, delivery)
        });
        futures::stream::iter(answers)
            .buffered(self.config.concurrency.max(1))
            .collect()
            .await
    }

    /// Answers one ring. Returns before `deadline`, by this runner's clock, unless the store hangs.
    pub async fn run(&self, doorbell: Doorbell, deadline: Timestamp) -> Delivery {
        let claimed = match self.claim(&doorbell, deadline).await {
            Ok(job) => job,
            Err(delivery) => return delivery,
        };
        let span = info_span!(
            "attempt",
            org = %claimed.org,
            job = %claimed.id,
            kind = %claimed.kind,
            lane = %claimed.lane,
            fence = claimed.fence,
            correlation_id = %claimed.correlation_id,
        );
        self.attempt(claimed, deadline).instrument(span).await
    }

    async fn attempt(&self, mut job: Job, deadline: Timestamp) -> Delivery {
        let started = self.clock.now();
        let waited = started.since(job.due_at);
        self.observer
            .observe(&WorkEvent::Claimed { job: &job, waited });
        info!(
            attempts = job.attempts,
            waited_ms = millis(waited),
            "attempt started"
        );

        let fence = job.fence();
        let (progress_in, progress_out) = watch::channel(None);
        let own = Arc::default();
        let ended = self.execute(&mut job, deadline, progress_in, &progress_out, &own);
        let ended = ended.await;
        if let Some(job) = own.get() {
            self.told_settled(job, Outcome::done().as_str(), started);
            return Delivery::Acknowledge;
        }
        let outcome = match ended {
            Ok(outcome) => outcome,
            Err(Stop::Deadline) => Outcome::Retry {
                error: JobError::new(
                    "deadline_exceeded",
                    "the attempt did not yield before its time was over",
                ),
                after: Some(Duration::ZERO),
            },
            Err(Stop::CancelIgnored) => Outcome::Cancelled,
            Err(Stop::LeaseLost) => {
                let ran = self.clock.now().since(started);
                warn!(ran_ms = millis(ran), "lease lost, attempt dropped");
                self.observer
                    .observe(&WorkEvent::LeaseLost { job: &job, ran });
                return Delivery::Acknowledge;
            }
        };

        let progress = progress_out.borrow().clone();
        let settled = self.settle(job, fence, outcome, progress, deadline).await;
        let Some((job, outcome)) = settled else {
            return Delivery::Redeliver;
        };
        self.told_settled(&job, outcome, started);
        self.ring(&job).await;
        Delivery::Acknowledge
    }

    fn told_settled(&self, job: &Job, outcome: &'static str, started: Timestamp) {
        let ran = self.clock.now().since(started);
        info!(
            outcome,
            state = %job.state,
            attempts = job.attempts,
            ran_ms = millis(ran),
            error_code = job.error.as_ref().map(|error| error.code.as_str()),
            "attempt settled"
        );
        self.observer
            .observe(&WorkEvent::Settled { job, outcome, ran });
    }

    /// Runs the handler under supervision. Handler and supervisor share one task: whatever stops
    /// the one stops the other.
    async fn execute(
        &self,
        job: &mut Job,
        deadline: Timestamp,
        progress_in: watch::Sender<Option<crate::Progress>>,
        progress_out: &watch::Receiver<Option<crate::Progress>>,
        own: &Arc<OnceLock<Job>>,
    ) -> Result<Outcome, Stop> {
        let Some(handler) = self.handlers.get(job.kind.as_str()) else {
            error!("no handler for jobs of this kind");
            let message = format!("this worker does not know jobs of kind `{}`", job.kind);
            return Ok(Outcome::reject("unknown_kind", message));
        };
        let stop_at = deadline.minus(self.config.stop_margin);
        let (cancel_in, cancel_out) = watch::channel(false);
        let attempt = Attempt {
            job: job.clone(),
            fence: job.fence(),
            budget: Budget {
                clock: Arc::clone(&self.clock),
                yield_at: stop_at.minus(self.config.yield_margin),
                stop_at,
            },
            cancel: CancelSignal(cancel_out),
            progress: ProgressReporter(progress_in),
            settled: Arc::clone(own),
        };
        // The future is made inside, so that a panic before its first await is caught as well.
        let run = AssertUnwindSafe(async { handler.run(attempt).await }).catch_unwind();
        let mut run = pin!(run);
        let supervisor = self.supervise(job, stop_at, &cancel_in, progress_out.clone());
        let mut supervisor = pin!(supervisor);
        tokio::select! {
            biased;
            ended = &mut run => Ok(ended.unwrap_or_else(|panic| {
                let message = panic_message(panic.as_ref());
                // The message is for the log alone: the row is shown to the org's members.
                error!(panic = message, "the handler panicked");
                Outcome::retry("panicked", "the attempt ended in an internal error")
            })),
            stop = &mut supervisor => Err(stop),
        }
    }

    async fn ring(&self, job: &Job) {
        let Some(delay) = job.ring_delay(self.clock.now()) else {
            return;
        };
        if let Err(error) = self.bell.ring(&job.doorbell(), delay).await {
            warn!(org = %job.org, job = %job.id, %error, "ring failed, the sweeper will ring");
        }
    }

    async fn load(&self, org: OrgId, id: JobId) -> Result<Option<Job>, StoreError> {
        self.in_time(self.store.load(org, id)).await
    }

    async fn replace(&self, new: &Job, expected_version: u64) -> Result<bool, StoreError> {
        self.in_time(self.store.replace(new, expected_version))
            .await
    }

    async fn in_time<T>(
        &self,
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let limit = self.config.store_timeout;
        tokio::time::timeout(limit, call)
            .await
            .unwrap_or_else(|_| Err(StoreError::unavailable(format!("no reply in {limit:?}"))))
    }

    fn draw<T>(&self) -> T
    where
        StandardUniform: Distribution<T>,
    {
        self.random
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .random()
    }

    /// A short, growing, jittered pause between two tries of the store.
    async fn pause(&self, failures: u32) {
        let limit = Duration::from_millis(50).saturating_mul(1 << failures.min(5));
        let part: f64 = self.draw();
        tokio::time::sleep(limit.mul_f64(part)).await;
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn panic_message(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}
