//! A handler with one kind of job per way to behave.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use kernel::Clock as _;
use serde_json::json;
use work::{Attempt, Handler, JobStore as _, Observer, Outcome, WorkEvent};

use crate::world::lock;
use crate::world::stage::Stage;

pub struct Acts {
    stage: Stage,
    /// Attempts begun.
    pub runs: AtomicU64,
    /// Attempts that were dropped before their end.
    pub dropped: AtomicU64,
    at_once: AtomicU64,
    pub most_at_once: AtomicU64,
}

impl Acts {
    pub fn new(stage: Stage) -> Self {
        Self {
            stage,
            runs: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            at_once: AtomicU64::new(0),
            most_at_once: AtomicU64::new(0),
        }
    }

    async fn act(&self, attempt: &mut Attempt) -> Outcome {
        #[derive(serde::Deserialize)]
        struct Payload {
            number: u32,
        }
        match attempt.job.kind.as_str() {
            "succeed" => {
                tokio::time::sleep(Duration::from_millis(5)).await;
                Outcome::done_with(json!({"pages": 3}))
            }
            "decode" => match attempt.payload::<Payload>() {
                Ok(payload) => Outcome::done_with(json!(payload.number)),
                Err(outcome) => outcome,
            },
            "panic" => {
                tokio::task::yield_now().await;
                panic!("the secret is 42")
            }
            "settle-itself" => {
                let (job, now) = (&attempt.job, self.stage.clock.now());
                let done = attempt.done(job, now).expect("it holds the job");
                let written = self.stage.replace(&done, job.version).await;
                assert!(written.expect("an answer"));
                attempt.was_settled(done);
                Outcome::retry("flaky", "nobody hears this")
            }
            "settle-late" => {
                let now = self.stage.clock.now();
                let first = attempt.job.clone();
                tokio::time::sleep(Duration::from_secs(10)).await;
                let done = attempt.done(&first, now).expect("it held the job");
                let written = self.stage.replace(&done, first.version).await;
                assert!(!written.expect("an answer"), "the lease was renewed since");
                let job = self.stage.load(first.org, first.id).await;
                let job = job.expect("an answer").expect("a job");
                let done = attempt.done(&job, now).expect("it holds the job");
                let written = self.stage.replace(&done, job.version).await;
                assert!(written.expect("an answer"));
                attempt.was_settled(done);
                Outcome::done()
            }
            "retry" => Outcome::retry("flaky", "it failed"),
            "fail" => Outcome::fail("broken", "it broke"),
            "five-minutes" => {
                tokio::time::sleep(Duration::from_secs(300)).await;
                Outcome::done()
            }
            "ten-seconds" => {
                tokio::time::sleep(Duration::from_secs(10)).await;
                Outcome::done()
            }
            "until-told-to-yield" => {
                while !attempt.budget.should_yield() {
                    tokio::time::sleep(Duration::from_millis(500)).await;
                }
                Outcome::Yield
            }
            "until-cancelled" => {
                attempt.cancel.cancelled().await;
                Outcome::Cancelled
            }
            "progress" => {
                for page in 1..=3 {
                    attempt
                        .progress
                        .report(page, Some(3), format!("page {page}"));
                    tokio::time::sleep(Duration::from_secs(20)).await;
                }
                Outcome::done()
            }
            "park-for-a-day" => Outcome::Park {
                until: self.stage.clock.now().plus(Duration::from_secs(24 * 3_600)),
            },
            _ => std::future::pending().await,
        }
    }
}

/// Counts itself as dropped unless told that it ended.
struct Watch<'a> {
    acts: &'a Acts,
    ended: bool,
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        self.acts.at_once.fetch_sub(1, Ordering::Relaxed);
        if !self.ended {
            self.acts.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[async_trait]
impl Handler for Acts {
    fn kinds(&self) -> &[&'static str] {
        &[
            "succeed",
            "decode",
            "panic",
            "panic-at-once",
            "settle-itself",
            "settle-late",
            "retry",
            "fail",
            "five-minutes",
            "ten-seconds",
            "until-told-to-yield",
            "until-cancelled",
            "never-ends",
            "progress",
            "park-for-a-day",
        ]
    }

    async fn run(&self, mut attempt: Attempt) -> Outcome {
        assert_ne!(attempt.job.kind, "panic-at-once", "a secret");
        self.runs.fetch_add(1, Ordering::Relaxed);
        let now = self.at_once.fetch_add(1, Ordering::Relaxed) + 1;
        self.most_at_once.fetch_max(now, Ordering::Relaxed);
        let mut watch = Watch {
            acts: self,
            ended: false,
        };
        let outcome = self.act(&mut attempt).await;
        watch.ended = true;
        outcome
    }
}

/// Writes down what an observer is told.
#[derive(Default)]
pub struct Recorder(Mutex<Vec<String>>);

impl Recorder {
    pub fn names(&self) -> Vec<String> {
        lock(&self.0).clone()
    }
}

impl Observer for Recorder {
    fn observe(&self, event: &WorkEvent<'_>) {
        let name = match event {
            WorkEvent::Claimed { .. } => "claimed".to_owned(),
            WorkEvent::Refused { reason, .. } => format!("refused: {reason}"),
            WorkEvent::Settled { outcome, .. } => format!("settled {outcome}"),
            WorkEvent::LeaseLost { .. } => "lease lost".to_owned(),
            WorkEvent::Reclaimed { job } => format!("reclaimed, {}", job.state),
            WorkEvent::Swept { report } => format!("swept {}", report.examined),
            _ => "something new".to_owned(),
        };
        lock(&self.0).push(name);
    }
}
