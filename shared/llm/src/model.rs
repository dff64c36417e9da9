//! The one interface to every model, and the assembly of a streamed reply.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::BoxStream;
use serde::{Deserialize, Serialize};

use crate::chat::{Arguments, ChatRequest, OpaquePart, ToolCall};
use crate::error::ModelError;
use crate::reply::{ChatResponse, Delta, PassedOver, StopReason, Usage};

/// A reply as it streams. Dropping it gives up the call and closes its connection.
pub type DeltaStream = BoxStream<'static, Result<Delta, ModelError>>;

/// A model that can be talked to.
#[async_trait]
pub trait ChatModel: Send + Sync {
    /// The provider and the model that answers when a request names none.
    fn id(&self) -> &ModelId;

    /// Who may answer a request whose [`ChatRequest::model`] is `requested`, in the order in
    /// which they are asked. Whoever prices a call before it is made reserves for the dearest;
    /// [`Delta::Started`] tells who it was.
    ///
    /// # Errors
    /// [`ModelError::UnknownModel`] or [`ModelError::UnknownProvider`] when nobody can.
    fn candidates(&self, requested: &str) -> Result<Vec<ModelId>, ModelError> {
        let name = self.id().resolve(requested)?;
        Ok(vec![ModelId::new(&self.id().provider, name)])
    }

    /// Starts one call. Resolves once the provider has accepted the request and begun to answer.
    ///
    /// # Errors
    /// What the provider refused, or why it could not be reached. Errors after the first byte
    /// arrive as the last item of the stream.
    async fn stream(&self, request: ChatRequest) -> Result<DeltaStream, ModelError>;
}

/// A provider and one of its models, written `provider::name`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ModelId {
    /// `offline`, `openai`, `anthropic`, `gemini`, `mistral` or `bedrock`; `openai` stands for
    /// every server that speaks its protocol.
    pub provider: String,
    /// The provider's own name for the model.
    pub name: String,
}

impl ModelId {
    /// Puts an id together.
    pub fn new(provider: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            provider: provider.into(),
            name: name.into(),
        }
    }

    /// The name to send for a request that asks for `requested`, when this id is the default.
    ///
    /// # Errors
    /// [`ModelError::UnknownModel`] when the request names another provider: answering with a
    /// different model than the one asked for would be silent and wrong.
    pub fn resolve<'a>(&'a self, requested: &'a str) -> Result<&'a str, ModelError> {
        let requested = requested.trim();
        let name = match requested.split_once("::") {
            None if requested.is_empty() => &self.name,
            None => requested,
            Some((provider, name)) if provider == self.provider => name,
            Some(_) => "",
        };
        if name.is_empty() {
            return Err(ModelError::UnknownModel {
                model: requested.to_owned(),
                provider: self.provider.clone(),
            });
        }
        Ok(name)
    }
}

impl fmt::Display for ModelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}::{}", self.provider, self.name)
    }
}

impl FromStr for ModelId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once("::") {
            Some((provider, name)) if !provider.is_empty() && !name.is_empty() => {
                Ok(Self::new(provider, name))
            }
            _ => Err(format!("`{text}` is not of the form provider::model")),
        }
    }
}

