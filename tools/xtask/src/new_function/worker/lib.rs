//! Sample: the handler of `sample.run` jobs. Say here what they are for.

use std::sync::Arc;

use async_trait::async_trait;
use serde::Deserialize;
use store::Store;
use work::{Attempt, Handler, Outcome};

/// The kind of job that this worker does.
pub const JOB: &str = "sample.run";

/// What such a job holds.
#[derive(Debug, Deserialize)]
pub struct Payload {
    /// Whom the work is about.
    pub subject: String,
}

/// Does the jobs.
#[derive(Debug, Default)]
pub struct Worker;

/// The handlers of this worker.
///
/// # Errors
/// An unusable environment.
pub fn handlers(_store: &Store) -> Result<Vec<Arc<dyn Handler>>, lambda::Error> {
    Ok(vec![Arc::new(Worker)])
}

#[async_trait]
impl Handler for Worker {
    fn kinds(&self) -> &[&'static str] {
        &[JOB]
    }

    async fn run(&self, attempt: Attempt) -> Outcome {
        match attempt.payload::<Payload>() {
            Ok(payload) => {
                tracing::info!(subject = payload.subject, "job done");
                Outcome::done()
            }
            Err(outcome) => outcome,
        }
    }
}
