//! Amazon Bedrock's Converse API, for every model that Bedrock hosts.
//!
//! The SDK for Bedrock would be the largest dependency of a worker for one operation of it. What
//! that operation needs, the request signer and the event-stream framing, the other AWS clients
//! bring along, so it is spoken directly, over the same client as the other providers.

mod access;
mod decode;
mod frames;
mod request;

#[cfg(test)]
pub(crate) use frames::EventFramer;

use async_trait::async_trait;
use reqwest::Url;
use reqwest::header::{CONTENT_TYPE, HeaderValue};

use crate::chat::ChatRequest;
use crate::error::ModelError;
use crate::http::{Http, Post, Timeouts};
use crate::model::{ChatModel, DeltaStream, ModelId};
use crate::stream;
use crate::structured::{AnswerTool, Check, deliver};

pub use access::BedrockCredentials;
pub(crate) use access::{Access, operation_url};

pub(crate) const PROVIDER: &str = "bedrock";

/// A model on Bedrock.
pub(crate) struct Bedrock {
    id: ModelId,
    http: Http,
    base: Url,
    access: Access,
}

/// The public endpoint of a region.
pub(crate) fn endpoint(region: &str) -> String {
    let suffix = match region.starts_with("cn-") {
        true => "amazonaws.com.cn",
        false => "amazonaws.com",
    };
    format!("https://bedrock-runtime.{region}.{suffix}")
}

impl Bedrock {
    pub fn new(
        name: String,
        base: &Url,
        region: String,
        credentials: BedrockCredentials,
        timeouts: Timeouts,
    ) -> Result<Self, String> {
        Ok(Self {
            id: ModelId::new(PROVIDER, name),
            http: Http::new(PROVIDER, base, timeouts)?,
            base: base.clone(),
            access: Access::new(region, credentials),
        })
    }
}

#[async_trait]
impl ChatModel for Bedrock {
    fn id(&self) -> &ModelId {
        &self.id
    }

    async fn stream(&self, request: ChatRequest) -> Result<DeltaStream, ModelError> {
        let model = self.id.resolve(&request.model)?;
        let check = Check::of(&request)?;
        // Every model here that knows tools can answer by one; few know the field for a schema.
        let answer = AnswerTool::of(&request);
        let body = request::body(&request, &self.id, answer.as_ref())
            .to_string()
            .into_bytes();
        let url = operation_url(&self.base, model, "converse-stream")
            .map_err(|message| ModelError::InvalidRequest { message })?;

        let mut headers = self.access.authorise(&url, &body).await?;
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let reply = self
            .http
            .post(Post {
                url,
                headers,
                body,
                model,
                secrets: self.access.secrets(),
            })
            .await?
            .expect_content_type("application/vnd.amazon.eventstream")?;
        let deltas = stream::decode(
            reply.bytes,
            frames::EventFramer::default(),
            decode::Converse::new(model.to_owned(), self.access.secrets().to_vec()),
            self.http.timeouts(),
        );
        let id = ModelId::new(PROVIDER, model);
        Ok(deliver(id, deltas, answer.as_ref(), check))
    }
}

/// A decoder by itself, for tests of what all of them have in common.
#[cfg(test)]
pub(crate) fn decoder() -> decode::Converse {
    decode::Converse::new("model".to_owned(), Vec::new())
}
