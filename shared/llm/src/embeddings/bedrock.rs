//! Embedding models on Amazon Bedrock: Titan Text Embeddings V2, and Cohere's.

use async_trait::async_trait;
use embedding::{Embedded, Embedder, EmbeddingError, Limits, ModelId, Purpose, Usage};
use futures::{StreamExt, TryStreamExt, stream};
use reqwest::Url;
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{MAX_REPLY_BYTES, checked, fault};
use crate::bedrock::{Access, BedrockCredentials, PROVIDER, operation_url};
use crate::error::ModelError;
use crate::http::{Http, Post, Timeouts};

/// Titan takes one text a call, so its calls are made beside each other.
const TITAN_AT_ONCE: usize = 8;

/// The header in which Bedrock says how many tokens it read, where the body does not.
const INPUT_TOKENS: &str = "x-amzn-bedrock-input-token-count";

/// Whose request and reply a model speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    Titan,
    /// The third generation has one length of vectors, later ones are told which.
    Cohere {
        is_told_length: bool,
    },
}

/// An embedding model on Bedrock.
pub(crate) struct BedrockEmbeddings {
    id: ModelId,
    name: String,
    family: Family,
    dimensions: usize,
    http: Http,
    base: Url,
    access: Access,
}

#[derive(Deserialize)]
struct TitanAnswer {
    embedding: Vec<f32>,
    #[serde(rename = "inputTextTokenCount", default)]
    tokens: u64,
}

#[derive(Deserialize)]
struct CohereAnswer {
    embeddings: CohereVectors,
}

#[derive(Deserialize)]
struct CohereVectors {
    float: Vec<Vec<f32>>,
}

impl BedrockEmbeddings {
    pub fn new(
        id: ModelId,
        name: String,
        dimensions: usize,
        base: &Url,
        region: String,
        credentials: BedrockCredentials,
        timeouts: Timeouts,
    ) -> Result<Self, String> {
        let family = family(&name).ok_or_else(|| {
            format!("`{name}` is not known: of Bedrock's models, Titan's and Cohere's can embed")
        })?;
        Ok(Self {
            id,
            name,
            family,
            dimensions,
            http: Http::new(PROVIDER, base, timeouts)?,
            base: base.clone(),
            access: Access::new(region, credentials),
        })
    }

    async fn titan(&self, text: &str) -> Result<(Vec<f32>, u64), ModelError> {
        let body = json!({
            "inputText": text, "dimensions": self.dimensions, "normalize": true,
        });
        let (answer, _): (TitanAnswer, _) = self.invoke(&body).await?;
        Ok((answer.embedding, answer.tokens))
    }

    async fn titans(&self, texts: &[&str]) -> Result<(Vec<Vec<f32>>, Usage), ModelError> {
        // A closure here would have to hold for texts of any lifetime.
        let mut calls = Vec::with_capacity(texts.len());
        for text in texts {
            calls.push(self.titan(text));
        }
        let answers: Vec<(Vec<f32>, u64)> = stream::iter(calls)
            .buffered(TITAN_AT_ONCE)
            .try_collect()
            .await?;
        let (vectors, tokens): (Vec<_>, Vec<u64>) = answers.into_iter().unzip();
        let usage = Usage {
            calls: texts.len() as u64,
            tokens: tokens.iter().sum(),
        };
        Ok((vectors, usage))
    }

    async fn cohere(
        &self,
        texts: &[&str],
        purpose: Purpose,
        is_told_length: bool,
    ) -> Result<(Vec<Vec<f32>>, Usage), ModelError> {
        let mut body = json!({
            "texts": texts,
            "input_type": match purpose {
                Purpose::Passage => "search_document",
                Purpose::Query => "search_query",
            },
            "truncate": "END",
            "embedding_types": ["float"],
        });
        if is_told_length {
            body["output_dimension"] = json!(self.dimensions);
        }
        let (answer, tokens): (CohereAnswer, u64) = self.invoke(&body).await?;
        Ok((answer.embeddings.float, Usage { calls: 1, tokens }))
    }

    /// One call, and the tokens that its head tells of.
    async fn invoke<T: DeserializeOwned>(&self, body: &Value) -> Result<(T, u64), ModelError> {
        let url = operation_url(&self.base, &self.name, "invoke")
            .map_err(|message| ModelError::InvalidRequest { message })?;
        let body = body.to_string().into_bytes();
        let mut headers = self.access.authorise(&url, &body).await?;
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let post = Post {
            url,
            headers,
            body,
            model: &self.name,
            secrets: self.access.secrets(),
        };
        let reply = self.http.post(post).await?;
        let tokens = reply.headers.get(INPUT_TOKENS);
        let tokens = tokens.and_then(|value| value.to_str().ok()?.parse().ok());
        let idle = self.http.timeouts().idle;
        let document = reply.document(MAX_REPLY_BYTES, idle).await?;
        Ok((document, tokens.unwrap_or_default()))
    }
}

/// The family by the model's name, which may begin with a part of the world.
fn family(name: &str) -> Option<Family> {
    if name.contains("amazon.titan-embed-text-v2") {
        return Some(Family::Titan);
    }
    let is_third = ["cohere.embed-english-v3", "cohere.embed-multilingual-v3"]
        .iter()
        .any(|third| name.contains(third));
    name.contains("cohere.embed").then_some(Family::Cohere {
        is_told_length: !is_third,
    })
}

#[async_trait]
impl Embedder for BedrockEmbeddings {
    fn model(&self) -> &ModelId {
        &self.id
    }

    fn dimensions(&self) -> usize {
        self.dimensions
    }

    fn limits(&self) -> Limits {
        match self.family {
            // 8,192 tokens a text.
            Family::Titan => Limits {
                texts: 32,
                bytes: 256 * 1024,
                bytes_per_text: 8_191,
            },
            // 96 texts a call; what is too long of one is cut off there.
            Family::Cohere { .. } => Limits {
                texts: 96,
                bytes: 120_000,
                bytes_per_text: 8_191,
            },
        }
    }

    async fn embed(&self, texts: &[&str], purpose: Purpose) -> Result<Embedded, EmbeddingError> {
        let answered = match self.family {
            Family::Titan => self.titans(texts).await,
            Family::Cohere { is_told_length } => self.cohere(texts, purpose, is_told_length).await,
        };
        let (vectors, usage) = answered.map_err(|error| fault(&self.id, &error))?;
        checked(&self.id, self.dimensions, texts.len(), vectors, usage)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_family_is_in_the_name_wherever_the_model_is() {
        for (name, expected) in [
            ("amazon.titan-embed-text-v2:0", Some(Family::Titan)),
            (
                "eu.cohere.embed-v4:0",
                Some(Family::Cohere {
                    is_told_length: true,
                }),
            ),
            (
                "cohere.embed-multilingual-v3",
                Some(Family::Cohere {
                    is_told_length: false,
                }),
            ),
            ("amazon.titan-embed-text-v1", None),
            ("amazon.nova-pro-v1:0", None),
        ] {
            assert_eq!(family(name), expected, "{name}");
        }
    }
}
