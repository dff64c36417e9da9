//! Tools: what an agent may call, and the JSON Schema its arguments must satisfy.

use std::collections::BTreeMap;
use std::time::Duration;

use kernel::{MicroCredits, OrgId, Timestamp, ToolId};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::approval::ApprovalPolicy;

mod headers;
mod http;
mod schema;
mod server;
mod template;

pub use headers::{MAX_HEADER_VALUE_BYTES, MAX_HEADERS, header_problem, secret_header_problem};
pub use http::{ActionProblem, ExpandedRequest};
pub use schema::{ArgumentError, ArgumentSchema, MAX_SCHEMA_BYTES};
pub use server::server_tool_name;
pub use template::{MAX_EXPANDED_URL_BYTES, MAX_URL_BYTES, TemplateError, UrlTemplate};

/// The most characters of arguments that are looked at.
pub const MAX_ARGUMENT_BYTES: usize = 64 * 1024;
/// The most characters of a tool's description.
pub const MAX_DESCRIPTION: usize = 2_000;
/// The longest a tool call may take, in seconds.
pub const MAX_TIMEOUT_SECONDS: u32 = 120;
/// How long a tool call may take whose tool says nothing of it, in seconds.
pub const DEFAULT_TIMEOUT_SECONDS: u32 = 20;

/// A registered tool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Tool {
    pub id: ToolId,
    pub org: OrgId,
    #[serde(flatten)]
    pub spec: ToolSpec,
    /// Rises by one with every change; the ETag of the tool.
    pub version: u64,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// What a registered tool does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ToolSpec {
    /// The name the model calls it by; unique in the org: `^[a-z][a-z0-9_]{0,63}$`.
    pub name: String,
    /// What it does, for the model.
    pub description: String,
    /// JSON Schema (2020-12) of the arguments: an object.
    #[schema(value_type = Object)]
    pub parameters: Value,
    /// Whether calling it twice with the same idempotency key does no harm.
    #[serde(default)]
    pub idempotent: bool,
    /// What follows when a call was interrupted and nobody knows whether it happened.
    #[serde(default, skip_serializing_if = "OnUnknown::is_automatic")]
    pub on_unknown: OnUnknown,
    /// Who must approve a call before it is made, if anybody.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub approval: Option<ApprovalPolicy>,
    /// What a call costs, in micro-credits.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(minimum = 0)]
    pub micro_credits_per_call: Option<MicroCredits>,
    pub action: ToolAction,
}

/// What follows when a call was interrupted and nobody knows whether it happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnUnknown {
    /// An idempotent tool is called again; for another one people are asked.
    #[default]
    Automatic,
    /// People are asked, even where the tool is idempotent.
    Ask,
    /// The model is told that the outcome is unknown.
    Report,
}

impl OnUnknown {
    fn is_automatic(&self) -> bool {
        *self == Self::Automatic
    }
}

/// How a registered tool does it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ToolAction {
    /// An HTTP request to a public address.
    Http(HttpAction),
    /// The tools of a server that speaks the Model Context Protocol. The model knows each by this
    /// tool's name, two underscores and the server's name for it.
    Mcp(McpAction),
}

impl ToolAction {
    /// Where its requests go.
    #[must_use]
    pub fn url(&self) -> &str {
        match self {
            Self::Http(action) => &action.url,
            Self::Mcp(action) => &action.url,
        }
    }

    /// The longest that a call takes.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        let seconds = match self {
            Self::Http(action) => action.timeout_seconds,
            Self::Mcp(action) => action.timeout_seconds,
        };
        Duration::from_secs(seconds.into())
    }
}

/// A server that speaks the Model Context Protocol over streamable HTTP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct McpAction {
    /// The address of its endpoint.
    #[schema(example = "https://mcp.example.com/mcp")]
    pub url: String,
    /// Seconds until a call is given up.
    #[serde(default = "default_timeout")]
    #[schema(minimum = 1, maximum = 120, default = 20)]
    pub timeout_seconds: u32,
}

/// An HTTP request. GET and DELETE put arguments that the URL does not name into the query; the
/// other methods send them as a JSON body.
///
/// In a query a list repeats its name (`tag=a&tag=b`), an object is written as JSON, and `null` is
/// left out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct HttpAction {
    pub method: HttpMethod,
    /// The address; `{name}` stands for the argument of that name, percent-encoded. Scheme and
    /// host are fixed: only the path, and values in the query, may be arguments.
    #[schema(example = "https://api.example.com/orders/{order_id}")]
    pub url: String,
    /// Fixed request headers. Not for secrets: they are shown to everyone who may see the tool.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Seconds until the call is given up.
    #[serde(default = "default_timeout")]
    #[schema(minimum = 1, maximum = 120, default = 20)]
    pub timeout_seconds: u32,
}

const fn default_timeout() -> u32 {
    DEFAULT_TIMEOUT_SECONDS
}

/// The method of an HTTP tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum HttpMethod {
    Get,
    Post,
    Put,
    Patch,
    Delete,
}

impl HttpMethod {
    /// Whether arguments that the URL does not name travel in a JSON body.
    #[must_use]
    pub fn has_body(self) -> bool {
        matches!(self, Self::Post | Self::Put | Self::Patch)
    }
}

/// A tool that comes with the product.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Builtin {
    SearchKnowledge,
    ReadDocument,
    Remember,
    CreateTask,
    AskHuman,
    CallAgent,
    SendMessage,
}

