//! Reading: one item, a batch of them, or a page of a list.
//!
//! The SDK's futures are boxed: they are deep and large, and every handler would carry their layout.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::error::{DisplayErrorContext, SdkError};
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};
use kernel::cursor::{Cursor, Page, PageRequest};

use crate::Store;
use crate::commit::{item_bytes, key_item};
use crate::keys::{Collection, Index, Key};
use crate::record::{Item, Record, ShapeError, from_item};

const BATCH_LIMIT: usize = 100;
const BATCH_ROUNDS: u32 = 8;
/// The most bytes of items in one page: a function's reply has at most 6 MB.
pub(crate) const MAX_PAGE_BYTES: usize = 3 * 1024 * 1024;

/// The most rows that are looked at for one page of a filtered list.
pub(crate) const MAX_LOOKED_AT: usize = 1_000;
/// How many rows are read at once, after the first page, to fill a filtered one.
pub(crate) const LOOKED_AT_ONCE: u32 = 100;

/// Why nothing could be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// DynamoDB did not answer, or refused.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// An item does not hold what it should.
    #[error(transparent)]
    Shape(#[from] ShapeError),
}

impl ReadError {
    pub(crate) fn sdk<E, R>(error: SdkError<E, R>) -> Self
    where
        E: std::error::Error + Send + Sync + 'static,
        R: std::fmt::Debug + Send + Sync + 'static,
    {
        Self::Unavailable(DisplayErrorContext(error).to_string())
    }
}

/// In which direction a list is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Oldest, or first, to newest.
    Ascending,
    /// Newest, or last, to oldest.
    Descending,
}

/// What becomes of an entity in a filtered list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Take,
    Pass,
    /// Neither this nor any behind it.
    Stop,
}

impl Verdict {
    pub(crate) const fn take_if(taken: bool) -> Self {
        if taken { Self::Take } else { Self::Pass }
    }
}

impl Store {
    /// The entity at `key`, read consistently.
    pub(crate) async fn get<R: Record>(&self, key: &Key) -> Result<Option<R>, ReadError> {
        self.get_item(key)
            .await?
            .map(from_item)
            .transpose()
            .map_err(ReadError::from)
    }

    pub(crate) async fn get_item(&self, key: &Key) -> Result<Option<Item>, ReadError> {
        let request = self
            .clients
            .dynamo
            .get_item()
            .table_name(self.config.table(key.table))
            .set_key(Some(key_item(key)))
            .consistent_read(true);
        let output = Box::pin(request.send()).await.map_err(ReadError::sdk)?;
        Ok(output.item)
    }

    /// The entities at `keys` that exist, in no certain order. Keys must be distinct and of one
    /// table.
    pub(crate) async fn get_batch<R: Record>(&self, keys: &[Key]) -> Result<Vec<R>, ReadError> {
        let mut found = Vec::with_capacity(keys.len());
        for batch in keys.chunks(BATCH_LIMIT) {
            let table = self.config.table(batch[0].table).to_owned();
            let mut wanted: Vec<Item> = batch.iter().map(key_item).collect();
            for round in 0..BATCH_ROUNDS {
                if round > 0 {
                    let ceiling = 25u64 << round;
                    let delay = rand::random_range(ceiling / 2..=ceiling);
                    tokio::time::sleep(Duration::from_millis(delay)).await;
                }
                let request = KeysAndAttributes::builder()
                    .set_keys(Some(std::mem::take(&mut wanted)))
                    .consistent_read(true)
                    .build()
                    .unwrap_or_else(|error| unreachable!("keys are set: {error}"));
                let request = self
                    .clients
                    .dynamo
                    .batch_get_item()
                    .request_items(&table, request);
                let output = Box::pin(request.send()).await.map_err(ReadError::sdk)?;
                for item in output.responses.unwrap_or_default().into_values().flatten() {
                    found.push(from_item(item)?);
                }
                wanted = output
                    .unprocessed_keys
                    .unwrap_or_default()
                    .into_values()
                    .flat_map(|rest| rest.keys)
                    .collect();
                if wanted.is_empty() {
                    break;
                }
            }
            if !wanted.is_empty() {
                return Err(ReadError::Unavailable(
                    "a batch was not answered whole".to_owned(),
                ));
            }
        }
        Ok(found)
    }

    /// One page of a list. Lists of the table itself are read consistently; those of an index may
    /// lag behind by moments.
    pub(crate) async fn page<R: Record>(
        &self,
        list: &Collection,
        page: &PageRequest,
        order: Order,
    ) -> Result<Page<R>, ReadError> {
        let rows = self.rows(list, page, order).await?;
        let items = rows.items.into_iter().map(|(_, item)| from_item(item));
        Ok(Page {
            items: items.collect::<Result<_, _>>()?,
            next: rows.next,
        })
    }

