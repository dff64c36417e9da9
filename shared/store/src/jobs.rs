//! The rows of the work engine.

use std::error::Error;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::types::AttributeValue;
use kernel::{JobId, OrgId, Timestamp};
use work::{Job, JobStore, StoreError, due_shard};

use crate::executions::Deadline;
use crate::keys::{self, Collection, IndexKeys, Key};
use crate::record::{Item, Record, from_item, to_item};
use crate::{ReadError, Store};

const CONFLICT_RETRIES: u32 = 5;

impl Record for Job {
    const NOUN: &'static str = "job";

    fn key(&self) -> Key {
        keys::job(self.org, self.id)
    }

    fn indexes(&self) -> IndexKeys {
        keys::job_indexes(due_shard(self.id), self.ring_at, self.id)
    }

    fn version(&self) -> u64 {
        self.version
    }
}

impl From<ReadError> for StoreError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Unavailable(message) => Self::unavailable(message),
            ReadError::Shape(error) => Self::unreadable(error.to_string()),
        }
    }
}

#[async_trait]
impl JobStore for Store {
    async fn load(&self, org: OrgId, id: JobId) -> Result<Option<Job>, StoreError> {
        Ok(self.get(&keys::job(org, id)).await?)
    }

    async fn replace(&self, new: &Job, expected_version: u64) -> Result<bool, StoreError> {
        let item = to_item(new).map_err(|error| StoreError::unreadable(error.to_string()))?;
        let mut attempt = 0;
        loop {
            let result = self
                .clients
                .dynamo
                .put_item()
                .table_name(&self.config.work)
                .set_item(Some(item.clone()))
                .condition_expression("#version = :version")
                .expression_attribute_names("#version", "version")
                .expression_attribute_values(
                    ":version",
                    AttributeValue::N(expected_version.to_string()),
                )
                .send()
                .await;
            match result {
                Ok(_) => return Ok(true),
                Err(error) => match code(&error) {
                    Some("ConditionalCheckFailedException") => return Ok(false),
                    Some("TransactionConflictException") if attempt < CONFLICT_RETRIES => {
                        attempt += 1;
                        tokio::time::sleep(Duration::from_millis(10 << attempt)).await;
                    }
                    _ => return Err(unavailable("the job was not written", error)),
                },
            }
        }
    }

    async fn due(
        &self,
        shard: u32,
        until: Timestamp,
        limit: usize,
    ) -> Result<Vec<Job>, StoreError> {
        self.due_rows(&keys::due_jobs(shard), until, limit).await
    }
}

impl Store {
    /// Deadlines of executions in one part of the due index that have passed by `until`, earliest
    /// first.
    ///
    /// # Errors
    /// [`StoreError`] if the store does not answer.
    pub async fn passed_deadlines(
        &self,
        shard: u32,
        until: Timestamp,
        limit: usize,
    ) -> Result<Vec<Deadline>, StoreError> {
        self.due_rows(&keys::deadlines(shard), until, limit).await
    }

    async fn due_rows<R: Record>(
        &self,
        list: &Collection,
        until: Timestamp,
        limit: usize,
    ) -> Result<Vec<R>, StoreError> {
        let until = keys::due_sort_key(until.plus(Duration::from_millis(1)));
        let mut found = Vec::new();
        let mut start = None;
        loop {
            let query = self
                .clients
                .dynamo
                .query()
                .table_name(&self.config.work)
                .set_index_name(list.index.name().map(str::to_owned))
                .key_condition_expression("duepk = :shard AND duesk < :until")
                .expression_attribute_values(":shard", AttributeValue::S(list.pk.clone()))
                .expression_attribute_values(":until", AttributeValue::S(until.clone()))
                .limit(i32::try_from(limit - found.len()).unwrap_or(i32::MAX))
                .set_exclusive_start_key(start.take());
            let output = Box::pin(query.send())
                .await
                .map_err(|error| unavailable("the due index was not read", error))?;
            // A row that cannot be read must not hide those behind it: the next page is read for it.
            found.extend(
                output
                    .items
                    .unwrap_or_default()
                    .into_iter()
                    .filter_map(readable),
            );
            start = output.last_evaluated_key;
            if start.is_none() || found.len() >= limit {
                return Ok(found);
            }
        }
    }
}

fn readable<R: Record>(item: Item) -> Option<R> {
    match from_item(item) {
        Ok(row) => Some(row),
        Err(error) => {
            tracing::error!(%error, noun = R::NOUN, "a due row cannot be read and is passed over");
            None
        }
    }
}

fn code<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> Option<&str> {
    error
        .as_service_error()
        .and_then(ProvideErrorMetadata::code)
}

fn unavailable<E>(message: &str, error: E) -> StoreError
where
    E: Error + Send + Sync + 'static,
{
    StoreError::caused_by(message, error)
}
