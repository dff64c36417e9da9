//! `/v1/orgs/{org_id}/search`: what is found, in which order, and by whom.

mod analytics;
mod bad_searches;
mod filters;
mod isolation;
mod log;
mod modes;
mod pages;
mod suggest;
mod visibility;

use serde_json::{Value, json};

use super::files::bring;
use crate::support::{Api, World, eventually, text};

const FAQ: &[u8] = b"# Parking\n\nVisitors park their cars behind the boiler house.\n\n\
                     # Canteen\n\nLunch is served in the canteen at noon.\n";

/// Where the org of a caller is searched.
fn path(api: &Api) -> String {
    format!("/v1/orgs/{}/search", api.org())
}

/// A page of what a caller finds.
async fn search(api: &Api, body: &Value) -> Value {
    api.post(&path(api), body).await.ok()
}

fn hits(answer: &Value) -> &[Value] {
    answer["hits"].as_array().expect("hits")
}

/// A field of each hit, in order.
fn each(answer: &Value, field: &str) -> Vec<String> {
    hits(answer).iter().map(|hit| text(&hit[field])).collect()
}

/// The same, of each value once and in the order of the alphabet.
fn distinct(answer: &Value, field: &str) -> Vec<String> {
    let mut values = each(answer, field);
    values.sort();
    values.dedup();
    values
}

/// Waits until a search finds exactly these titles, in whatever order, and gives its answer.
async fn finds(api: &Api, body: &Value, titles: &[&str]) -> Value {
    let mut titles = titles.to_vec();
    titles.sort_unstable();
    eventually(&format!("{body} finds {titles:?}"), async || {
        let answer = search(api, body).await;
        (distinct(&answer, "title") == titles).then_some(answer)
    })
    .await
}

/// A question by words alone.
fn by_words(query: &str) -> Value {
    json!({ "query": query, "mode": "text", "typos": false })
}

async fn task(api: &Api, title: &str, description: &str) -> Value {
    let body = json!({ "title": title, "description": description });
    api.create("/v1/tasks", &body).await
}

async fn base(api: &Api, name: &str) -> String {
    let body = json!({ "name": name });
    text(&api.create("/v1/knowledge-bases", &body).await["id"])
}

/// A knowledge base with documents that can be found in every mode, and their files.
async fn library(world: &World, api: &Api, documents: &[(&str, &[u8])]) -> (String, Vec<String>) {
    let base = base(api, "Library").await;
    let mut files = Vec::new();
    for (name, content) in documents {
        let file = bring(world, api, name, content, Some(&base)).await;
        files.push(text(&file["id"]));
    }
    let names: Vec<&str> = documents.iter().map(|(name, _)| *name).collect();
    let chunks = json!({
        "mode": "text", "kinds": ["chunk"], "filters": { "knowledge_base": [base] }, "limit": 100,
    });
    finds(api, &chunks, &names).await;
    (base, files)
}
