//! A host with documents in it that can be searched.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::bail;
use embedding::Embedders;
use llm::scripted::Scripted;
use local::client::text;
use serde_json::{Value, json};
use store::Tenant;
use tokio::task::JoinSet;

use crate::product::Product;

/// How many uploads there are at a time.
const UPLOADS: usize = 4;
/// Nothing more comes once nothing has come for so long.
const STANDSTILL: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(200);
/// The longest that the workers may take for everything that was uploaded.
const PATIENCE: Duration = Duration::from_secs(40 * 60);

/// How an answer is sought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Text,
    Semantic,
    Hybrid,
}

impl Mode {
    pub const ALL: [Self; 3] = [Self::Text, Self::Semantic, Self::Hybrid];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Semantic => "semantic",
            Self::Hybrid => "hybrid",
        }
    }
}

/// What can be found.
#[derive(Debug, Clone, Copy, Default)]
pub struct Found {
    pub chunks: u64,
    /// When the last of it came.
    pub at: Option<Instant>,
}

pub struct Stage {
    pub product: Product,
}

impl Stage {
    pub async fn open(root: &Path, embedders: Embedders) -> anyhow::Result<Self> {
        let model = Arc::new(Scripted::new([]));
        let product = Product::start_with(root, model, embedders).await?;
        Ok(Self { product })
    }

    /// An empty knowledge base, with a model by its id, or the usual one.
    pub async fn knowledge_base(&self, name: &str, model: Option<&str>) -> anyhow::Result<String> {
        let mut body = json!({ "name": name });
        if let Some(model) = model {
            body["embedding_model"] = json!(model);
        }
        let base: Value = self
            .product
            .client
            .post("/v1/knowledge-bases", &body)
            .await?;
        text(&base["id"])
    }

    /// Uploads documents; returns the ids of their files.
    pub async fn upload(
        &self,
        base: &str,
        documents: impl IntoIterator<Item = (String, Vec<u8>)>,
    ) -> anyhow::Result<Vec<String>> {
        let mut files = Vec::new();
        let mut uploads = JoinSet::new();
        for (name, content) in documents {
            if uploads.len() >= UPLOADS
                && let Some(done) = uploads.join_next().await
            {
                files.push(done??);
            }
            let client = self.product.client.clone();
            let base = base.to_owned();
            uploads.spawn(async move { client.upload(&name, &content, &base).await });
        }
        while let Some(done) = uploads.join_next().await {
            files.push(done??);
        }
        Ok(files)
    }

    /// Waits until every chunk of a knowledge base is found by words, and its vectors are in.
    pub async fn wait_until_found(&self, base: &str, documents: usize) -> anyhow::Result<Found> {
        let began = Instant::now();
        let mut embedded = None;
        let mut found = Found::default();
        while began.elapsed() < PATIENCE {
            tokio::time::sleep(LOOK).await;
            let Some(least) = embedded else {
                embedded = self.embedded(base, documents).await?;
                continue;
            };
            let everything = json!({
                "query": "", "mode": "text", "kinds": ["chunk"], "limit": 1,
                "filters": { "knowledge_base": [base] },
            });
            let chunks = self.search(&everything).await?["total"].as_u64();
            let chunks = chunks.unwrap_or_default();
            if chunks != found.chunks {
                found = Found {
                    chunks,
                    at: Some(Instant::now()),
                };
            } else if chunks >= least && found.at.is_some_and(|at| at.elapsed() > STANDSTILL) {
                return Ok(found);
            }
        }
        bail!("the documents could not be searched within {PATIENCE:?}")
    }

    /// How many chunks have a vector, once all documents are read and embedded. Those of which a
    /// model knows no word have none, and are found by words all the same.
    async fn embedded(&self, base: &str, documents: usize) -> anyhow::Result<Option<u64>> {
        let list = format!("/v1/knowledge-bases/{base}/documents");
        let listed = self.product.client.list(&list).await?;
        let mut chunks = 0;
        for document in &listed {
            match document["status"].as_str() {
                Some("ready") => chunks += document["chunks"].as_u64().unwrap_or(0),
                // Some documents only include others.
                Some("failed") if document["failure"]["code"] == "empty" => {}
                Some("failed") => bail!("{} failed: {}", document["name"], document["failure"]),
                _ => return Ok(None),
            }
        }
        Ok((listed.len() == documents).then_some(chunks))
    }

    pub async fn search(&self, question: &Value) -> anyhow::Result<Value> {
        let client = &self.product.client;
        let path = format!("/v1/orgs/{}/search", client.org()?);
        client.post(&path, question).await
    }

    /// The bytes of the org's text index in the object store.
    pub async fn index_bytes(&self) -> anyhow::Result<u64> {
        let org = self.product.client.org()?.parse()?;
        let store = self.product.host.app().store();
        let head = store.text_index(Tenant::authorised(org)).head().await?;
        let files = head.map(|head| head.manifest.files).unwrap_or_default();
        Ok(files.values().map(|place| place.length).sum())
    }
}
