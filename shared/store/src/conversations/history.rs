//! What was said in a conversation: to be listed, and to be told to the turns that follow.

use std::collections::HashMap;

use domain::conversation::{Conversation, ConversationTurn};
use domain::execution::{Execution, ExecutionState, StreamEntry, StreamEntryKind, Turn};
use kernel::cursor::{Cursor, Page, PageRequest};
use kernel::{ConversationId, ExecutionId};

use super::Conversations;
use crate::keys::{self, Key};
use crate::read::{MAX_PAGE_BYTES, Order};
use crate::{Commit, record::Record};
use crate::{Error, ReadError};

/// How many turns of a deleted conversation are removed at once.
const REMOVED_AT_ONCE: u32 = 50;
/// How much of a turn that was cut short is read, in the last entries of its stream.
const ENTRIES_READ: u32 = 500;

/// What was said in a turn, as a later turn is told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastTurn {
    pub execution: ExecutionId,
    pub input: String,
    /// The answer, or what there was of it when the turn was cut short; empty if it failed.
    pub answer: String,
    pub state: ExecutionState,
}

/// What a turn is told of its conversation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Past {
    /// How many turns there were before those.
    pub earlier: u32,
    /// In the order in which they were open.
    pub turns: Vec<PastTurn>,
}

/// A turn of a branch, with those that stand beside it.
#[derive(Debug, Clone, PartialEq)]
pub struct TurnInBranch {
    pub row: ConversationTurn,
    pub execution: Execution,
    /// The turns that follow the same turn, itself among them.
    pub siblings: Vec<u32>,
}

