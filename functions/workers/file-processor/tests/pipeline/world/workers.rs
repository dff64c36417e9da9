//! What workers do, and what can happen to them.

use std::sync::Arc;
use std::time::Duration;

use aws_lambda_events::event::sqs::SqsEvent;
use kernel::Clock as _;
use store::{Clients, Store};
use work::{Attempt, Fence, Job, JobStore, Outcome, Runner, RunnerConfig};

use super::{World, local};

/// What a worker of the cloud has for one batch.
const INVOCATION: Duration = Duration::from_secs(300);

impl World {
    /// Runs every job that was rung for, and those that they ring for. The messages that came, for
    /// them to be delivered again.
    pub async fn work(&self) -> Vec<SqsEvent> {
        let mut delivered = Vec::new();
        while let Some(event) = self.queue.poll().await.expect("the queue answers") {
            let again = self.deliver(event.clone()).await;
            assert_eq!(again, 0, "a message has to come again");
            delivered.push(event);
        }
        delivered
    }

    /// Delivers a batch of messages; how many of them are to come again.
    pub async fn deliver(&self, event: SqsEvent) -> usize {
        self.deliver_to(&self.runner, event).await
    }

    pub async fn deliver_to(&self, runner: &Runner, event: SqsEvent) -> usize {
        self.clock.advance(Duration::from_millis(1));
        let deadline = self.clock.now().plus(INVOCATION);
        let response = lambda::batch::run_doorbells(runner, event.clone(), deadline).await;
        self.queue
            .acknowledge(&event, &response)
            .await
            .expect("acknowledged");
        response.batch_item_failures.len()
    }

    /// Rings for a job that waits.
    pub async fn ring(&self, job: &Job) {
        self.store
            .bell()
            .ring(&job.doorbell(), Duration::ZERO)
            .await
            .expect("rung");
    }

    /// The latest job of a kind that waits, however far away its time is.
    pub async fn job(&self, kind: &str) -> Job {
        let horizon = self.clock.now().plus(Duration::from_secs(30 * 24 * 3600));
        let mut jobs = Vec::new();
        for shard in 0..work::DUE_SHARDS {
            let due = JobStore::due(&self.store, shard, horizon, 100).await;
            jobs.extend(due.expect("read"));
        }
        let of_kind = jobs.into_iter().filter(|job| job.kind == kind);
        of_kind.max_by_key(|job| job.created_at).expect("a job")
    }

    /// Claims the job of a message and dies of it: its lease is over. The fence of that attempt holds
    /// until somebody takes the job over.
    pub async fn claim(&self, event: &SqsEvent) -> Fence {
        let lease = Duration::from_secs(30);
        let job = self.jobs(std::slice::from_ref(event)).await.remove(0);
        let claimed = work::protocol::claim(&job, self.clock.now(), lease, job.version);
        let claimed = claimed.expect("claimed");
        self.replace(&claimed, job.version).await;
        self.clock.advance(lease);
        claimed.fence()
    }

    /// Writes a job over the one of that version.
    pub async fn replace(&self, job: &Job, version: u64) {
        let replaced = JobStore::replace(&self.store, job, version).await;
        assert!(replaced.expect("written"), "the job was changed meanwhile");
    }

    /// Makes one attempt at a job, in so much time. Whatever it commits is refused unless somebody has
    /// claimed the job.
    pub async fn attempt(&self, job: Job, time: Duration) -> Outcome {
        let embedding = self.embedding.clone();
        let reader = file_processor::Reader::on_threads();
        let handlers = file_processor::handlers_with(&self.store, reader, embedding);
        let mut handlers = handlers.into_iter();
        let handler = handlers.find(|handler| handler.kinds().contains(&job.kind.as_str()));
        let clock = Arc::new(self.clock.clone());
        handler
            .expect("a handler")
            .run(Attempt::detached(job, clock, time))
            .await
    }

    /// The next message.
    pub async fn message(&self) -> SqsEvent {
        self.queue
            .poll()
            .await
            .expect("the queue answers")
            .expect("a message")
    }

    /// A worker whose file storage does not answer.
    pub fn runner_without_storage(&self) -> Runner {
        let mut endpoints = local(&self.services);
        // A privileged port on which nothing listens.
        endpoints.s3 = "http://127.0.0.1:1".to_owned();
        let config = self.store.config().clone();
        let store = Store::new(
            Clients::local(&endpoints),
            config,
            Arc::new(self.clock.clone()),
        );
        let handlers = file_processor::handlers(&store);
        lambda::batch::runner(&store, handlers, RunnerConfig::default())
    }

    /// A job as it stands.
    pub async fn job_of(&self, id: kernel::JobId) -> Job {
        let job = JobStore::load(&self.store, self.tenant.org(), id).await;
        job.expect("read").expect("a job")
    }

    /// The jobs that these messages named, as they stand.
    pub async fn jobs(&self, delivered: &[SqsEvent]) -> Vec<Job> {
        let mut jobs = Vec::new();
        for record in delivered.iter().flat_map(|event| &event.records) {
            let body = record.body.as_deref().expect("a body");
            let doorbell: work::Doorbell = serde_json::from_str(body).expect("a doorbell");
            let job = JobStore::load(&self.store, doorbell.org, doorbell.job).await;
            jobs.push(job.expect("read").expect("a job"));
        }
        jobs
    }
}
