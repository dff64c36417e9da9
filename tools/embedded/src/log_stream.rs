//! Follows the stream of a table as Lambda's event source does.
//!
//! Records come in the order they were written, in batches, at least once. A
//! batch blocks those behind it until it is settled, and the position survives
//! a restart.
//!
//! ```text
//! loop {
//!     let batch = stream.next().await?;
//!     let response = handler(batch.event).await;
//!     stream.settle(&response).await?;   // failures come again
//! }
//! ```

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use aws_lambda_events::event::dynamodb::{
    Event, EventRecord, StreamViewType as EventViewType, UserIdentity,
};
use aws_lambda_events::event::streams::DynamoDbEventResponse;
use aws_sdk_dynamodbstreams::types::{AttributeValue, Record, ShardIteratorType, StreamViewType};
use std::collections::HashMap;

use crate::checkpoint::{Checkpoint, Checkpoints};
use crate::endpoints::Clients;
use crate::error::Error;

/// As many records as an event source mapping hands over by default.
const DEFAULT_BATCH_SIZE: i32 = 100;
/// How soon a new record is seen.
const DEFAULT_POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Records to handle, as a function receives them.
#[derive(Clone, Debug)]
pub struct Batch {
    pub event: Event,
    /// 1 the first time, then one more each time the same records come again.
    pub attempt: u32,
}

/// One consumer's place in the stream of a table.
#[derive(Debug)]
pub struct LogStream {
    client: aws_sdk_dynamodbstreams::Client,
    table: String,
    stream_arn: String,
    shard: String,
    checkpoints: Checkpoints,
    checkpoint_path: PathBuf,
    /// The last record dealt with.
    position: Option<String>,
    /// Where to read on; none to begin again after `position`.
    iterator: Option<String>,
    /// Records read and not dealt with. They are handed out again until then.
    pending: Vec<EventRecord>,
    attempt: u32,
    batch_size: i32,
    poll_interval: Duration,
}

impl LogStream {
    pub(crate) async fn open(
        clients: &Clients,
        checkpoints: Checkpoints,
        table: &str,
        consumer: &str,
    ) -> Result<Self, Error> {
        let described = clients
            .dynamodb
            .describe_table()
            .table_name(table)
            .send()
            .await
            .map_err(|error| Error::call("DescribeTable", table, error))?;
        let stream_arn = described
            .table
            .and_then(|table| table.latest_stream_arn)
            .ok_or_else(|| unfollowable(table, "the table has none"))?;
        let shard = only_shard(&clients.streams, table, &stream_arn).await?;
        let checkpoint_path = checkpoints.path(table, consumer);
        let position = Checkpoints::read(&checkpoint_path)?
            .filter(|checkpoint| checkpoint.stream_arn == stream_arn && checkpoint.shard == shard)
            .map(|checkpoint| checkpoint.sequence_number);
        Ok(Self {
            client: clients.streams.clone(),
            table: table.to_owned(),
            stream_arn,
            shard,
            checkpoints,
            checkpoint_path,
            position,
            iterator: None,
            pending: Vec::new(),
            attempt: 0,
            batch_size: DEFAULT_BATCH_SIZE,
            poll_interval: DEFAULT_POLL_INTERVAL,
        })
    }

    /// Hands over at most this many records at a time, 1 to 1,000.
    #[must_use]
    pub fn with_batch_size(mut self, records: i32) -> Self {
        self.batch_size = records;
        self
    }

    /// Looks for new records this often.
    #[must_use]
    pub fn with_poll_interval(mut self, interval: Duration) -> Self {
        self.poll_interval = interval;
        self
    }

    /// Waits for records and hands them over. The same ones come again, with a
    /// higher attempt, until they are settled; a caller that is cancelled or
    /// panics in between loses nothing.
    ///
    /// # Errors
    ///
    /// [`Error::Call`] when the stream does not answer. The next call begins
    /// again after the last settled record.
    pub async fn next(&mut self) -> Result<Batch, Error> {
        while self.pending.is_empty() {
            self.pending = self.read().await?;
            self.attempt = 0;
            if self.pending.is_empty() {
                tokio::time::sleep(self.poll_interval).await;
            }
        }
        self.attempt += 1;
        let mut event = Event::default();
        event.records = self.pending.clone();
        Ok(Batch {
            event,
            attempt: self.attempt,
        })
    }

    /// Records what a handler did with the last batch: what comes before the
    /// first failure is done, and the rest comes again.
    ///
    /// As in Lambda, a failure that names no record of the batch fails the
    /// whole batch.
    ///
    /// # Errors
    ///
    /// [`Error::Checkpoint`] when the position cannot be written. The batch
    /// then stays as it was.
    pub async fn settle(&mut self, response: &DynamoDbEventResponse) -> Result<(), Error> {
        let failures = response.batch_item_failures.iter();
        let first_failure = failures
            .map(|failure| self.find(failure.item_identifier.as_deref()).unwrap_or(0))
            .min();
        self.advance(first_failure.unwrap_or(self.pending.len()))
            .await
    }

    /// Gives up on the first unsettled record, which is then the caller's to
    /// keep, and returns it. For a record that no number of attempts gets
    /// through.
    ///
    /// # Errors
    ///
    /// [`Error::Checkpoint`] when the position cannot be written. The record
    /// then stays where it was.
    pub async fn discard_first(&mut self) -> Result<Option<EventRecord>, Error> {
        let first = self.pending.first().cloned();
        if first.is_some() {
            self.advance(1).await?;
        }
        Ok(first)
    }

