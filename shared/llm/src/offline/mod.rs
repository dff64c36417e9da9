//! The built-in model: no key, no network, the same answer every time, and no language model.
//!
//! It reads the last message of the person, splits it into questions and orders, and works with
//! the tools that the request offers, by the protocol that every model uses:
//!
//! 1. it calls `search_knowledge`, once per question and all at once, and carries out orders
//!    that need no answer: `remember …`, `create a task …`, `ask a human …`;
//! 2. where the best passage was cut short, it calls `read_document`;
//! 3. it carries out orders that were waiting for the answer ("… and remember it");
//! 4. it answers with the sentences that fit best, each with the mark of its source, and says
//!    that it is no language model.
//!
//! What tools return is quoted and never obeyed: orders are read from the person's message only.
//!
//! Tokens are estimated at four characters each, over everything that a provider would be sent.

mod answer;
mod evidence;
mod expected;
mod intent;
mod lexicon;
mod orders;
mod perform;
mod rank;
mod schema;
mod text;
mod turn;
mod units;

use std::time::Duration;

use async_trait::async_trait;
use futures::{StreamExt, stream};

use crate::chat::{Arguments, ChatRequest, Message, ToolCall};
use crate::error::ModelError;
use crate::model::{ChatModel, DeltaStream, ModelId};
use crate::reply::{Delta, StopReason, Usage};
use crate::structured::{Check, deliver};

/// The provider's name in a [`ModelId`].
pub const PROVIDER: &str = "offline";

/// The model's name in a [`ModelId`].
pub const NAME: &str = "extractive";

/// What every answer ends with.
pub const NOTICE: &str = "This answer comes from the built-in offline model, which is not a language model: it finds and quotes the sentences that match the question.";

/// The built-in model.
#[derive(Debug, Clone)]
pub struct Offline {
    id: ModelId,
    pace: Option<Duration>,
}

impl Default for Offline {
    fn default() -> Self {
        Self::new()
    }
}

impl Offline {
    /// The model, answering as fast as it can.
    pub fn new() -> Self {
        Self {
            id: ModelId::new(PROVIDER, NAME),
            pace: None,
        }
    }

    /// The model with a pause before each piece of a reply: for demonstrations of streaming, and
    /// for tests that interrupt a run.
    #[must_use]
    pub fn paced(mut self, pause: Duration) -> Self {
        self.pace = Some(pause);
        self
    }
}

#[async_trait]
impl ChatModel for Offline {
    fn id(&self) -> &ModelId {
        &self.id
    }

    async fn stream(&self, request: ChatRequest) -> Result<DeltaStream, ModelError> {
        let name = self.id.resolve(&request.model)?;
        if name != NAME {
            return Err(ModelError::UnknownModel {
                model: request.model,
                provider: PROVIDER.to_owned(),
            });
        }
        if request.messages.is_empty() {
            return Err(ModelError::InvalidRequest {
                message: "the conversation is empty".to_owned(),
            });
        }
        let check = Check::of(&request)?;
        let reply = turn::next(&request);
        if let Some(check) = check.as_ref().filter(|_| reply.calls.is_empty()) {
            if reply.made_up {
                return Err(cannot_fill("nothing in it takes words"));
            }
            check.document(&reply.text).map_err(|error| match error {
                ModelError::SchemaMismatch { message } => cannot_fill(&message),
                other => other,
            })?;
        }
        let deltas = deltas(&request, reply);
        let pace = self.pace;
        let paced = stream::iter(deltas).then(move |delta| async move {
            if let Some(pause) = pace {
                tokio::time::sleep(pause).await;
            }
            Ok(delta)
        });
        Ok(deliver(self.id.clone(), paced.boxed(), None, check))
    }
}

/// The model fills a schema as a person fills a form in a language that they do not speak. Where
/// that does not come out right, it is better said before anything was.
fn cannot_fill(reason: &str) -> ModelError {
    ModelError::SchemaMismatch {
        message: format!(
            "the built-in offline model is not a language model and cannot fill it ({reason})"
        ),
    }
}

/// What the model does next.
#[derive(Debug, Clone, Default, PartialEq)]
struct Reply {
    text: String,
    calls: Vec<ToolCall>,
    /// Whether the document that was asked for has no place for what there is to say, so that
    /// whatever stands in it is made up.
    made_up: bool,
}

/// A reply as it streams, within the request's limit of tokens.
fn deltas(request: &ChatRequest, reply: Reply) -> Vec<Delta> {
    let limit = request.max_output_tokens.map_or(u64::MAX, u64::from);
    let mut spent = 0;
    let mut cut = false;
    let mut deltas = Vec::new();
    let mut said = 0;
    for word in reply.text.split_inclusive(char::is_whitespace) {
        said += word.chars().count();
        if estimate(said) > limit {
            cut = true;
            break;
        }
        spent = estimate(said);
        deltas.push(Delta::TextDelta { text: word.into() });
    }
    for (index, call) in (0u32..).zip(&reply.calls) {
        let fragment = match &call.arguments {
            Arguments::Json(arguments) => serde_json::Value::from(arguments.clone()).to_string(),
            Arguments::Malformed(raw) => raw.clone(),
        };
        let cost = estimate(call.name.chars().count() + fragment.chars().count());
        // Half a call is worth nothing to anybody.
        if cut || spent + cost > limit {
            cut = true;
            break;
        }
        spent += cost;
        deltas.push(Delta::ToolCallStart {
            index,
            id: call.id.clone(),
            name: call.name.clone(),
        });
        deltas.push(Delta::ToolCallArguments { index, fragment });
    }
    deltas.push(Delta::Usage {
        usage: Usage {
            input_tokens: input_estimate(request),
            output_tokens: spent,
            ..Usage::default()
        },
    });
    deltas.push(Delta::Finished {
        stop_reason: match (cut, reply.calls.is_empty()) {
            (true, _) => StopReason::MaxTokens,
            (false, false) => StopReason::ToolCalls,
            (false, true) => StopReason::EndTurn,
        },
    });
    deltas
}

/// Tokens of a text, at four characters each.
fn estimate(characters: usize) -> u64 {
    u64::try_from(characters.div_ceil(4)).unwrap_or(u64::MAX)
}

fn input_estimate(request: &ChatRequest) -> u64 {
    let messages: usize = request
        .messages
        .iter()
        .map(|message| match message {
            Message::User { text } => text.chars().count(),
            Message::Assistant {
                text, tool_calls, ..
            } => {
                let calls: usize = tool_calls
                    .iter()
                    .map(|call| call.arguments.to_history().to_string().chars().count())
                    .sum();
                text.chars().count() + calls
            }
            Message::ToolResult { content, .. } => content.chars().count(),
        })
        .sum();
    let tools: usize = request
        .tools
        .iter()
        .map(|tool| tool.name.len() + tool.description.len() + tool.parameters.to_string().len())
        .sum();
    let system = request
        .system
        .as_ref()
        .map_or(0, |text| text.chars().count());
    estimate(messages + tools + system)
}
