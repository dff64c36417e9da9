//! What was imported, until a search by words finds it. Documents are ready for agents before the
//! text index has taken them in; a host that ended in between would leave that to the next one.

use std::time::Duration;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::report::{Entry, Outcome};
use crate::client::Client;

/// The most values of a filter.
const FILES: usize = 50;
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// The index takes changes in within seconds, and goes on by itself where it does not.
const PATIENCE: Duration = Duration::from_secs(15);

/// Waits until the index holds what was imported. Says whether it does.
pub(super) async fn wait(client: &Client, entries: &[Entry], stop: &CancellationToken) -> bool {
    let imported: Vec<&str> = entries
        .iter()
        .filter_map(|entry| match &entry.outcome {
            Some(Outcome::Imported { file, .. }) => Some(file.as_str()),
            _ => None,
        })
        .collect();
    if imported.is_empty() {
        return true;
    }
    let waiting = async {
        for files in imported.chunks(FILES) {
            while !holds(client, files).await {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        }
    };
    let waiting = tokio::time::timeout(PATIENCE, waiting);
    matches!(stop.run_until_cancelled(waiting).await, Some(Ok(())))
}

/// Whether these files are found. What is not known counts as no.
async fn holds(client: &Client, files: &[&str]) -> bool {
    let Ok(org) = client.org() else { return false };
    let query = json!({
        "query": "", "mode": "text", "kinds": ["document"], "limit": 1, "highlight": false,
        "filters": { "file": files, "status": ["ready"] },
    });
    let found = client
        .post::<Value>(&format!("/v1/orgs/{org}/search"), &query)
        .await;
    found.is_ok_and(|found| found["total"].as_u64() >= Some(files.len() as u64))
}