impl Builtin {
    /// Every built-in tool.
    pub const ALL: &'static [Self] = &[
        Self::SearchKnowledge,
        Self::ReadDocument,
        Self::Remember,
        Self::CreateTask,
        Self::AskHuman,
        Self::CallAgent,
        Self::SendMessage,
    ];

    /// The name the model calls it by.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::SearchKnowledge => "search_knowledge",
            Self::ReadDocument => "read_document",
            Self::Remember => "remember",
            Self::CreateTask => "create_task",
            Self::AskHuman => "ask_human",
            Self::CallAgent => "call_agent",
            Self::SendMessage => "send_message",
        }
    }

    /// The tool of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|builtin| builtin.name() == name)
    }

    /// What it does, for the model.
    #[must_use]
    pub const fn description(self) -> &'static str {
        match self {
            Self::SearchKnowledge => {
                "Search the agent's knowledge bases by meaning. Returns the best passages, each \
                 with a citation, its document and page."
            }
            Self::ReadDocument => {
                "Read a document of the agent's knowledge bases in order, from a chunk number on."
            }
            Self::Remember => "Keep a short statement for later executions of this agent.",
            Self::CreateTask => "Create a task for a person or another agent.",
            Self::AskHuman => {
                "Ask a person a question and wait for the answer. Ask only what cannot be found out \
                 otherwise."
            }
            Self::CallAgent => {
                "Have another agent do something, and wait for its answer. It knows nothing of \
                 this conversation but what it is told."
            }
            Self::SendMessage => {
                "Tell something to the agents that work with you, or to one of them. They read it \
                 before their next step; nobody waits for an answer."
            }
        }
    }

    /// JSON Schema of the arguments.
    #[must_use]
    pub fn parameters(self) -> Value {
        match self {
            Self::SearchKnowledge => json!({
                "type": "object",
                "properties": {
                    "query": { "type": "string", "minLength": 1, "maxLength": 2000,
                               "description": "What to look for, in plain words." },
                    "limit": { "type": "integer", "minimum": 1, "maximum": 20, "default": 6 }
                },
                "required": ["query"],
                "additionalProperties": false
            }),
            Self::ReadDocument => json!({
                "type": "object",
                "properties": {
                    "file_id": { "type": "string", "description": "The document's file id." },
                    "from_chunk": { "type": "integer", "minimum": 0, "default": 0 }
                },
                "required": ["file_id"],
                "additionalProperties": false
            }),
            Self::Remember => json!({
                "type": "object",
                "properties": {
                    "text": { "type": "string", "minLength": 1, "maxLength": 2000,
                              "description": "One statement that stands by itself." },
                    "kind": { "enum": ["fact", "term", "preference", "tool_note", "fallback"],
                              "default": "fact",
                              "description": "term: what a name means here. preference: how \
                                  somebody wants things done. tool_note: how a tool is best used. \
                                  fallback: what to go by when nothing else is known." },
                    "importance": { "type": "integer", "minimum": 1, "maximum": 10, "default": 5,
                                    "description": "How much it matters, 10 being most." }
                },
                "required": ["text"],
                "additionalProperties": false
            }),
            Self::CreateTask => json!({
                "type": "object",
                "properties": {
                    "title": { "type": "string", "minLength": 1, "maxLength": 200 },
                    "description": { "type": "string", "maxLength": 10000 }
                },
                "required": ["title"],
                "additionalProperties": false
            }),
            Self::CallAgent => json!({
                "type": "object",
                "properties": {
                    "agent_id": { "type": "string", "description": "The id of the agent." },
                    "input": { "type": "string", "minLength": 1, "maxLength": 32000,
                               "description": "What it is asked, with all that it needs to know." }
                },
                "required": ["agent_id", "input"],
                "additionalProperties": false
            }),
            Self::SendMessage => json!({
                "type": "object",
                "properties": {
                    "to": { "type": "string",
                            "description": "The id of the agent; all of them, if absent." },
                    "text": { "type": "string", "minLength": 1, "maxLength": 8000 }
                },
                "required": ["text"],
                "additionalProperties": false
            }),
            Self::AskHuman => json!({
                "type": "object",
                "properties": {
                    "question": { "type": "string", "minLength": 1, "maxLength": 2000 }
                },
                "required": ["question"],
                "additionalProperties": false
            }),
        }
    }
}

/// Whether `name` can be a tool's name.
#[must_use]
pub fn is_tool_name(name: &str) -> bool {
    let mut letters = name.bytes();
    letters
        .next()
        .is_some_and(|first| first.is_ascii_lowercase())
        && name.len() <= 64
        && letters.all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn builtin_schemas_compile_and_judge() {
        for builtin in Builtin::ALL {
            ArgumentSchema::compile(&builtin.parameters()).unwrap();
            assert_eq!(Builtin::named(builtin.name()), Some(*builtin));
            assert!(is_tool_name(builtin.name()));
        }
        let schema = ArgumentSchema::compile(&Builtin::SearchKnowledge.parameters()).unwrap();
        assert_eq!(schema.check(&json!({ "query": "oil" })), Ok(()));
        let error = schema
            .check(&json!({ "query": 3, "limit": 99 }))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("/query") && error.contains("/limit"),
            "{error}"
        );
    }

    #[test]
    fn tool_names_are_plain() {
        for name in ["", "9lives", "Upper", "a-b", "a b", &"a".repeat(65)] {
            assert!(!is_tool_name(name), "{name}");
        }
    }
}
