//! Probes of what the product stands on: DynamoDB, S3 and SQS, each asked for next to nothing.

use std::fmt::Display;
use std::time::{Duration, Instant};

use aws_sdk_dynamodb::error::DisplayErrorContext;
use aws_sdk_sqs::types::QueueAttributeName;

use crate::{Store, keys};

/// How long one dependency may take to answer.
const TIME_LIMIT: Duration = Duration::from_secs(2);

/// How one dependency did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probe {
    /// Whether it gave the answer that it should, in time.
    pub answered: bool,
    /// How long it took to answer, to fail, or to be given up.
    pub latency: Duration,
}

/// How each dependency did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probes {
    /// DynamoDB: one read of the Core table.
    pub tables: Probe,
    /// S3: whether the bucket of files is there.
    pub objects: Probe,
    /// SQS: an attribute of the queue of interactive work.
    pub queues: Probe,
}

impl Store {
    /// Asks all dependencies at once, each for two seconds at most. Why one did not answer is
    /// logged.
    pub async fn probe(&self) -> Probes {
        let key = keys::probe();
        let tables = self.get_item(&key);
        let bucket = self
            .clients
            .s3()
            .head_bucket()
            .bucket(&self.config.files_bucket)
            .send();
        let objects = async { bucket.await.map_err(DisplayErrorContext) };
        let queue = self
            .clients
            .sqs()
            .get_queue_attributes()
            .queue_url(&self.config.agent_interactive_queue)
            .attribute_names(QueueAttributeName::QueueArn)
            .send();
        let queues = async { queue.await.map_err(DisplayErrorContext) };
        let (tables, objects, queues) = tokio::join!(
            timed("dynamodb", TIME_LIMIT, tables),
            timed("s3", TIME_LIMIT, objects),
            timed("sqs", TIME_LIMIT, queues),
        );
        Probes {
            tables,
            objects,
            queues,
        }
    }
}

async fn timed<T, E: Display>(
    dependency: &'static str,
    limit: Duration,
    call: impl Future<Output = Result<T, E>>,
) -> Probe {
    let started = Instant::now();
    let outcome = tokio::time::timeout(limit, call).await;
    let latency = started.elapsed();
    let answered = match outcome {
        Ok(Ok(_)) => true,
        Ok(Err(error)) => {
            tracing::warn!(dependency, %error, "a health probe failed");
            false
        }
        Err(_) => {
            tracing::warn!(
                dependency,
                limit_ms = limit.as_millis(),
                "a health probe timed out"
            );
            false
        }
    };
    Probe { answered, latency }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_probe_tells_an_answer_from_an_error_and_from_silence() {
        let limit = Duration::from_millis(20);
        let answer = async { Ok::<_, String>(1) };
        assert!(timed("test", limit, answer).await.answered);
        let error = async { Err::<(), _>("refused".to_owned()) };
        assert!(!timed("test", limit, error).await.answered);
        let silence = std::future::pending::<Result<(), String>>();
        let probe = timed("test", limit, silence).await;
        assert!(!probe.answered && probe.latency >= limit);
    }
}