    /// One page of a list as it is stored, each item with its sort key.
    async fn rows(
        &self,
        list: &Collection,
        page: &PageRequest,
        order: Order,
    ) -> Result<Page<(String, Item)>, ReadError> {
        let (pk_name, sk_name) = list.index.attributes();
        let mut names = HashMap::from([("#pk".to_owned(), pk_name.to_owned())]);
        let mut values = HashMap::from([(":pk".to_owned(), AttributeValue::S(list.pk.clone()))]);
        let mut condition = "#pk = :pk".to_owned();
        // A cursor is a plain comparison, not a start key: it stays good when its row is deleted.
        match (&page.after, order) {
            (None, _) if list.prefix.is_empty() => {}
            (None, _) => {
                condition.push_str(" AND begins_with(#sk, :sk)");
                names.insert("#sk".to_owned(), sk_name.to_owned());
                values.insert(":sk".to_owned(), AttributeValue::S(list.prefix.to_owned()));
            }
            (Some(cursor), Order::Ascending) => {
                condition.push_str(" AND #sk BETWEEN :low AND :high");
                names.insert("#sk".to_owned(), sk_name.to_owned());
                let low = format!("{}{}\u{1}", list.prefix, cursor.sort_key());
                values.insert(":low".to_owned(), AttributeValue::S(low));
                let high = format!("{}\u{10ffff}", list.prefix);
                values.insert(":high".to_owned(), AttributeValue::S(high));
            }
            (Some(cursor), Order::Descending) => {
                condition.push_str(" AND #sk < :high");
                names.insert("#sk".to_owned(), sk_name.to_owned());
                let high = format!("{}{}", list.prefix, cursor.sort_key());
                values.insert(":high".to_owned(), AttributeValue::S(high));
            }
        }
        let limit = page.limit.max(1) as usize;
        let mut items: Vec<Item> = Vec::new();
        let mut start = None;
        loop {
            let query = self
                .clients
                .dynamo
                .query()
                .table_name(self.config.table(list.table))
                .set_index_name(list.index.name().map(str::to_owned))
                .consistent_read(list.index == Index::Primary)
                .key_condition_expression(&condition)
                .set_expression_attribute_names(Some(names.clone()))
                .set_expression_attribute_values(Some(values.clone()))
                .scan_index_forward(order == Order::Ascending)
                .limit(i32::try_from(limit + 1 - items.len()).unwrap_or(i32::MAX))
                .set_exclusive_start_key(start.take());
            let output = Box::pin(query.send()).await.map_err(ReadError::sdk)?;
            items.extend(output.items.unwrap_or_default());
            start = output.last_evaluated_key;
            let full = items.len() > limit || fitting(items.iter()) < items.len();
            if start.is_none() || full {
                break;
            }
        }
        // Sort keys below the prefix belong to other lists of the same partition.
        let rows = items.into_iter().filter_map(|item| {
            let sort_key = item.get(sk_name)?.as_s().ok()?.strip_prefix(list.prefix)?;
            Some((sort_key.to_owned(), item))
        });
        let mut rows: Vec<(String, Item)> = rows.collect();
        let fitting = limit.min(fitting(rows.iter().map(|(_, item)| item)));
        let more = rows.len() > fitting;
        rows.truncate(fitting);
        let next = more
            .then(|| rows.last())
            .flatten()
            .map(|(sort_key, _)| Cursor::after(sort_key.clone()));
        Ok(Page { items: rows, next })
    }

    /// As [`page`](Self::page), of the entities that `judge` takes. At most [`MAX_LOOKED_AT`] are
    /// looked at, so that a page may come short, or empty, with more behind it.
    pub(crate) async fn page_where<R: Record>(
        &self,
        list: &Collection,
        page: &PageRequest,
        order: Order,
        judge: impl Fn(&R) -> Verdict,
    ) -> Result<Page<R>, ReadError> {
        let limit = page.limit.max(1) as usize;
        let mut items: Vec<R> = Vec::new();
        let mut request = page.clone();
        let mut looked_at = 0;
        loop {
            let rows = self.rows(list, &request, order).await?;
            let count = rows.items.len();
            for (row, (sort_key, item)) in rows.items.into_iter().enumerate() {
                let item: R = from_item(item)?;
                match judge(&item) {
                    Verdict::Take => items.push(item),
                    Verdict::Pass => {}
                    Verdict::Stop => return Ok(Page { items, next: None }),
                }
                looked_at += 1;
                if items.len() == limit || looked_at == MAX_LOOKED_AT {
                    let more = row + 1 < count || rows.next.is_some();
                    let next = more.then(|| Cursor::after(sort_key));
                    return Ok(Page { items, next });
                }
            }
            if rows.next.is_none() {
                return Ok(Page { items, next: None });
            }
            request.after = rows.next;
            request.limit = request.limit.max(LOOKED_AT_ONCE);
        }
    }

    /// Every entity of a list, page after page, at most `most`.
    pub(crate) async fn all<R: Record>(
        &self,
        list: &Collection,
        most: usize,
    ) -> Result<Vec<R>, ReadError> {
        let mut found = Vec::new();
        let mut after = None;
        while found.len() < most {
            let limit = u32::try_from((most - found.len()).min(500)).unwrap_or(500);
            let page = self
                .page(list, &PageRequest { limit, after }, Order::Ascending)
                .await?;
            found.extend(page.items);
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        Ok(found)
    }
}

/// How many items from the front fit into one page; at least one.
fn fitting<'a>(items: impl Iterator<Item = &'a Item>) -> usize {
    let mut bytes = 0;
    let fitting = items.take_while(|item| {
        bytes += item_bytes(item);
        bytes <= MAX_PAGE_BYTES
    });
    fitting.count().max(1)
}
