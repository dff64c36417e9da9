//! Conversations: a thread of turns with one agent, one run each.

use kernel::{AgentId, ConversationId, ExecutionId, OrgId, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The most turns that may wait in one conversation.
pub const MAX_WAITING_TURNS: usize = 50;

/// A thread between people and an agent. At most one of its turns runs at a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Conversation {
    pub id: ConversationId,
    pub org: OrgId,
    pub agent: AgentId,
    pub title: String,
    /// What a new turn does while another is open, unless it says so itself.
    #[serde(default)]
    pub on_busy: OnBusy,
    /// The turn that is open, if any.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub active: Option<ExecutionId>,
    /// Turns that wait for it, in order.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub waiting: Vec<ExecutionId>,
    /// How many turns were ever begun.
    pub turns: u32,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// Rises by one with every change; the ETag of the conversation.
    pub version: u64,
}

/// What a new turn does while another is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnBusy {
    /// It is refused.
    Reject,
    /// It waits for its turn.
    #[default]
    Enqueue,
    /// It ends the open turn, whose text so far stays part of the conversation.
    Interrupt,
    /// It ends the open turn and takes it out of the conversation.
    Rollback,
}

/// One turn of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ConversationTurn {
    pub org: OrgId,
    pub conversation: ConversationId,
    /// From 1.
    pub turn: u32,
    pub execution: ExecutionId,
    /// Whether the turn was taken out again; the model is not told of it.
    #[serde(default)]
    pub rolled_back: bool,
    pub created_at: Timestamp,
}
