//! Many rows at once, outside of transactions: for what can be written again from elsewhere.

use std::time::Duration;

use aws_sdk_dynamodb::types::{AttributeValue, DeleteRequest, PutRequest, Select, WriteRequest};

use crate::commit::key_item;
use crate::config::Table;
use crate::keys::Key;
use crate::record::Item;
use crate::{ReadError, Store};

const WRITE_BATCH: usize = 25;
const WRITE_ROUNDS: u32 = 8;

impl Store {
    /// Writes items over those of the same keys. Those that were taken before an error stay.
    pub(crate) async fn put_all(&self, table: Table, items: Vec<Item>) -> Result<(), ReadError> {
        let requests = items.into_iter().map(|item| {
            let put = PutRequest::builder().set_item(Some(item)).build();
            let put = put.unwrap_or_else(|error| unreachable!("the item is set: {error}"));
            WriteRequest::builder().put_request(put).build()
        });
        self.write_all(table, requests.collect()).await
    }

    /// Deletes the items at `keys`, which are of one table. Those that were gone before an error
    /// stay so.
    pub(crate) async fn delete_all(&self, table: Table, keys: &[Key]) -> Result<(), ReadError> {
        let requests = keys.iter().map(|key| {
            let delete = DeleteRequest::builder()
                .set_key(Some(key_item(key)))
                .build();
            let delete = delete.unwrap_or_else(|error| unreachable!("the key is set: {error}"));
            WriteRequest::builder().delete_request(delete).build()
        });
        self.write_all(table, requests.collect()).await
    }

    /// How many items of a partition lie from `first` to `last`, both included, read consistently.
    pub(crate) async fn count_between(&self, first: &Key, last: &Key) -> Result<u64, ReadError> {
        let mut found = 0;
        let mut start = None;
        loop {
            let query = self
                .clients
                .dynamo
                .query()
                .table_name(self.config.table(last.table))
                .consistent_read(true)
                .select(Select::Count)
                .key_condition_expression("pk = :pk AND sk BETWEEN :first AND :last")
                .expression_attribute_values(":pk", AttributeValue::S(last.pk.clone()))
                .expression_attribute_values(":first", AttributeValue::S(first.sk.clone()))
                .expression_attribute_values(":last", AttributeValue::S(last.sk.clone()))
                .set_exclusive_start_key(start.take());
            let output = Box::pin(query.send()).await.map_err(ReadError::sdk)?;
            found += u64::try_from(output.count).unwrap_or_default();
            start = output.last_evaluated_key;
            if start.is_none() {
                return Ok(found);
            }
        }
    }

    /// The items of a partition from `first` to `last`, both included, read consistently.
    pub(crate) async fn items_between(
        &self,
        first: &Key,
        last: &Key,
    ) -> Result<Vec<Item>, ReadError> {
        let mut found = Vec::new();
        let mut start = None;
        loop {
            let query = self
                .clients
                .dynamo
                .query()
                .table_name(self.config.table(last.table))
                .consistent_read(true)
                .key_condition_expression("pk = :pk AND sk BETWEEN :first AND :last")
                .expression_attribute_values(":pk", AttributeValue::S(last.pk.clone()))
                .expression_attribute_values(":first", AttributeValue::S(first.sk.clone()))
                .expression_attribute_values(":last", AttributeValue::S(last.sk.clone()))
                .set_exclusive_start_key(start.take());
            let output = Box::pin(query.send()).await.map_err(ReadError::sdk)?;
            found.extend(output.items.unwrap_or_default());
            start = output.last_evaluated_key;
            if start.is_none() {
                return Ok(found);
            }
        }
    }

    async fn write_all(&self, table: Table, requests: Vec<WriteRequest>) -> Result<(), ReadError> {
        let mut requests = requests.into_iter();
        loop {
            let batch: Vec<WriteRequest> = requests.by_ref().take(WRITE_BATCH).collect();
            if batch.is_empty() {
                return Ok(());
            }
            self.write_batch(table, batch).await?;
        }
    }

    async fn write_batch(
        &self,
        table: Table,
        mut requests: Vec<WriteRequest>,
    ) -> Result<(), ReadError> {
        let table = self.config.table(table).to_owned();
        for round in 0..WRITE_ROUNDS {
            if round > 0 {
                let ceiling = 25u64 << round;
                let delay = rand::random_range(ceiling / 2..=ceiling);
                tokio::time::sleep(Duration::from_millis(delay)).await;
            }
            let write = self
                .clients
                .dynamo
                .batch_write_item()
                .request_items(&table, std::mem::take(&mut requests));
            let output = Box::pin(write.send()).await.map_err(ReadError::sdk)?;
            requests = output
                .unprocessed_items
                .unwrap_or_default()
                .into_values()
                .flatten()
                .collect();
            if requests.is_empty() {
                return Ok(());
            }
        }
        Err(ReadError::Unavailable(
            "a batch was not written whole".to_owned(),
        ))
    }
}
