//! `/v1/tools/{tool_id}/credential`.

mod keeping;
mod operations;
mod sending;

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use domain::tool::Tool;
use secrecy::ExposeSecret as _;
use store::credentials::CredentialError;

use crate::support::fixture::tool;
use crate::support::{Api, World, tenant, text};

const CANARY: &str = "canary-5b1f7c0e";

type Item = HashMap<String, AttributeValue>;

/// A tool that leads to `https://orders.example.com`, and the path of its credential.
async fn registered(api: &Api, name: &str) -> (String, String) {
    let made = api.create("/v1/tools", &tool(name)).await;
    let path = format!("/v1/tools/{}", text(&made["id"]));
    let credential = format!("{path}/credential");
    (path, credential)
}

/// The tool as a runner reads it.
async fn stored(world: &World, api: &Api, path: &str) -> Tool {
    let id = path.rsplit('/').next().expect("an id");
    let tools = world.store().tools(tenant(api));
    let found = tools.get(id.parse().expect("an id")).await;
    found.expect("the store answers").expect("the tool")
}

/// The headers that a runner would send.
async fn headers(
    world: &World,
    api: &Api,
    path: &str,
) -> Result<Vec<(String, String)>, CredentialError> {
    let tool = stored(world, api, path).await;
    let credentials = world.store().credentials(tenant(api));
    let headers = credentials.headers_for(&tool).await?;
    Ok(headers
        .into_iter()
        .map(|(name, value)| (name, value.expose_secret().to_owned()))
        .collect())
}

/// Everything that a table holds.
async fn all_items(world: &World, table: &str) -> Vec<Item> {
    let scan = world.store().clients().dynamo.scan().table_name(table);
    let pages = scan.into_paginator().items().send();
    let items = pages.collect::<Result<Vec<_>, _>>().await;
    items.expect("the table answers")
}

fn text_attribute(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}
