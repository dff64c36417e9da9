//! `/v1/audit`: what happened, in a chain that shows every change of it.

mod chain;
mod changes;
mod search;

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use domain::audit::{AuditEntry, ChainHead};

use crate::support::{Api, World, eventually, tenant};

/// A row as DynamoDB keeps it.
type Row = HashMap<String, AttributeValue>;

/// Waits until the chain has stopped growing: until it holds as much as the log.
pub async fn settled(world: &World, api: &Api) -> ChainHead {
    eventually("the chain has caught up with the log", async || {
        let logged = log_of(world, api).await.len();
        let head = world
            .store()
            .audit(tenant(api))
            .head()
            .await
            .expect("an answer");
        (head.sequence == logged as u64).then_some(head)
    })
    .await
}

/// The rows of an org's log.
async fn log_of(world: &World, api: &Api) -> Vec<Row> {
    let store = world.store();
    let rows = store
        .clients()
        .dynamo
        .query()
        .table_name(&store.config().log)
        .key_condition_expression("pk = :pk")
        .expression_attribute_values(":pk", AttributeValue::S(format!("ORG#{}", api.org())))
        .send()
        .await;
    rows.expect("an answer").items().to_vec()
}

async fn entries(api: &Api) -> Vec<AuditEntry> {
    let mut entries: Vec<AuditEntry> = api
        .list("/v1/audit")
        .await
        .into_iter()
        .map(|entry| serde_json::from_value(entry).expect("an entry"))
        .collect();
    entries.reverse();
    entries
}
