//! Conversations: a thread of turns with one agent, one run each.

use kernel::{AgentId, ConversationId, ExecutionId, OrgId, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The most turns that may wait in one conversation.
pub const MAX_WAITING_TURNS: usize = 50;
/// How many turns back a model is told of.
pub const TURNS_TOLD: usize = 20;

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
    /// What the next turn is told of: the last turns that have ended, in the order in which they
    /// were open, at most 20. Those that were taken back, or whose time never came, are left out.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub history: Vec<ExecutionId>,
    /// How many turns there ever were.
    pub turns: u32,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// Rises by one with every change; the ETag of the conversation.
    pub version: u64,
}

impl Conversation {
    /// Whether a turn is open or waits.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.active.is_some() || !self.waiting.is_empty()
    }

    /// Keeps a turn that has ended, to be told of.
    pub fn remember(&mut self, execution: ExecutionId) {
        self.history.push(execution);
        let too_many = self.history.len().saturating_sub(TURNS_TOLD);
        self.history.drain(..too_many);
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_turns_are_remembered_in_order() {
        let mut conversation = Conversation {
            id: ConversationId::from_u128(1),
            org: OrgId::from_u128(2),
            agent: AgentId::from_u128(3),
            title: String::new(),
            on_busy: OnBusy::default(),
            active: None,
            waiting: Vec::new(),
            history: Vec::new(),
            turns: 0,
            created_at: Timestamp::from_millis(0),
            updated_at: Timestamp::from_millis(0),
            version: 1,
        };
        for number in 1..=TURNS_TOLD as u128 + 2 {
            conversation.remember(ExecutionId::from_u128(number));
        }
        assert_eq!(conversation.history.len(), TURNS_TOLD);
        assert_eq!(conversation.history[0], ExecutionId::from_u128(3));
        assert!(!conversation.is_busy());
    }
}
