//! Anthropic's Messages API.

mod decode;
mod request;

use async_trait::async_trait;
use reqwest::Url;
use reqwest::header::{HeaderName, HeaderValue};
use secrecy::SecretString;

use crate::chat::ChatRequest;
use crate::error::ModelError;
use crate::http::{Http, Timeouts, key_header, under};
use crate::model::{ChatModel, DeltaStream, ModelId};
use crate::sse::SseFramer;
use crate::stream;
use crate::structured::{AnswerTool, Check, deliver};

pub(crate) const PROVIDER: &str = "anthropic";
pub(crate) const DEFAULT_BASE_URL: &str = "https://api.anthropic.com";

/// The version of the wire format that this module speaks.
const VERSION: &str = "2023-06-01";

/// A model of Anthropic.
pub(crate) struct Anthropic {
    id: ModelId,
    http: Http,
    url: Url,
    keys: Vec<SecretString>,
}

impl Anthropic {
    /// `base` ends where `/v1/messages` begins; a trailing `/v1` is taken as read.
    pub fn new(
        name: String,
        base: &Url,
        key: SecretString,
        timeouts: Timeouts,
    ) -> Result<Self, String> {
        let versioned = base.path().trim_end_matches('/').ends_with("/v1");
        let segments: &[&str] = match versioned {
            true => &["messages"],
            false => &["v1", "messages"],
        };
        Ok(Self {
            id: ModelId::new(PROVIDER, name),
            http: Http::new(PROVIDER, base, timeouts)?,
            url: under(base, segments)?,
            keys: vec![key],
        })
    }
}

#[async_trait]
impl ChatModel for Anthropic {
    fn id(&self) -> &ModelId {
        &self.id
    }

    async fn stream(&self, request: ChatRequest) -> Result<DeltaStream, ModelError> {
        let model = self.id.resolve(&request.model)?;
        let check = Check::of(&request)?;
        let answer = answer_tool(&request);
        let body = request::body(&request, model, &self.id, answer.as_ref());

        let mut headers = key_header(HeaderName::from_static("x-api-key"), "", &self.keys)?;
        headers.insert(
            HeaderName::from_static("anthropic-version"),
            HeaderValue::from_static(VERSION),
        );
        let reply = self
            .http
            .post_for_events(self.url.clone(), headers, &body, model, &self.keys)
            .await?;
        let deltas = stream::decode(
            reply.bytes,
            SseFramer::default(),
            decode::Messages::new(model.to_owned(), self.keys.clone()),
            self.http.timeouts(),
        );
        let id = ModelId::new(PROVIDER, model);
        Ok(deliver(id, deltas, answer.as_ref(), check))
    }
}

/// The tool to answer by, for schemas that the API's own field does not take: it enforces what
/// it is given, and refuses objects that leave anything open.
fn answer_tool(request: &ChatRequest) -> Option<AnswerTool> {
    AnswerTool::of(request).filter(|answer| !answer.strict)
}

/// A decoder by itself, for tests of what all of them have in common.
#[cfg(test)]
pub(crate) fn decoder() -> decode::Messages {
    decode::Messages::new("model".to_owned(), Vec::new())
}
