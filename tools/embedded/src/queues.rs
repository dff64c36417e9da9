//! The queues, and a source of Lambda's SQS events.

use std::collections::HashMap;
use std::time::Duration;

use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{
    DeleteMessageBatchRequestEntry, Message, MessageSystemAttributeName, QueueAttributeName,
};
use serde_json::json;

use crate::endpoints::REGION;
use crate::error::Error;

/// A standard queue and its dead letter queue, `<name>-dead`.
#[derive(Clone, Debug)]
pub struct QueueSpec {
    pub name: String,
    /// How long a received message stays hidden; at least six times the
    /// timeout of the function that receives it.
    pub visibility: Duration,
    /// How often a message may be received before it is a dead letter.
    pub max_receive_count: u32,
}

impl QueueSpec {
    /// A queue whose messages die after five receives.
    pub fn new(name: impl Into<String>, visibility: Duration) -> Self {
        Self {
            name: name.into(),
            visibility,
            max_receive_count: 5,
        }
    }
}

/// The addresses of a queue that was made.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Queue {
    pub name: String,
    pub url: String,
    pub dead_letter_url: String,
}

/// Makes the queues that are missing, each with its dead letter queue, and
/// returns them in the order asked for.
///
/// # Errors
///
/// [`Error::Call`] when SQS refuses, or does not answer.
pub async fn create_queues(client: &Client, specs: &[QueueSpec]) -> Result<Vec<Queue>, Error> {
    let mut queues = Vec::with_capacity(specs.len());
    for spec in specs {
        let dead_name = format!("{}-dead", spec.name);
        let dead_letter_url = create_queue(client, &dead_name, HashMap::new()).await?;
        let redrive = json!({
            "deadLetterTargetArn": queue_arn(client, &dead_letter_url).await?,
            "maxReceiveCount": spec.max_receive_count,
        });
        let attributes = HashMap::from([
            (
                QueueAttributeName::VisibilityTimeout,
                spec.visibility.as_secs().to_string(),
            ),
            (QueueAttributeName::RedrivePolicy, redrive.to_string()),
        ]);
        queues.push(Queue {
            name: spec.name.clone(),
            url: create_queue(client, &spec.name, attributes).await?,
            dead_letter_url,
        });
    }
    Ok(queues)
}

async fn create_queue(
    client: &Client,
    name: &str,
    attributes: HashMap<QueueAttributeName, String>,
) -> Result<String, Error> {
    let created = client
        .create_queue()
        .queue_name(name)
        .set_attributes(Some(attributes))
        .send()
        .await
        .map_err(|error| Error::call("CreateQueue", name, error))?;
    Ok(created.queue_url.unwrap_or_default())
}

async fn queue_arn(client: &Client, url: &str) -> Result<String, Error> {
    let known = client
        .get_queue_attributes()
        .queue_url(url)
        .attribute_names(QueueAttributeName::QueueArn)
        .send()
        .await
        .map_err(|error| Error::call("GetQueueAttributes", url, error))?;
    let arn = known
        .attributes
        .and_then(|mut attributes| attributes.remove(&QueueAttributeName::QueueArn));
    Ok(arn.unwrap_or_default())
}

/// Receives messages as Lambda's event source does.
#[derive(Clone, Debug)]
pub struct QueueSource {
    client: Client,
    url: String,
    arn: String,
    batch_size: i32,
    wait: Duration,
}

impl QueueSource {
    /// A source of at most `batch_size` (1 to 10) messages at a time.
    ///
    /// # Errors
    ///
    /// [`Error::Call`] when the queue is not there.
    pub async fn new(client: &Client, url: &str, batch_size: i32) -> Result<Self, Error> {
        Ok(Self {
            client: client.clone(),
            url: url.to_owned(),
            arn: queue_arn(client, url).await?,
            batch_size,
            wait: Duration::from_secs(20),
        })
    }

    /// Waits for at most this long, in whole seconds, when the queue is empty.
    #[must_use]
    pub fn with_wait(mut self, wait: Duration) -> Self {
        self.wait = wait;
        self
    }

    /// The next messages; nothing when none came in time.
    ///
    /// # Errors
    ///
    /// [`Error::Call`] when SQS refuses, or does not answer.
    pub async fn poll(&self) -> Result<Option<SqsEvent>, Error> {
        let wait = i32::try_from(self.wait.as_secs()).unwrap_or(20);
        let received = self
            .client
            .receive_message()
            .queue_url(&self.url)
            .max_number_of_messages(self.batch_size)
            .wait_time_seconds(wait)
            .message_system_attribute_names(MessageSystemAttributeName::All)
            .message_attribute_names("All")
            .send()
            .await
            .map_err(|error| Error::call("ReceiveMessage", &self.url, error))?;
        let records: Vec<SqsMessage> = received
            .messages
            .unwrap_or_default()
            .into_iter()
            .map(|message| self.record(message))
            .collect();
        if records.is_empty() {
            return Ok(None);
        }
        let mut event = SqsEvent::default();
        event.records = records;
        Ok(Some(event))
    }

