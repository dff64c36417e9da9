//! Conversations and their turns.
//!
//! A turn is an execution. One is open at a time; those that wait are queued without a place and
//! without a ring, and the end of the open one lets the next in, in the same transaction.

use std::collections::BTreeMap;

use domain::conversation::{Conversation, ConversationTurn, MAX_WAITING_TURNS, OnBusy};
use domain::event::EventKind;
use domain::execution::{Execution, ExecutionState, Failure, StreamEntry, StreamEntryKind, Turn};
use kernel::cursor::{Page, PageRequest};
use kernel::{AgentId, ConversationId, ExecutionId};
use serde_json::json;

use crate::executions::NewRun;
use crate::keys::{self, Key};
use crate::read::Order;
use crate::record::Record;
use crate::{Cause, Commit, CommitError, Error, ReadError, Store, Tenant, changes};

/// How many turns back a model is told of.
pub const TURNS_TOLD: u32 = 20;
/// How much of a turn that was cut short is read, in entries of its stream.
const ENTRIES_READ: u32 = 500;
const TRIES: u32 = 12;

impl Record for Conversation {
    const NOUN: &'static str = "conversation";

    fn key(&self) -> Key {
        keys::conversation(self.org, self.id)
    }

    fn version(&self) -> u64 {
        self.version
    }
}

impl Record for ConversationTurn {
    const NOUN: &'static str = "turn";

    fn key(&self) -> Key {
        keys::turn(self.org, self.conversation, self.turn)
    }
}

/// Why a turn was not begun.
#[derive(Debug, thiserror::Error)]
pub enum TurnRefused {
    /// There is no such conversation.
    #[error("there is no such conversation")]
    Missing,
    /// The conversation is with another agent.
    #[error("the conversation is with another agent")]
    OtherAgent,
    /// Another turn is open, and the policy is to refuse.
    #[error("execution {0} is under way in the conversation")]
    Busy(ExecutionId),
    /// Too many turns wait already.
    #[error("{MAX_WAITING_TURNS} turns wait already in the conversation")]
    Full,
    #[error(transparent)]
    Store(#[from] Error),
}

impl From<ReadError> for TurnRefused {
    fn from(error: ReadError) -> Self {
        Self::Store(error.into())
    }
}

/// What was said in a turn, as a later turn is told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastTurn {
    pub turn: u32,
    pub input: String,
    /// The answer, or what there was of it when the turn was cut short; empty if it failed.
    pub answer: String,
    pub state: ExecutionState,
}

/// The conversations of one org.
#[derive(Debug, Clone, Copy)]
pub struct Conversations<'a> {
    store: &'a Store,
    tenant: Tenant,
}

impl Store {
    /// The conversations of an org.
    #[must_use]
    pub fn conversations(&self, tenant: Tenant) -> Conversations<'_> {
        Conversations {
            store: self,
            tenant,
        }
    }
}

