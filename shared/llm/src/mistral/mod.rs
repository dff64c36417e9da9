//! Mistral's own dialect of chat completions.
//!
//! It looks like OpenAI's and refuses what is only OpenAI's: every field that it does not know,
//! ids of other shapes than its own, a person speaking right after a tool.

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
use crate::structured::{AnswerTool, Check, deliver};

pub(crate) const PROVIDER: &str = "mistral";
pub(crate) const DEFAULT_BASE_URL: &str = "https://api.mistral.ai/v1";

/// A model of Mistral.
pub(crate) struct Mistral {
    id: ModelId,
    http: Http,
    url: Url,
    keys: Vec<SecretString>,
}

impl Mistral {
    /// `base` ends where `/chat/completions` begins.
    pub fn new(
        name: String,
        base: &Url,
        key: SecretString,
        timeouts: Timeouts,
    ) -> Result<Self, String> {
        Ok(Self {
            id: ModelId::new(PROVIDER, name),
            http: Http::new(PROVIDER, base, timeouts)?,
            url: under(base, &["chat", "completions"])?,
            keys: vec![key],
        })
    }
}

#[async_trait]
impl ChatModel for Mistral {
    fn id(&self) -> &ModelId {
        &self.id
    }

    async fn stream(&self, request: ChatRequest) -> Result<DeltaStream, ModelError> {
        let model = self.id.resolve(&request.model)?;
        let check = Check::of(&request)?;
        let answer = answer_tool(&request);
        let body = request::body(&request, model, &self.id, answer.as_ref());

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
        let id = ModelId::new(PROVIDER, model);
        Ok(deliver(id, deltas, answer.as_ref(), check))
    }
}

/// The tool to answer by: a schema for the reply and tools exclude each other.
fn answer_tool(request: &ChatRequest) -> Option<AnswerTool> {
    AnswerTool::of(request).filter(|_| !request.tools.is_empty())
}

/// A decoder by itself, for tests of what all of them have in common.
#[cfg(test)]
pub(crate) fn decoder() -> decode::Completions {
    decode::Completions::new("model".to_owned(), Vec::new(), 0)
}
