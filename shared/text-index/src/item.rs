//! What is in the index.

use std::fmt;
use std::str::FromStr;

use domain::event::Actor;
use kernel::{
    AgentId, ConversationId, ExecutionId, FileId, KnowledgeBaseId, SwarmId, TaskId, Timestamp,
};
use serde::{Deserialize, Serialize};

/// The kinds of items that can be found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ItemKind {
    /// A file as part of a knowledge base, by its name.
    Document,
    /// A piece of a document.
    Chunk,
    Agent,
    Task,
    /// A run, by what was asked and answered.
    Execution,
    /// What was said in a conversation or in a run of a swarm.
    Message,
}

impl ItemKind {
    /// Every kind.
    pub const ALL: &'static [Self] = &[
        Self::Document,
        Self::Chunk,
        Self::Agent,
        Self::Task,
        Self::Execution,
        Self::Message,
    ];

    /// The stable name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Document => "document",
            Self::Chunk => "chunk",
            Self::Agent => "agent",
            Self::Task => "task",
            Self::Execution => "execution",
            Self::Message => "message",
        }
    }
}

impl fmt::Display for ItemKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A text that names no kind of item.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is no kind of item")]
pub struct UnknownKind(String);

impl FromStr for ItemKind {
    type Err = UnknownKind;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = Self::ALL.iter().find(|kind| kind.name() == text);
        known.copied().ok_or_else(|| UnknownKind(text.to_owned()))
    }
}

/// A place in the text of a document, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    pub start: u32,
    /// One past the last.
    pub end: u32,
}

/// Something that can be found, as it was when it was indexed. It is kept whole in the index, so
/// that a hit needs no second look.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    pub kind: ItemKind,
    /// Unique among the items of its kind.
    pub id: String,
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub title: String,
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub body: String,
    /// The headings above a chunk, outermost first.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub heading: Option<String>,
    /// As ISO 639 names it, by two letters or three; words of a language whose rules are not known
    /// are stemmed as English.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub language: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub page: Option<u32>,
    /// The number of a chunk in its document, from 0.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ordinal: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub span: Option<Span>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub knowledge_base: Option<KnowledgeBaseId>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub file: Option<FileId>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub agent: Option<AgentId>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub task: Option<TaskId>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub execution: Option<ExecutionId>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub conversation: Option<ConversationId>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub swarm: Option<SwarmId>,
    /// The id of the person, key or agent that made it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub author: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub status: Option<String>,
    /// What it is within its kind: a file's format, a task's priority, who speaks in a message.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none", default)]
    pub type_: Option<String>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// Whose own it is: beside them, those see it who see what everybody has.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub private_to: Option<Actor>,
}

impl Item {
    /// An item without words, to be filled in.
    #[must_use]
    pub fn new(kind: ItemKind, id: impl fmt::Display, created_at: Timestamp) -> Self {
        Self {
            kind,
            id: id.to_string(),
            title: String::new(),
            body: String::new(),
            heading: None,
            language: None,
            page: None,
            ordinal: None,
            span: None,
            knowledge_base: None,
            file: None,
            agent: None,
            task: None,
            execution: None,
            conversation: None,
            swarm: None,
            author: None,
            status: None,
            type_: None,
            created_at,
            updated_at: created_at,
            private_to: None,
        }
    }
}
