//! Servers that speak OpenAI's chat completions: OpenAI itself, and every gateway, inference
//! server and cloud that offers the same protocol under another base URL.

mod decode;
mod request;

use async_trait::async_trait;
use reqwest::Url;
use reqwest::header::AUTHORIZATION;
use secrecy::SecretString;

use crate::chat::ChatRequest;
use crate::error::ModelError;
use crate::http::{Http, Timeouts, key_header, under};
use crate::model::{ChatModel, DeltaStream, ModelId};
use crate::sse::SseFramer;
use crate::stream;
use crate::structured::{Check, deliver};

pub(crate) const PROVIDER: &str = "openai";
pub(crate) const DEFAULT_BASE_URL: &str = "https://api.openai.com/v1";

/// A model behind OpenAI's protocol.
pub(crate) struct OpenAi {
    id: ModelId,
    http: Http,
    url: Url,
    keys: Vec<SecretString>,
}

impl OpenAi {
    /// `base` ends where `/chat/completions` begins.
    pub fn new(
        name: String,
        base: &Url,
        key: Option<SecretString>,
        timeouts: Timeouts,
    ) -> Result<Self, String> {
        Ok(Self {
            id: ModelId::new(PROVIDER, name),
            http: Http::new(PROVIDER, base, timeouts)?,
            url: under(base, &["chat", "completions"])?,
            keys: key.into_iter().collect(),
        })
    }
}

#[async_trait]
impl ChatModel for OpenAi {
    fn id(&self) -> &ModelId {
        &self.id
    }

    async fn stream(&self, request: ChatRequest) -> Result<DeltaStream, ModelError> {
        let model = self.id.resolve(&request.model)?;
        let check = Check::of(&request)?;
        let official = self.url.host_str() == Some("api.openai.com");
        let body = request::body(&request, model, official);

        let headers = key_header(AUTHORIZATION, "Bearer ", &self.keys)?;
        let reply = self
            .http
            .post_for_events(self.url.clone(), headers, &body, model, &self.keys)
            .await?;
        let deltas = stream::decode(
            reply.bytes,
            SseFramer::default(),
            decode::Completions::new(model.to_owned(), self.keys.clone(), request.calls_before()),
            self.http.timeouts(),
        );
        Ok(deliver(ModelId::new(PROVIDER, model), deltas, None, check))
    }
}

/// A decoder by itself, for tests of what all of them have in common.
#[cfg(test)]
pub(crate) fn decoder() -> decode::Completions {
    decode::Completions::new("model".to_owned(), Vec::new(), 0)
}