impl TryFrom<String> for ModelId {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<ModelId> for String {
    fn from(id: ModelId) -> Self {
        id.to_string()
    }
}

/// Reads a stream to its end and puts the reply together.
///
/// # Errors
/// The error that the stream ended with, or [`ModelError::MalformedReply`] when it broke the
/// order that [`Delta`] documents.
pub async fn collect(stream: DeltaStream) -> Result<ChatResponse, ModelError> {
    let mut assembly = Assembly::default();
    let mut stream = stream;
    while let Some(delta) = stream.next().await {
        assembly.push(&delta?)?;
    }
    assembly.finish()
}

/// A reply in the making, for callers that forward deltas while they assemble.
#[derive(Debug, Default)]
pub struct Assembly {
    model: Option<ModelId>,
    passed_over: Vec<PassedOver>,
    text: String,
    calls: BTreeMap<u32, PendingCall>,
    opaque: Vec<OpaquePart>,
    usage: Option<Usage>,
    stop_reason: Option<StopReason>,
}

#[derive(Debug)]
struct PendingCall {
    id: String,
    name: String,
    arguments: String,
}

impl Assembly {
    /// Takes in one delta.
    ///
    /// # Errors
    /// [`ModelError::MalformedReply`] for arguments of a call that was never started, a call
    /// started twice, or anything after the end.
    pub fn push(&mut self, delta: &Delta) -> Result<(), ModelError> {
        if self.stop_reason.is_some() {
            return Err(ModelError::malformed("the reply went on after its end"));
        }
        match delta {
            Delta::Started { .. } if self.model.is_some() => {
                return Err(ModelError::malformed("the reply began twice"));
            }
            Delta::Started { model, passed_over } => {
                self.model = Some(model.clone());
                self.passed_over.clone_from(passed_over);
            }
            Delta::TextDelta { text } => self.text.push_str(text),
            Delta::ToolCallStart { index, id, name } => {
                let call = PendingCall {
                    id: id.clone(),
                    name: name.clone(),
                    arguments: String::new(),
                };
                if self.calls.insert(*index, call).is_some() {
                    return Err(ModelError::malformed("a tool call was started twice"));
                }
            }
            Delta::ToolCallArguments { index, fragment } => match self.calls.get_mut(index) {
                Some(call) => call.arguments.push_str(fragment),
                None => {
                    return Err(ModelError::malformed(
                        "arguments arrived for a tool call that was not started",
                    ));
                }
            },
            Delta::Opaque { part } => self.opaque.push(part.clone()),
            Delta::Usage { usage } => self.usage = Some(*usage),
            Delta::Finished { stop_reason } => self.stop_reason = Some(*stop_reason),
        }
        Ok(())
    }

    /// Who answers, once the reply has begun.
    pub fn model(&self) -> Option<&ModelId> {
        self.model.as_ref()
    }

    /// What has arrived so far, for a trace of a call that broke off.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What the provider has reported so far.
    pub fn usage(&self) -> Option<Usage> {
        self.usage
    }

    /// The whole reply.
    ///
    /// # Errors
    /// [`ModelError::MalformedReply`] when no [`Delta::Finished`] was seen.
    pub fn finish(self) -> Result<ChatResponse, ModelError> {
        let stop_reason = self
            .stop_reason
            .ok_or_else(|| ModelError::malformed("the reply has no end"))?;
        Ok(ChatResponse {
            model: self.model,
            passed_over: self.passed_over,
            text: self.text,
            tool_calls: self
                .calls
                .into_values()
                .map(|call| ToolCall {
                    arguments: Arguments::parse(&call.arguments),
                    id: call.id,
                    name: call.name,
                })
                .collect(),
            opaque: self.opaque,
            usage: self.usage,
            stop_reason,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_may_name_its_model_bare_or_with_the_provider() {
        let id = ModelId::new("openai", "gpt-5.4-mini");
        assert_eq!(id.resolve("").unwrap(), "gpt-5.4-mini");
        assert_eq!(id.resolve("gpt-4.1").unwrap(), "gpt-4.1");
        assert_eq!(id.resolve("openai::gpt-4.1").unwrap(), "gpt-4.1");
        let error = id.resolve("anthropic::claude-sonnet-4-6").unwrap_err();
        assert_eq!(error.code(), "unknown_model");
        assert!(!error.is_retry_safe());
        assert!(id.resolve("openai::").is_err());
        assert!(ModelId::new("openai", "").resolve("").is_err());
    }

    #[test]
    fn ids_survive_their_text_form() {
        let id: ModelId = "bedrock::eu.amazon.nova-pro-v1:0".parse().unwrap();
        assert_eq!(id.name, "eu.amazon.nova-pro-v1:0");
        assert_eq!(id.to_string().parse::<ModelId>().unwrap(), id);
        for wrong in ["gpt", "::gpt", "openai::"] {
            assert!(wrong.parse::<ModelId>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_stream_that_breaks_the_order_is_refused() {
        let mut assembly = Assembly::default();
        let stray = Delta::ToolCallArguments {
            index: 3,
            fragment: "{".into(),
        };
        assert!(assembly.push(&stray).is_err());

        let mut assembly = Assembly::default();
        let start = Delta::Started {
            model: ModelId::new("openai", "m"),
            passed_over: Vec::new(),
        };
        assembly.push(&start).unwrap();
        assert!(assembly.push(&start).is_err());

        let mut assembly = Assembly::default();
        let end = Delta::Finished {
            stop_reason: StopReason::EndTurn,
        };
        assembly.push(&end).unwrap();
        assert!(assembly.push(&end).is_err());
        assert!(Assembly::default().finish().is_err());
    }
}
