//! How an entity becomes an item and back.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::keys::{IndexKeys, Key};

/// An item of a table, by attribute.
pub type Item = HashMap<String, AttributeValue>;

/// An entity that is kept as one item: its serde form, beside its keys.
pub trait Record: Serialize + DeserializeOwned {
    /// The noun, for errors and logs.
    const NOUN: &'static str;

    /// Where the item stands.
    fn key(&self) -> Key;

    /// The keys of the secondary indexes that list it.
    fn indexes(&self) -> IndexKeys {
        IndexKeys::default()
    }

    /// The number that rises by one with every change, for entities that are changed.
    fn version(&self) -> u64 {
        0
    }
}

/// An item that does not hold what it should, or an entity that cannot become an item.
#[derive(Debug, thiserror::Error)]
#[error("a stored {noun} does not have the expected shape: {source}")]
pub struct ShapeError {
    pub noun: &'static str,
    source: serde_dynamo::Error,
}

impl ShapeError {
    pub(crate) fn new(noun: &'static str, source: serde_dynamo::Error) -> Self {
        Self { noun, source }
    }
}

pub(crate) fn to_item<R: Record>(record: &R) -> Result<Item, ShapeError> {
    let mut item: Item =
        serde_dynamo::to_item(record).map_err(|source| ShapeError::new(R::NOUN, source))?;
    let key = record.key();
    item.insert("pk".to_owned(), AttributeValue::S(key.pk));
    item.insert("sk".to_owned(), AttributeValue::S(key.sk));
    for (name, value) in record.indexes().attributes() {
        item.insert(name.to_owned(), AttributeValue::S(value));
    }
    Ok(item)
}

pub(crate) fn from_item<R: Record>(item: Item) -> Result<R, ShapeError> {
    serde_dynamo::from_item(item).map_err(|source| ShapeError::new(R::NOUN, source))
}
