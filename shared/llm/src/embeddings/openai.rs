//! `/embeddings` as OpenAI defined it: OpenAI itself, and every server that speaks the same.

use async_trait::async_trait;
use embedding::{Embedded, Embedder, EmbeddingError, Limits, ModelId, Purpose, Usage};
use reqwest::Url;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::{MAX_REPLY_BYTES, checked, fault};
use crate::error::ModelError;
use crate::http::{Http, Post, Timeouts, key_header, under};
use crate::openai::PROVIDER;

/// Families whose vectors can be had shorter than they are, by a field of the request. Other servers
/// may refuse a field that they do not know.
const SHORTENED: [&str; 2] = ["text-embedding-3", "gemini-embedding"];

/// OpenAI takes 2,048 texts and 300,000 tokens at once.
const OFFICIAL: Limits = Limits {
    texts: 512,
    bytes: 250_000,
    bytes_per_text: 8_191,
};

/// What servers take that run on one machine, unless they are told otherwise.
const ELSEWHERE: Limits = Limits {
    texts: 32,
    bytes: 250_000,
    bytes_per_text: 8_191,
};

/// An embedding model behind OpenAI's protocol.
pub(crate) struct OpenAiEmbeddings {
    id: ModelId,
    name: String,
    dimensions: usize,
    http: Http,
    url: Url,
    keys: Vec<SecretString>,
}

#[derive(Serialize)]
struct Request<'a> {
    model: &'a str,
    input: &'a [&'a str],
    encoding_format: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    dimensions: Option<usize>,
}

#[derive(Deserialize)]
struct Answer {
    data: Vec<Item>,
    #[serde(default)]
    usage: Tokens,
}

#[derive(Deserialize)]
struct Item {
    /// Servers that leave it out answer in order.
    index: Option<usize>,
    embedding: Vec<f32>,
}

#[derive(Deserialize, Default)]
struct Tokens {
    #[serde(default)]
    total_tokens: u64,
}

impl OpenAiEmbeddings {
    /// `base` ends where `/embeddings` begins.
    pub fn new(
        id: ModelId,
        name: String,
        dimensions: usize,
        base: &Url,
        key: Option<SecretString>,
        timeouts: Timeouts,
    ) -> Result<Self, String> {
        Ok(Self {
            id,
            name,
            dimensions,
            http: Http::new(PROVIDER, base, timeouts)?,
            url: under(base, &["embeddings"])?,
            keys: key.into_iter().collect(),
        })
    }

    async fn ask(&self, texts: &[&str]) -> Result<Answer, ModelError> {
        let is_shortened = SHORTENED.iter().any(|family| self.name.contains(family));
        let request = Request {
            model: &self.name,
            input: texts,
            encoding_format: "float",
            dimensions: is_shortened.then_some(self.dimensions),
        };
        let body = serde_json::to_vec(&request).map_err(|error| ModelError::InvalidRequest {
            message: error.to_string(),
        })?;
        let mut headers = key_header(AUTHORIZATION, "Bearer ", &self.keys)?;
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let post = Post {
            url: self.url.clone(),
            headers,
            body,
            model: &self.name,
            secrets: &self.keys,
        };
        let reply = self.http.post(post).await?;
        let idle = self.http.timeouts().idle;
        reply.document(MAX_REPLY_BYTES, idle).await
    }
}

#[async_trait]
impl Embedder for OpenAiEmbeddings {
    fn model(&self) -> &ModelId {
        &self.id
    }

    fn dimensions(&self) -> usize {
        self.dimensions
    }

    fn limits(&self) -> Limits {
        match self.url.host_str() {
            Some("api.openai.com") => OFFICIAL,
            _ => ELSEWHERE,
        }
    }

    async fn embed(&self, texts: &[&str], _: Purpose) -> Result<Embedded, EmbeddingError> {
        let answer = self
            .ask(texts)
            .await
            .map_err(|error| fault(&self.id, &error))?;
        let mut items: Vec<(usize, Vec<f32>)> = (0..)
            .zip(answer.data)
            .map(|(place, item)| (item.index.unwrap_or(place), item.embedding))
            .collect();
        items.sort_by_key(|(index, _)| *index);
        if items.iter().map(|(index, _)| *index).ne(0..items.len()) {
            return Err(EmbeddingError::Refused {
                model: self.id.clone(),
                reason: "it numbered its vectors otherwise than the texts".to_owned(),
            });
        }
        let vectors = items.into_iter().map(|(_, vector)| vector).collect();
        let usage = Usage {
            calls: 1,
            tokens: answer.usage.total_tokens,
        };
        checked(&self.id, self.dimensions, texts.len(), vectors, usage)
    }
}
