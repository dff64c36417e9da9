//! Services in memory, and short ways to say items.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use embedded::{Options, Services, TableNames, create_tables};

pub type Item = HashMap<String, AttributeValue>;

/// Services in memory with every table.
pub async fn services() -> (Services, TableNames) {
    let services = Services::start(Options::memory())
        .await
        .expect("services in memory start");
    let names = tables(&services).await;
    (services, names)
}

/// Makes the tables and says what they are called.
pub async fn tables(services: &Services) -> TableNames {
    let names = TableNames::default();
    create_tables(&services.clients().dynamodb, &names)
        .await
        .expect("the tables are made");
    names
}

pub fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

pub fn number(value: impl ToString) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

/// An item with its keys and text attributes.
pub fn item(pk: &str, sk: &str, attributes: &[(&str, &str)]) -> Item {
    [("pk", pk), ("sk", sk)]
        .iter()
        .chain(attributes)
        .map(|(name, value)| ((*name).to_owned(), text(*value)))
        .collect()
}

/// Puts an item.
pub async fn put(services: &Services, table: &str, item: Item) {
    services
        .clients()
        .dynamodb
        .put_item()
        .table_name(table)
        .set_item(Some(item))
        .send()
        .await
        .expect("the item is stored");
}

/// Gets an item by its keys.
pub async fn get(services: &Services, table: &str, pk: &str, sk: &str) -> Option<Item> {
    services
        .clients()
        .dynamodb
        .get_item()
        .table_name(table)
        .set_key(Some(item(pk, sk, &[])))
        .consistent_read(true)
        .send()
        .await
        .expect("the item is read")
        .item
}
