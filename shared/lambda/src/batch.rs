//! Batches as Lambda hands them out: each item has its own outcome, and only what failed comes
//! again.

use std::sync::Arc;

use aws_lambda_events::event::dynamodb::{Event as DynamoEvent, EventRecord};
use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
use aws_lambda_events::event::streams::{DynamoDbBatchItemFailure, DynamoDbEventResponse};
use kernel::Timestamp;
use store::Store;
use work::{Delivery, Doorbell, Handler, Runner, RunnerConfig};

/// A runner of these handlers over the store.
#[must_use]
pub fn runner(store: &Store, handlers: Vec<Arc<dyn Handler>>, config: RunnerConfig) -> Runner {
    let runner = Runner::new(Arc::new(store.clone()), store.bell(), store.clock(), config)
        .observer(Arc::new(crate::telemetry::WorkMetrics));
    handlers.into_iter().fold(runner, Runner::handler)
}

/// Runs the jobs of a batch of doorbells. The answer names the messages that are to come again. A
/// message that is no doorbell never will be one: it goes away, with an error in the log.
pub async fn run_doorbells(
    runner: &Runner,
    event: SqsEvent,
    deadline: Timestamp,
) -> SqsBatchResponse {
    let mut doorbells = Vec::with_capacity(event.records.len());
    for record in event.records {
        let id = record.message_id.unwrap_or_default();
        let body = record.body.unwrap_or_default();
        match serde_json::from_str::<Doorbell>(&body) {
            Ok(doorbell) => doorbells.push((id, doorbell)),
            Err(error) => tracing::error!(message = id, %error, "a message is not a doorbell"),
        }
    }
    let mut response = SqsBatchResponse::default();
    for (id, delivery) in runner.run_batch(doorbells, deadline).await {
        if delivery == Delivery::Redeliver {
            response.add_failure(id);
        }
    }
    response
}

/// Follows the event log.
pub trait StreamReader: Send + Sync {
    /// Takes a run of items, new ones of the log, in order. Returns how many at the front are
    /// done with; the rest comes again.
    fn read(&self, items: Vec<serde_dynamo::Item>) -> impl Future<Output = usize> + Send;
}

/// Hands a batch of stream records to a reader. The answer names the first record that is to come
/// again, from which Lambda starts over.
pub async fn read_stream<R: StreamReader>(reader: &R, event: DynamoEvent) -> DynamoDbEventResponse {
    let is_insert = |record: &EventRecord| record.event_name == "INSERT";
    let records: Vec<(Option<String>, serde_dynamo::Item)> = event
        .records
        .into_iter()
        .filter(is_insert)
        .map(|record| (record.change.sequence_number, record.change.new_image))
        .collect();
    let (sequences, items): (Vec<_>, Vec<_>) = records.into_iter().unzip();
    let done = reader.read(items).await;
    let mut response = DynamoDbEventResponse::default();
    if let Some(sequence) = sequences.into_iter().nth(done) {
        let mut failure = DynamoDbBatchItemFailure::default();
        failure.item_identifier = sequence;
        response.batch_item_failures.push(failure);
    }
    response
}