impl Conversations<'_> {
    /// The conversation with this id.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn get(&self, id: ConversationId) -> Result<Option<Conversation>, ReadError> {
        self.store
            .get(&keys::conversation(self.tenant.org(), id))
            .await
    }

    /// Conversations, newest first.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn page(&self, page: &PageRequest) -> Result<Page<Conversation>, ReadError> {
        let list = keys::conversations(self.tenant.org());
        self.store.page(&list, page, Order::Descending).await
    }

    /// The turns of a conversation, first to last.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn turns(
        &self,
        id: ConversationId,
        page: &PageRequest,
    ) -> Result<Page<ConversationTurn>, ReadError> {
        let list = keys::turns(self.tenant.org(), id);
        self.store.page(&list, page, Order::Ascending).await
    }

    /// Begins a conversation with an agent.
    ///
    /// # Errors
    /// [`Error::Commit`] if the store does not take it.
    pub async fn create(
        &self,
        cause: &Cause,
        agent: AgentId,
        title: String,
        on_busy: OnBusy,
    ) -> Result<Conversation, Error> {
        let now = self.store.now();
        let conversation = Conversation {
            id: ConversationId::generate(now),
            org: self.tenant.org(),
            agent,
            title,
            on_busy,
            active: None,
            waiting: Vec::new(),
            turns: 0,
            created_at: now,
            updated_at: now,
            version: 1,
        };
        let data = json!({ "agent": agent });
        let kind = EventKind::ConversationCreated;
        let event = self
            .store
            .event(self.tenant, cause, kind, conversation.id, data);
        let commit = Commit::new(self.tenant).create(&conversation).event(event);
        self.store.commit(commit).await?;
        Ok(conversation)
    }

    /// Changes title and policy.
    ///
    /// # Errors
    /// [`Error::Commit`], as `Changed` if the conversation is no longer at `current`'s version.
    pub async fn update(
        &self,
        cause: &Cause,
        current: &Conversation,
        title: String,
        on_busy: OnBusy,
    ) -> Result<Conversation, Error> {
        let updated = Conversation {
            title,
            on_busy,
            version: current.version + 1,
            updated_at: self.store.now(),
            ..current.clone()
        };
        let kind = EventKind::ConversationUpdated;
        let data = changes(current, &updated);
        let event = self.store.event(self.tenant, cause, kind, current.id, data);
        let commit = Commit::new(self.tenant)
            .replace(&updated, current.version)
            .event(event);
        self.store.commit(commit).await?;
        Ok(updated)
    }

    /// Deletes a conversation without an open turn. Its executions stay.
    ///
    /// # Errors
    /// [`Error::Commit`], as `Changed` if the conversation is no longer at `current`'s version.
    pub async fn delete(&self, cause: &Cause, current: &Conversation) -> Result<(), Error> {
        let kind = EventKind::ConversationDeleted;
        let data = json!({ "agent": current.agent });
        let event = self.store.event(self.tenant, cause, kind, current.id, data);
        let commit = Commit::new(self.tenant)
            .delete(current, current.version)
            .event(event);
        Ok(self.store.commit(commit).await?)
    }

    /// Begins a turn, or queues it, as `on_busy` says, or the conversation's own policy.
    ///
    /// # Errors
    /// [`TurnRefused`] says why there is no new turn.
    pub async fn begin_turn(
        &self,
        cause: &Cause,
        id: ConversationId,
        run: &NewRun,
        on_busy: Option<OnBusy>,
    ) -> Result<Execution, TurnRefused> {
        let mut attempt = 0;
        loop {
            let (commit, begun, ends) = self.turn(cause, id, run, on_busy).await?;
            match self.store.commit(commit).await {
                Ok(()) => {
                    if let Some((open, failure)) = ends {
                        self.end_turn(cause, open, failure).await?;
                    }
                    return Ok(begun);
                }
                Err(error) if error.is_raced() && attempt < TRIES => {
                    attempt += 1;
                    tokio::time::sleep(crate::commit::conflict_delay(attempt.min(4))).await;
                }
                Err(error) => return Err(Error::from(error).into()),
            }
        }
    }

    async fn turn(
        &self,
        cause: &Cause,
        id: ConversationId,
        run: &NewRun,
        on_busy: Option<OnBusy>,
    ) -> Result<(Commit, Execution, Option<(ExecutionId, Failure)>), TurnRefused> {
        let before = self.get(id).await?.ok_or(TurnRefused::Missing)?;
        if before.agent != run.execution().agent {
            return Err(TurnRefused::OtherAgent);
        }
        let now = self.store.now();
        let mut after = before.clone();
        after.turns += 1;
        after.version += 1;
        after.updated_at = now;
        let turn = Turn {
            id,
            turn: after.turns,
        };
        let run = run.clone().in_conversation(turn);
        let execution = run.execution().clone();
        let row = ConversationTurn {
            org: before.org,
            conversation: id,
            turn: turn.turn,
            execution: execution.id,
            rolled_back: false,
            created_at: now,
        };
        let executions = self.store.executions(self.tenant);
        let commit = Commit::new(self.tenant).create(&row);
        let Some(open) = before.active else {
            after.active = Some(execution.id);
            let commit = commit.replace(&after, before.version);
            let commit = executions.add_run(commit, cause, &run).await?;
            return Ok((commit, execution, None));
        };
        let policy = on_busy.unwrap_or(before.on_busy);
        if policy == OnBusy::Reject {
            return Err(TurnRefused::Busy(open));
        }
        if before.waiting.len() >= MAX_WAITING_TURNS {
            return Err(TurnRefused::Full);
        }
        let mut commit = executions.add_queued(commit, cause, &run, false);
        let ends = match policy {
            OnBusy::Reject | OnBusy::Enqueue => {
                after.waiting.push(execution.id);
                None
            }
            OnBusy::Interrupt => {
                after.waiting.insert(0, execution.id);
                let message = "A newer turn of the conversation took its place.";
                Some((open, Failure::new("interrupted", message)))
            }
            OnBusy::Rollback => {
                after.waiting.insert(0, execution.id);
                if let Some(row) = self.row_of(open).await? {
                    commit = commit.put(&ConversationTurn {
                        rolled_back: true,
                        ..row
                    });
                }
                let message = "A newer turn of the conversation took it back.";
                Some((open, Failure::new("rolled_back", message)))
            }
        };
        Ok((commit.replace(&after, before.version), execution, ends))
    }

    async fn row_of(&self, execution: ExecutionId) -> Result<Option<ConversationTurn>, ReadError> {
        let executions = self.store.executions(self.tenant);
        let turn = executions
            .get(execution)
            .await?
            .and_then(|execution| execution.conversation);
        match turn {
            Some(turn) => {
                let key = keys::turn(self.tenant.org(), turn.id, turn.turn);
                self.store.get(&key).await
            }
            None => Ok(None),
        }
    }

    /// Ends the open turn for the one that takes its place. Should this not come to pass, the new
    /// turn waits for the end of the open one, as if it were enqueued.
    async fn end_turn(
        &self,
        cause: &Cause,
        open: ExecutionId,
        failure: Failure,
    ) -> Result<(), Error> {
        let executions = self.store.executions(self.tenant);
        if let Some(open) = executions.get(open).await? {
            executions
                .end(cause, open, ExecutionState::Cancelled, failure)
                .await?;
        }
        Ok(())
    }

    /// Adds to the end of a turn that the next one begins, which is returned; the caller gives it
    /// a place.
    pub(crate) async fn add_end(
        &self,
        commit: Commit,
        turn: Turn,
        ended: &Execution,
    ) -> Result<(Commit, Option<Execution>), ReadError> {
        let Some(before) = self.get(turn.id).await? else {
            return Ok((commit, None));
        };
        let mut after = before.clone();
        after.version += 1;
        after.updated_at = self.store.now();
        if before.active != Some(ended.id) {
            // It ended before its turn came.
            after.waiting.retain(|waiting| *waiting != ended.id);
            if after.waiting == before.waiting {
                return Ok((commit, None));
            }
            return Ok((commit.replace(&after, before.version), None));
        }
        let executions = self.store.executions(self.tenant);
        let mut next = None;
        while next.is_none() && !after.waiting.is_empty() {
            let waiting = executions.get(after.waiting.remove(0)).await?;
            next = waiting.filter(|execution| !execution.state.is_terminal());
        }
        after.active = next.as_ref().map(|next| next.id);
        let next = next.filter(|next| next.state == ExecutionState::Queued);
        Ok((commit.replace(&after, before.version), next))
    }

    /// What was said before a turn, oldest first, at most [`TURNS_TOLD`]; turns that were rolled
    /// back are left out.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn before(&self, turn: Turn) -> Result<Vec<PastTurn>, ReadError> {
        let list = keys::turns(self.tenant.org(), turn.id);
        let page = PageRequest {
            limit: TURNS_TOLD,
            after: Some(kernel::cursor::Cursor::after(keys::turn_sort_key(
                turn.turn,
            ))),
        };
        let rows: Page<ConversationTurn> = self.store.page(&list, &page, Order::Descending).await?;
        let kept: BTreeMap<ExecutionId, u32> = rows
            .items
            .into_iter()
            .filter(|row| !row.rolled_back)
            .map(|row| (row.execution, row.turn))
            .collect();
        let ids: Vec<ExecutionId> = kept.keys().copied().collect();
        let executions = self.store.executions(self.tenant);
        let mut told = Vec::with_capacity(ids.len());
        for execution in executions.get_many(&ids).await? {
            if !execution.state.is_terminal() {
                continue;
            }
            let answer = match &execution.answer {
                Some(answer) => answer.clone(),
                None if execution.state == ExecutionState::Cancelled => said(
                    &executions
                        .stream_after(execution.id, 0, ENTRIES_READ)
                        .await?,
                ),
                None => String::new(),
            };
            told.push(PastTurn {
                turn: kept[&execution.id],
                input: execution.input,
                answer,
                state: execution.state,
            });
        }
        told.sort_by_key(|past| past.turn);
        Ok(told)
    }
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

impl TurnRefused {
    /// Whether the conversation was changed again and again meanwhile.
    #[must_use]
    pub fn is_contended(&self) -> bool {
        matches!(
            self,
            Self::Store(Error::Commit(CommitError::Changed { .. }))
        )
    }
}