    /// Deletes what a handler dealt with and leaves its failures to come back
    /// when their visibility ends. Returns how many were deleted.
    ///
    /// As in Lambda, a failure that names no message of the event fails all of
    /// them.
    ///
    /// # Errors
    ///
    /// [`Error::Call`] when SQS does not delete them all; what was not deleted
    /// comes back.
    pub async fn acknowledge(
        &self,
        event: &SqsEvent,
        response: &SqsBatchResponse,
    ) -> Result<usize, Error> {
        let done = successes(event, response);
        // SQS takes ten at a time.
        for (batch, receipts) in done.chunks(10).enumerate() {
            let entries = receipts
                .iter()
                .enumerate()
                .map(|(position, receipt)| {
                    DeleteMessageBatchRequestEntry::builder()
                        .id(position.to_string())
                        .receipt_handle(*receipt)
                        .build()
                })
                .collect::<Result<Vec<_>, _>>()
                .map_err(|error| Error::call("DeleteMessageBatch", &self.url, error))?;
            let deleted = self
                .client
                .delete_message_batch()
                .queue_url(&self.url)
                .set_entries(Some(entries))
                .send()
                .await
                .map_err(|error| Error::call("DeleteMessageBatch", &self.url, error))?;
            if let Some(failure) = deleted.failed().first() {
                return Err(Error::Call {
                    operation: "DeleteMessageBatch",
                    resource: self.url.clone(),
                    cause: format!("batch {batch}, entry {}: {}", failure.id(), failure.code()),
                });
            }
        }
        Ok(done.len())
    }

    fn record(&self, message: Message) -> SqsMessage {
        let mut record = SqsMessage::default();
        record.message_id = message.message_id;
        record.receipt_handle = message.receipt_handle;
        record.body = message.body;
        record.md5_of_body = message.md5_of_body;
        record.attributes = message
            .attributes
            .unwrap_or_default()
            .into_iter()
            .map(|(name, value)| (name.as_str().to_owned(), value))
            .collect();
        record.event_source = Some("aws:sqs".to_owned());
        record.event_source_arn = Some(self.arn.clone());
        record.aws_region = Some(REGION.to_owned());
        for (name, value) in message.message_attributes.unwrap_or_default() {
            let attribute = record.message_attributes.entry(name).or_default();
            attribute.data_type = Some(value.data_type);
            attribute.string_value = value.string_value;
        }
        record
    }
}

/// The receipt handles of the messages that a response does not report.
fn successes<'a>(event: &'a SqsEvent, response: &SqsBatchResponse) -> Vec<&'a str> {
    let failed: Vec<&str> = response
        .batch_item_failures
        .iter()
        .map(|failure| failure.item_identifier.as_str())
        .collect();
    let known = |id: &str| {
        event
            .records
            .iter()
            .any(|record| record.message_id.as_deref() == Some(id))
    };
    if !failed.iter().all(|id| known(id)) {
        return Vec::new();
    }
    event
        .records
        .iter()
        .filter(|record| {
            let id = record.message_id.as_deref().unwrap_or_default();
            !failed.contains(&id)
        })
        .filter_map(|record| record.receipt_handle.as_deref())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(ids: &[&str]) -> SqsEvent {
        let mut event = SqsEvent::default();
        event.records = ids
            .iter()
            .map(|id| {
                let mut record = SqsMessage::default();
                record.message_id = Some((*id).to_owned());
                record.receipt_handle = Some(format!("receipt of {id}"));
                record
            })
            .collect();
        event
    }

    fn failures(ids: &[&str]) -> SqsBatchResponse {
        let mut response = SqsBatchResponse::default();
        for id in ids {
            response.add_failure(*id);
        }
        response
    }

    #[test]
    fn only_reported_messages_are_kept() {
        let event = event(&["a", "b", "c"]);
        assert_eq!(
            successes(&event, &failures(&["b"])),
            ["receipt of a", "receipt of c"]
        );
        assert_eq!(successes(&event, &failures(&[])).len(), 3);
    }

    #[test]
    fn an_unknown_or_empty_id_fails_the_batch() {
        let event = event(&["a", "b"]);
        for id in ["elsewhere", ""] {
            assert_eq!(successes(&event, &failures(&["a", id])), [""; 0], "{id:?}");
        }
    }
}
