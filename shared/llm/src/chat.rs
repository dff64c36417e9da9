//! What is said to a model, in one shape for every provider.
//!
//! These and the shapes in [`reply`](crate::reply) are stored in the trace of an execution, so their JSON is a contract:
//! enums are tagged, absent fields are left out, and unknown fields are ignored on reading.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::model::ModelId;

/// One call to a model.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ChatRequest {
    /// The model's name, bare (`gpt-5.4-mini`) or with its provider (`openai::gpt-5.4-mini`).
    /// Empty means the one that the server is configured with.
    #[serde(default)]
    pub model: String,
    /// The standing instructions, kept apart from the conversation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// The conversation, oldest first.
    pub messages: Vec<Message>,
    /// The tools that the model may call in this turn.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<ToolSpec>,
    /// The most tokens that the reply may take, reasoning included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_output_tokens: Option<u32>,
    /// Sampling temperature; the provider's own default when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// Asks for a reply whose text is one JSON document of this shape. Whether it is, is checked
    /// here, whatever the provider promises: [`ModelError::SchemaMismatch`].
    ///
    /// [`ModelError::SchemaMismatch`]: crate::ModelError::SchemaMismatch
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_format: Option<JsonSchema>,
}

/// One entry of a conversation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "role", rename_all = "snake_case")]
pub enum Message {
    /// What the person or the calling program said.
    User {
        /// Plain text.
        text: String,
    },
    /// What the model said, with the tools that it asked for.
    Assistant {
        /// Plain text; empty when the model only called tools.
        text: String,
        /// The calls of this turn, in the order in which the model made them.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        tool_calls: Vec<ToolCall>,
        /// What the provider wants to see again, word for word.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        opaque: Vec<OpaquePart>,
    },
    /// What a tool answered to one call.
    ToolResult {
        /// The [`ToolCall::id`] that this answers.
        call_id: String,
        /// The tool's name.
        name: String,
        /// The answer, as text; most tools answer with a JSON document.
        content: String,
        /// Whether the tool failed, so that the model does not take the text for an answer.
        #[serde(default)]
        is_error: bool,
    },
}

impl Message {
    /// A user's message.
    pub fn user(text: impl Into<String>) -> Self {
        Self::User { text: text.into() }
    }

    /// A model's message without tool calls.
    pub fn assistant(text: impl Into<String>) -> Self {
        Self::Assistant {
            text: text.into(),
            tool_calls: Vec::new(),
            opaque: Vec::new(),
        }
    }

    /// The successful result of `call`.
    pub fn tool_result(call: &ToolCall, content: impl Into<String>) -> Self {
        Self::ToolResult {
            call_id: call.id.clone(),
            name: call.name.clone(),
            content: content.into(),
            is_error: false,
        }
    }

    /// The failed result of `call`, with the reason in words.
    pub fn tool_error(call: &ToolCall, reason: impl Into<String>) -> Self {
        Self::ToolResult {
            call_id: call.id.clone(),
            name: call.name.clone(),
            content: reason.into(),
            is_error: true,
        }
    }
}

/// A part of a reply that only its provider understands and that must come back unchanged in
/// the next turn: signed or encrypted reasoning. It is never shown to a person and never sent
/// to another provider.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OpaquePart {
    /// The provider that made it, as in [`ModelId::provider`].
    pub provider: String,
    /// The part, in the provider's own format.
    pub data: Value,
}

/// A tool that a model may call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ToolSpec {
    /// Letters, digits, `_` and `-`, at most 64 characters: what every provider accepts.
    pub name: String,
    /// What it does and when to use it, for the model.
    pub description: String,
    /// JSON Schema of the arguments: an object.
    pub parameters: Value,
}

/// The wish of a model to call a tool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ToolCall {
    /// Ties the result to the call; unique within its conversation.
    pub id: String,
    /// The tool's name, as the model wrote it: it may name a tool that does not exist.
    pub name: String,
    /// The arguments, as the model wrote them: not yet checked against the tool's schema.
    pub arguments: Arguments,
}

/// The arguments of a tool call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arguments {
    /// A JSON object.
    Json(Map<String, Value>),
    /// Something else, kept as it came: broken JSON, or JSON that is not an object.
    Malformed(String),
}

impl Arguments {
    /// Reads what a model sent. Nothing at all counts as no arguments.
    pub fn parse(raw: &str) -> Self {
        if raw.trim().is_empty() {
            return Self::Json(Map::new());
        }
        match serde_json::from_str::<Value>(raw) {
            Ok(Value::Object(map)) => Self::Json(map),
            _ => Self::Malformed(raw.to_owned()),
        }
    }

    /// The arguments as a JSON object, if that is what they are.
    pub fn as_json(&self) -> Option<&Map<String, Value>> {
        match self {
            Self::Json(map) => Some(map),
            Self::Malformed(_) => None,
        }
    }

    /// The object to send back to a provider as history. Providers refuse a history whose
    /// arguments are not an object, so malformed ones travel as text inside one.
    pub(crate) fn to_history(&self) -> Value {
        match self {
            Self::Json(map) => Value::Object(map.clone()),
            Self::Malformed(raw) => serde_json::json!({ "malformed_arguments": raw }),
        }
    }
}

impl From<Map<String, Value>> for Arguments {
    fn from(map: Map<String, Value>) -> Self {
        Self::Json(map)
    }
}

