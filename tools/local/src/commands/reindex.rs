//! `reindex`: makes the text indexes anew, from the tables. It looks behind the API, so no other
//! process may serve the data folder meanwhile.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use aws_sdk_dynamodb::types::AttributeValue;
use kernel::OrgId;
use store::{Store, Tenant};

use super::interrupted;
use crate::session::HostArguments;
use crate::terminal::Terminal;

/// How often an index that is being made is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(200);

pub(super) async fn run(arguments: &HostArguments) -> anyhow::Result<ExitCode> {
    let terminal = Terminal::talkative();
    let host = arguments.start(0, terminal).await?;
    let done = tokio::select! {
        done = all(host.app().store(), terminal) => done,
        () = interrupted() => {
            terminal.line("\nEnding. What is left goes on at the next start.");
            Ok(())
        }
    };
    host.shutdown().await;
    done.map(|()| ExitCode::SUCCESS)
}

/// Has the text index of every org made anew, and waits until all are. Each goes on serving
/// meanwhile.
async fn all(store: &Store, terminal: Terminal) -> anyhow::Result<()> {
    let orgs = orgs(store).await?;
    let mut before = Vec::new();
    for org in &orgs {
        let index = store.text_index(Tenant::authorised(*org));
        let head = index.head().await?;
        before.push(head.map_or(1, |head| head.generation));
        index.request_rebuild().await?;
    }
    for (org, before) in orgs.into_iter().zip(before) {
        let index = store.text_index(Tenant::authorised(org));
        let made = loop {
            match index.head().await? {
                Some(head) if head.rebuild.is_none() && head.generation > before => break head,
                _ => tokio::time::sleep(LOOK_EVERY).await,
            }
        };
        let bytes: u64 = made.manifest.files.values().map(|file| file.length).sum();
        terminal.line(format!(
            "{org}  generation {}  {} bundles  {bytes} bytes",
            made.generation,
            made.bundles().len()
        ));
    }
    Ok(())
}

/// Every org of this machine. No function may read a table as a whole; a laptop's may be.
async fn orgs(store: &Store) -> anyhow::Result<Vec<OrgId>> {
    let mut found = Vec::new();
    let mut start = None;
    loop {
        let output = store
            .clients()
            .dynamo
            .scan()
            .table_name(&store.config().core)
            .filter_expression("sk = :org")
            .expression_attribute_values(":org", AttributeValue::S("ORG".to_owned()))
            .set_exclusive_start_key(start.take())
            .send()
            .await
            .context("the orgs could not be read")?;
        for item in output.items.unwrap_or_default() {
            let id = item.get("id").and_then(|id| id.as_s().ok());
            found.extend(id.and_then(|id| id.parse::<OrgId>().ok()));
        }
        start = output.last_evaluated_key;
        if start.is_none() {
            return Ok(found);
        }
    }
}