impl Conversations<'_> {
    /// The turns of a conversation, first to last, with what they have become. A page ends before
    /// its limit where the texts of its turns are long.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn turns(
        &self,
        id: ConversationId,
        page: &PageRequest,
    ) -> Result<Page<(ConversationTurn, Execution)>, ReadError> {
        let rows = self.rows(id, page).await?;
        let ids: Vec<ExecutionId> = rows.items.iter().map(|row| row.execution).collect();
        let mut found = self.executions(&ids).await?;
        let mut turns = Page {
            items: Vec::new(),
            next: rows.next,
        };
        let mut bytes = 0;
        for row in rows.items {
            let Some(execution) = found.remove(&row.execution) else {
                continue;
            };
            bytes += size(&execution);
            if bytes > MAX_PAGE_BYTES && !turns.items.is_empty() {
                turns.next = Some(Cursor::after(keys::turn_sort_key(row.turn - 1)));
                break;
            }
            turns.items.push((row, execution));
        }
        Ok(turns)
    }

    async fn rows(
        &self,
        id: ConversationId,
        page: &PageRequest,
    ) -> Result<Page<ConversationTurn>, ReadError> {
        let list = keys::turns(self.tenant.org(), id);
        self.store.page(&list, page, Order::Ascending).await
    }

    async fn executions(
        &self,
        ids: &[ExecutionId],
    ) -> Result<HashMap<ExecutionId, Execution>, ReadError> {
        let found = self.store.executions(self.tenant).get_many(ids).await?;
        let by_id = found.into_iter().map(|execution| (execution.id, execution));
        Ok(by_id.collect())
    }

    /// The branch that ends with the turn `leaf`, last turn first. A page ends before its limit
    /// where the texts of its turns are long.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn branch(
        &self,
        conversation: &Conversation,
        leaf: u32,
        page: &PageRequest,
    ) -> Result<Page<TurnInBranch>, ReadError> {
        let after = page
            .after
            .as_ref()
            .and_then(|cursor| cursor.sort_key().parse().ok());
        let mut next = Some(after.unwrap_or(leaf));
        let mut items: Vec<TurnInBranch> = Vec::new();
        let mut bytes = 0;
        'whole: while let Some(turn) = next
            && items.len() < page.limit as usize
        {
            let Some(part) = self.part_of_branch(conversation, turn).await? else {
                next = None;
                break;
            };
            for turn in part {
                bytes += size(&turn.execution);
                let is_full = items.len() >= page.limit as usize || bytes > MAX_PAGE_BYTES;
                if is_full && !items.is_empty() {
                    break 'whole;
                }
                next = turn.row.place.as_ref().and_then(|place| place.after);
                items.push(turn);
            }
        }
        Ok(Page {
            items,
            next: next.map(|turn| Cursor::after(turn.to_string())),
        })
    }

    /// A turn and those before it that it was told of, last turn first. Nothing if its time never
    /// came.
    async fn part_of_branch(
        &self,
        conversation: &Conversation,
        turn: u32,
    ) -> Result<Option<Vec<TurnInBranch>>, ReadError> {
        let Some(last) = self.turn(conversation.id, turn).await? else {
            return Ok(None);
        };
        let Some(place) = &last.place else {
            return Ok(None);
        };
        let mut ids = place.told.clone();
        ids.push(last.execution);
        let executions = self.executions(&ids).await?;
        let number = |execution: &Execution| execution.conversation.map(|turn| turn.turn);
        let numbers: Vec<u32> = executions.values().filter_map(number).collect();
        let mut rows = self.turns_by_number(conversation.id, &numbers).await?;
        // Of the first of them, whoever stands beside it is known by the turn before it.
        let before: Vec<u32> = rows
            .values()
            .filter_map(|row| row.place.as_ref()?.after)
            .filter(|before| !rows.contains_key(before))
            .collect();
        rows.extend(self.turns_by_number(conversation.id, &before).await?);
        let mut part = Vec::with_capacity(ids.len());
        for id in ids.iter().rev() {
            let Some(execution) = executions.get(id) else {
                continue;
            };
            let Some(row) = number(execution).and_then(|number| rows.get(&number)) else {
                continue;
            };
            let after = row.place.as_ref().and_then(|place| place.after);
            let siblings = match after {
                None => conversation.first.clone(),
                Some(after) => rows
                    .get(&after)
                    .map_or_else(Vec::new, |row| row.next.clone()),
            };
            part.push(TurnInBranch {
                row: row.clone(),
                execution: execution.clone(),
                siblings,
            });
        }
        Ok(Some(part).filter(|part| !part.is_empty()))
    }

    async fn turns_by_number(
        &self,
        id: ConversationId,
        numbers: &[u32],
    ) -> Result<HashMap<u32, ConversationTurn>, ReadError> {
        let org = self.tenant.org();
        let keys: Vec<Key> = numbers
            .iter()
            .map(|number| keys::turn(org, id, *number))
            .collect();
        let rows: Vec<ConversationTurn> = self.store.get_batch(&keys).await?;
        Ok(rows.into_iter().map(|row| (row.turn, row)).collect())
    }

    /// What was said before a turn that is open, on its branch.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn before(&self, turn: Turn) -> Result<Past, ReadError> {
        let row = self.turn(turn.id, turn.turn).await?;
        let (told, depth) = match row.and_then(|row| row.place) {
            Some(place) => (place.told, place.depth),
            // Begun by an earlier version of the product.
            None => match self.get(turn.id).await? {
                Some(conversation) => (conversation.history, 0),
                None => return Ok(Past::default()),
            },
        };
        let mut found = self.executions(&told).await?;
        let mut turns = Vec::with_capacity(told.len());
        for id in &told {
            let Some(execution) = found.remove(id) else {
                continue;
            };
            let said = self.said_in(&execution).await?;
            turns.push(PastTurn {
                execution: execution.id,
                input: execution.input,
                answer: execution.answer.or(said).unwrap_or_default(),
                state: execution.state,
            });
        }
        let known = u32::try_from(told.len()).unwrap_or(u32::MAX);
        Ok(Past {
            earlier: depth.saturating_sub(1).saturating_sub(known),
            turns,
        })
    }

    /// What had been said in a turn when it was cut short; none for any other.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn said_in(&self, execution: &Execution) -> Result<Option<String>, ReadError> {
        if execution.state != ExecutionState::Cancelled {
            return Ok(None);
        }
        let after = execution
            .last_sequence
            .saturating_sub(u64::from(ENTRIES_READ));
        let executions = self.store.executions(self.tenant);
        let entries = executions
            .stream_after(execution.id, after, ENTRIES_READ)
            .await?;
        Ok(Some(said(&entries)))
    }

    /// Removes some turns of a conversation that was deleted. Says whether there may be more.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn remove_turns(&self, id: ConversationId) -> Result<bool, Error> {
        let page = self.rows(id, &PageRequest::first(REMOVED_AT_ONCE)).await?;
        if page.items.is_empty() {
            return Ok(false);
        }
        let commit = page
            .items
            .iter()
            .fold(Commit::new(self.tenant), |commit, turn| {
                commit.discard(turn.key())
            });
        self.store.commit(commit).await?;
        Ok(page.next.is_some())
    }
}

fn size(execution: &Execution) -> usize {
    execution.input.len() + execution.answer.as_ref().map_or(0, String::len)
}

/// The text that a run had streamed of its last message.
fn said(entries: &[StreamEntry]) -> String {
    let mut text = String::new();
    for entry in entries {
        match entry.kind {
            StreamEntryKind::TextMessageStart => text.clear(),
            StreamEntryKind::TextMessageContent => {
                text.push_str(entry.data["delta"].as_str().unwrap_or_default());
            }
            _ => {}
        }
    }
    text
}
