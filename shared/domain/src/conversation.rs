//! Conversations: a thread of turns with one agent, one run each.
//!
//! Turns form a tree. Each follows the one that was current when it was opened, so that a message
//! which is edited or asked again stands beside the one it came from; nothing is thrown away. The
//! conversation names the turn that the next one follows, and what that one is told.

use kernel::{AgentId, ConversationId, ExecutionId, OrgId, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::event::Actor;

mod title;

pub use title::title_of;

/// The most turns that may wait in one conversation.
pub const MAX_WAITING_TURNS: usize = 50;
/// How many turns back a model is told of.
pub const TURNS_TOLD: usize = 20;
/// The most turns that may follow one and the same turn.
pub const MAX_BRANCHES: usize = 50;

/// A thread between people and an agent. At most one of its turns runs at a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Conversation {
    pub id: ConversationId,
    pub org: OrgId,
    pub agent: AgentId,
    /// Who began it. Beside them, managers and machines see it, and no other member.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub begun_by: Option<Actor>,
    /// What it is about, in a line: the beginning of its first turn, if nobody says otherwise.
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
    /// The turn that the next one follows: the open one, or the last of the current branch.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub leaf: Option<u32>,
    /// How many turns the current branch has.
    #[serde(default)]
    pub depth: u32,
    /// The turns that follow none: one for each branch that begins at the beginning.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub first: Vec<u32>,
    /// What the next turn is told of: the last turns of the current branch that have ended, in the
    /// order in which they were open, at most 20. Those that were taken back, or whose time never
    /// came, are left out.
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

    /// The place of a turn that is opened now, at the end of the current branch.
    #[must_use]
    pub fn next_place(&self) -> Place {
        Place {
            after: self.leaf,
            depth: self.depth + 1,
            told: self.history.clone(),
        }
    }

    /// Opens a turn, which makes its branch the current one.
    pub fn open(&mut self, turn: u32, execution: ExecutionId, place: &Place) {
        self.active = Some(execution);
        self.leaf = Some(turn);
        self.depth = place.depth;
        self.history.clone_from(&place.told);
    }

    /// Takes the open turn out again: the conversation stands where it stood before.
    pub fn take_back(&mut self, place: &Place) {
        self.active = None;
        self.leaf = place.after;
        self.depth = place.depth.saturating_sub(1);
        self.history.clone_from(&place.told);
    }

    /// Goes to a turn that has ended: the next one follows it.
    pub fn go_to(&mut self, turn: u32, execution: ExecutionId, place: &Place) {
        self.open(turn, execution, place);
        self.active = None;
        self.remember(execution);
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
    /// The turn that this one was made from, where its message was edited or asked again.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub revises: Option<u32>,
    /// Where it stands, once its time has come.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub place: Option<Place>,
    /// The turns that follow it, one for each branch.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub next: Vec<u32>,
    pub created_at: Timestamp,
}

/// Where a turn stands among the others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Place {
    /// The turn that it follows; none at the beginning.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub after: Option<u32>,
    /// From 1: how many turns its branch has, up to and including it.
    pub depth: u32,
    /// The turns before it that it is told of, the last at most 20.
    pub told: Vec<ExecutionId>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conversation() -> Conversation {
        Conversation {
            id: ConversationId::from_u128(1),
            org: OrgId::from_u128(2),
            agent: AgentId::from_u128(3),
            begun_by: None,
            title: String::new(),
            on_busy: OnBusy::default(),
            active: None,
            waiting: Vec::new(),
            leaf: None,
            depth: 0,
            first: Vec::new(),
            history: Vec::new(),
            turns: 0,
            created_at: Timestamp::from_millis(0),
            updated_at: Timestamp::from_millis(0),
            version: 1,
        }
    }

    fn execution(number: u32) -> ExecutionId {
        ExecutionId::from_u128(number.into())
    }

    /// Has a turn from its opening to its end.
    fn have(conversation: &mut Conversation, turn: u32, place: &Place) {
        conversation.open(turn, execution(turn), place);
        assert!(conversation.is_busy());
        conversation.active = None;
        conversation.remember(execution(turn));
    }

    #[test]
    fn the_last_turns_are_remembered_in_order() {
        let mut conversation = conversation();
        for number in 1..=TURNS_TOLD as u32 + 2 {
            let place = conversation.next_place();
            assert_eq!(place.depth, number);
            have(&mut conversation, number, &place);
        }
        assert_eq!(conversation.history.len(), TURNS_TOLD);
        assert_eq!(conversation.history[0], execution(3));
        assert!(!conversation.is_busy());
    }

    #[test]
    fn an_edited_turn_is_told_what_the_first_one_was_told() {
        let mut conversation = conversation();
        let mut places = Vec::new();
        for turn in 1..=3 {
            let place = conversation.next_place();
            have(&mut conversation, turn, &place);
            places.push(place);
        }
        // The second is edited: a branch beside it, without the third.
        have(&mut conversation, 4, &places[1]);
        assert_eq!((conversation.leaf, conversation.depth), (Some(4), 2));
        assert_eq!(conversation.history, [execution(1), execution(4)]);
        assert_eq!(conversation.next_place().after, Some(4));
        // And back to the first branch.
        conversation.go_to(3, execution(3), &places[2]);
        assert_eq!(conversation.history, [1, 2, 3].map(execution));
        assert_eq!((conversation.leaf, conversation.depth), (Some(3), 3));
        assert!(!conversation.is_busy());
    }

    #[test]
    fn a_turn_that_is_taken_back_leaves_everything_as_it_was() {
        let mut conversation = conversation();
        let place = conversation.next_place();
        have(&mut conversation, 1, &place);
        let before = conversation.clone();
        let place = conversation.next_place();
        conversation.open(2, execution(2), &place);
        conversation.take_back(&place);
        assert_eq!(conversation, before);
    }
}
