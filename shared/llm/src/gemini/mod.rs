//! Google's Gemini API: `streamGenerateContent`, as server-sent events.

mod decode;
mod request;

use async_trait::async_trait;
use reqwest::Url;
use reqwest::header::HeaderName;
use secrecy::SecretString;

use crate::chat::ChatRequest;
use crate::error::ModelError;
use crate::http::{Http, Timeouts, key_header, under};
use crate::model::{ChatModel, DeltaStream, ModelId};
use crate::sse::SseFramer;
use crate::stream;
use crate::structured::{AnswerTool, Check, deliver};

pub(crate) const PROVIDER: &str = "gemini";
pub(crate) const DEFAULT_BASE_URL: &str = "https://generativelanguage.googleapis.com/v1beta";

/// A model of Google.
pub(crate) struct Gemini {
    id: ModelId,
    http: Http,
    base: Url,
    keys: Vec<SecretString>,
}

impl Gemini {
    /// `base` ends where `/models/…` begins.
    pub fn new(
        name: String,
        base: &Url,
        key: SecretString,
        timeouts: Timeouts,
    ) -> Result<Self, String> {
        // Found out here rather than at the first call.
        under(base, &["models"])?;
        Ok(Self {
            id: ModelId::new(PROVIDER, name),
            http: Http::new(PROVIDER, base, timeouts)?,
            base: base.clone(),
            keys: vec![key],
        })
    }
}

#[async_trait]
impl ChatModel for Gemini {
    fn id(&self) -> &ModelId {
        &self.id
    }

    async fn stream(&self, request: ChatRequest) -> Result<DeltaStream, ModelError> {
        let model = self.id.resolve(&request.model)?;
        let check = Check::of(&request)?;
        let answer = answer_tool(&request);
        let body = request::body(&request, model, &self.id, answer.as_ref());

        // A key in the URL, the API's other way, ends up in logs of proxies.
        let headers = key_header(HeaderName::from_static("x-goog-api-key"), "", &self.keys)?;
        let url =
            url(&self.base, model).map_err(|message| ModelError::InvalidRequest { message })?;
        let reply = self
            .http
            .post_for_events(url, headers, &body, model, &self.keys)
            .await?;
        let decoder = decode::Candidates::new(
            model.to_owned(),
            self.keys.clone(),
            &request,
            answer.as_ref(),
        );
        let deltas = stream::decode(
            reply.bytes,
            SseFramer::default(),
            decoder,
            self.http.timeouts(),
        );
        let id = ModelId::new(PROVIDER, model);
        Ok(deliver(id, deltas, answer.as_ref(), check))
    }
}

/// The operation's URL. The model is one segment, whatever it holds: its name comes from whoever
/// configured the agent, and must not reach another operation.
fn url(base: &Url, model: &str) -> Result<Url, String> {
    let mut url = under(base, &["models", &format!("{model}:streamGenerateContent")])?;
    url.query_pairs_mut().append_pair("alt", "sse");
    Ok(url)
}

/// The tool to answer by: older models refuse a schema for the reply beside tools.
fn answer_tool(request: &ChatRequest) -> Option<AnswerTool> {
    AnswerTool::of(request).filter(|_| !request.tools.is_empty())
}

/// A decoder by itself, for tests of what all of them have in common.
#[cfg(test)]
pub(crate) fn decoder() -> decode::Candidates {
    decode::Candidates::new(
        "model".to_owned(),
        Vec::new(),
        &ChatRequest::default(),
        None,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_cannot_lead_to_another_operation() {
        let base = Url::parse("https://generativelanguage.googleapis.com/v1beta/").unwrap();
        assert_eq!(
            url(&base, "gemini-test").unwrap().as_str(),
            "https://generativelanguage.googleapis.com/v1beta/models/gemini-test:streamGenerateContent?alt=sse"
        );
        let hostile = url(&base, "../files/x?upload#").unwrap();
        assert!(
            hostile
                .path()
                .starts_with("/v1beta/models/..%2Ffiles%2Fx%3Fupload%23:"),
            "{hostile}"
        );
    }
}