/// A JSON Schema that a whole reply has to follow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JsonSchema {
    /// A short name; some providers require one.
    pub name: String,
    /// The schema: an object at the top.
    pub schema: Value,
    /// Whether the provider must enforce it. Enforcing providers demand that every object lists
    /// all its properties as required and forbids others; leave it off for looser schemas.
    #[serde(default)]
    pub strict: bool,
}

impl ChatRequest {
    /// More tokens than a provider counts for the input, for reserving its price before the
    /// call: no tokenizer makes more tokens of a text than the text has bytes, and what
    /// providers add for roles, tools and schemas stays below what is allowed for it here.
    pub fn input_tokens_at_most(&self) -> u64 {
        const PER_REQUEST: usize = 1024;
        const PER_MESSAGE: usize = 64;
        let bytes = serde_json::to_string(self).map_or(usize::MAX, |text| text.len());
        let allowance = PER_REQUEST + PER_MESSAGE * self.messages.len();
        u64::try_from(bytes.saturating_add(allowance)).unwrap_or(u64::MAX)
    }

    /// How many tools were called before, to number further calls by: an id has to be unique in
    /// its conversation, and not every server gives one.
    pub(crate) fn calls_before(&self) -> usize {
        self.messages
            .iter()
            .map(|message| match message {
                Message::Assistant { tool_calls, .. } => tool_calls.len(),
                _ => 0,
            })
            .sum()
    }

    /// The tools to declare to a provider that refuses a history with calls of undeclared tools:
    /// those offered, and when none is offered, those that the history mentions.
    pub(crate) fn declared_tools(&self) -> Vec<ToolSpec> {
        if !self.tools.is_empty() {
            return self.tools.clone();
        }
        let mut seen: Vec<ToolSpec> = Vec::new();
        for message in &self.messages {
            let Message::Assistant { tool_calls, .. } = message else {
                continue;
            };
            for call in tool_calls {
                if !seen.iter().any(|tool| tool.name == call.name) {
                    seen.push(ToolSpec {
                        name: call.name.clone(),
                        description: "Was used earlier and must not be called again.".to_owned(),
                        parameters: serde_json::json!({ "type": "object" }),
                    });
                }
            }
        }
        seen
    }
}

/// The opaque parts that belong to `id`'s provider.
pub(crate) fn opaque_of<'a>(
    parts: &'a [OpaquePart],
    id: &'a ModelId,
) -> impl Iterator<Item = &'a Value> {
    parts
        .iter()
        .filter(|part| part.provider == id.provider)
        .map(|part| &part.data)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_stored_json_of_a_conversation_is_stable() {
        let call = ToolCall {
            id: "call_1".into(),
            name: "search_knowledge".into(),
            arguments: Arguments::parse(r#"{"query":"oil"}"#),
        };
        let broken = ToolCall {
            id: "call_2".into(),
            name: "remember".into(),
            arguments: Arguments::parse(r#"{"content": "#),
        };
        let request = ChatRequest {
            model: "openai::gpt-5.4-mini".into(),
            messages: vec![
                Message::user("When?"),
                Message::Assistant {
                    text: String::new(),
                    tool_calls: vec![call.clone(), broken.clone()],
                    opaque: Vec::new(),
                },
                Message::tool_result(&call, "{}"),
                Message::tool_error(&broken, "no"),
            ],
            ..ChatRequest::default()
        };
        let stored = json!({
            "model": "openai::gpt-5.4-mini",
            "messages": [
                {"role": "user", "text": "When?"},
                {"role": "assistant", "text": "", "tool_calls": [
                    {"id": "call_1", "name": "search_knowledge", "arguments": {"json": {"query": "oil"}}},
                    {"id": "call_2", "name": "remember", "arguments": {"malformed": "{\"content\": "}},
                ]},
                {"role": "tool_result", "call_id": "call_1", "name": "search_knowledge", "content": "{}", "is_error": false},
                {"role": "tool_result", "call_id": "call_2", "name": "remember", "content": "no", "is_error": true},
            ],
        });
        assert_eq!(serde_json::to_value(&request).unwrap(), stored);
        assert_eq!(
            serde_json::from_value::<ChatRequest>(stored).unwrap(),
            request
        );
    }

    #[test]
    fn the_bound_on_input_tokens_grows_with_everything_that_is_sent() {
        let empty = ChatRequest::default();
        let text = "\u{1f6e2}".repeat(1000);
        let bound = |message: Message| {
            let request = ChatRequest {
                messages: vec![message],
                ..ChatRequest::default()
            };
            request.input_tokens_at_most()
        };
        assert!(empty.input_tokens_at_most() >= 1024);
        assert!(bound(Message::user(&text)) >= 4000 + 1024);
        assert!(bound(Message::assistant(&text)) >= 4000 + 1024);
        let tools = ChatRequest {
            tools: vec![ToolSpec {
                name: "t".into(),
                description: text,
                parameters: json!({}),
            }],
            ..ChatRequest::default()
        };
        assert!(tools.input_tokens_at_most() >= 4000 + 1024);
    }

    #[test]
    fn arguments_that_are_not_an_object_are_malformed() {
        assert_eq!(Arguments::parse("  "), Arguments::Json(Map::new()));
        for raw in ["[1]", "\"x\"", "{", "null", "{\"a\":1} trailing"] {
            assert_eq!(Arguments::parse(raw), Arguments::Malformed(raw.into()));
        }
        let deep = format!("{}1{}", "{\"a\":".repeat(10_000), "}".repeat(10_000));
        assert!(matches!(Arguments::parse(&deep), Arguments::Malformed(_)));
    }
}