    fn find(&self, sequence_number: Option<&str>) -> Option<usize> {
        let wanted = sequence_number?;
        self.pending
            .iter()
            .position(|record| record.change.sequence_number.as_deref() == Some(wanted))
    }

    /// Writes the position after the first `count` records, then forgets them.
    async fn advance(&mut self, count: usize) -> Result<(), Error> {
        let last = count.checked_sub(1).and_then(|last| self.pending.get(last));
        let Some(number) = last.and_then(|record| record.change.sequence_number.clone()) else {
            return Ok(());
        };
        let checkpoint = Checkpoint {
            table: self.table.clone(),
            stream_arn: self.stream_arn.clone(),
            shard: self.shard.clone(),
            sequence_number: number.clone(),
        };
        let (checkpoints, path) = (self.checkpoints.clone(), self.checkpoint_path.clone());
        let written = tokio::task::spawn_blocking(move || checkpoints.write(&path, &checkpoint));
        written.await.unwrap_or_else(|panic| {
            Err(Error::Checkpoint {
                path: self.checkpoint_path.clone(),
                reason: panic.to_string(),
            })
        })?;
        self.position = Some(number);
        self.pending.drain(..count);
        if count > 0 {
            self.attempt = 0;
        }
        Ok(())
    }

    /// One look at the stream.
    async fn read(&mut self) -> Result<Vec<EventRecord>, Error> {
        let iterator = match self.iterator.take() {
            Some(iterator) => iterator,
            None => self.locate().await?,
        };
        let read = self
            .client
            .get_records()
            .shard_iterator(iterator)
            .limit(self.batch_size)
            .send()
            .await
            .map_err(|error| Error::call("GetRecords", &self.table, error))?;
        self.iterator = read.next_shard_iterator;
        let records = read.records.unwrap_or_default();
        Ok(records
            .into_iter()
            .map(|record| event_record(record, &self.stream_arn))
            .collect())
    }

    /// An iterator after the last settled record.
    async fn locate(&self) -> Result<String, Error> {
        let request = self
            .client
            .get_shard_iterator()
            .stream_arn(&self.stream_arn)
            .shard_id(&self.shard);
        let request = match &self.position {
            Some(number) => request
                .shard_iterator_type(ShardIteratorType::AfterSequenceNumber)
                .sequence_number(number),
            None => request.shard_iterator_type(ShardIteratorType::TrimHorizon),
        };
        let located = request
            .send()
            .await
            .map_err(|error| Error::call("GetShardIterator", &self.table, error))?;
        located
            .shard_iterator
            .ok_or_else(|| unfollowable(&self.table, "its shard has ended"))
    }
}

/// The embedded DynamoDB keeps one open shard for each table. Several would
/// need their parents followed first, which nobody here could try.
async fn only_shard(
    client: &aws_sdk_dynamodbstreams::Client,
    table: &str,
    stream_arn: &str,
) -> Result<String, Error> {
    let described = client
        .describe_stream()
        .stream_arn(stream_arn)
        .send()
        .await
        .map_err(|error| Error::call("DescribeStream", table, error))?;
    let shards = described
        .stream_description
        .and_then(|stream| stream.shards)
        .unwrap_or_default();
    match shards.as_slice() {
        [shard] => shard
            .shard_id()
            .map(str::to_owned)
            .ok_or_else(|| unfollowable(table, "its shard has no id")),
        _ => Err(unfollowable(
            table,
            format!("it has {} shards instead of one", shards.len()),
        )),
    }
}

fn unfollowable(table: &str, reason: impl Into<String>) -> Error {
    Error::Stream {
        table: table.to_owned(),
        reason: reason.into(),
    }
}

/// A stream record as Lambda hands it to a function.
fn event_record(record: Record, stream_arn: &str) -> EventRecord {
    let mut event = EventRecord::default();
    event.aws_region = record.aws_region.unwrap_or_default();
    event.event_id = record.event_id.unwrap_or_default();
    event.event_name = record
        .event_name
        .map(|name| name.as_str().to_owned())
        .unwrap_or_default();
    event.event_source = record.event_source;
    event.event_version = record.event_version;
    event.event_source_arn = Some(stream_arn.to_owned());
    event.user_identity = record.user_identity.map(|identity| {
        let mut user = UserIdentity::default();
        user.type_ = identity.r#type.unwrap_or_default();
        user.principal_id = identity.principal_id.unwrap_or_default();
        user
    });
    let Some(change) = record.dynamodb else {
        return event;
    };
    let image =
        |attributes: Option<HashMap<String, AttributeValue>>| attributes.unwrap_or_default().into();
    let written = change
        .approximate_creation_date_time
        .and_then(|time| SystemTime::try_from(time).ok());
    if let Some(written) = written {
        event.change.approximate_creation_date_time = written.into();
    }
    event.change.keys = image(change.keys);
    event.change.new_image = image(change.new_image);
    event.change.old_image = image(change.old_image);
    event.change.sequence_number = change.sequence_number;
    event.change.size_bytes = change.size_bytes.unwrap_or_default();
    event.change.stream_view_type = change.stream_view_type.map(|view| match view {
        StreamViewType::NewImage => EventViewType::NewImage,
        StreamViewType::OldImage => EventViewType::OldImage,
        StreamViewType::NewAndOldImages => EventViewType::NewAndOldImages,
        _ => EventViewType::KeysOnly,
    });
    event
}
