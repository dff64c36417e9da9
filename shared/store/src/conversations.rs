//! Conversations and their turns.
//!
//! A turn is an execution. One is open at a time; those that wait are queued without a place and
//! without a ring, and the end of the open one opens the next, in the same transaction. So is a
//! turn that takes the place of the open one: there is no moment at which both or neither is open.
//!
//! Every change of turns writes the conversation over the version that was read. Whoever opens a
//! turn writes its execution as well: one that is paused, resumed or cancelled in that moment is
//! read again by whoever comes second.

use std::collections::HashMap;

use domain::conversation::{Conversation, ConversationTurn, MAX_WAITING_TURNS, OnBusy};
use domain::event::EventKind;
use domain::execution::{Execution, ExecutionState, Failure, StreamEntry, StreamEntryKind, Turn};
use kernel::cursor::{Cursor, Page, PageRequest};
use kernel::{AgentId, ConversationId, ExecutionId};
use serde::{Deserialize, Serialize};
use serde_json::json;
use work::{Lane, NewJob};

use crate::executions::NewRun;
use crate::keys::{self, Key};
use crate::read::{MAX_PAGE_BYTES, Order};
use crate::record::Record;
use crate::{Cause, Commit, Error, ReadError, Store, Tenant, changes};

/// The kind of the job that removes what a deleted conversation has left.
pub const REMOVE_JOB: &str = "conversation.remove";
/// How many turns of a deleted conversation are removed at once.
const REMOVED_AT_ONCE: u32 = 50;
/// How much of a turn that was cut short is read, in the last entries of its stream.
const ENTRIES_READ: u32 = 500;
/// How often a turn is tried to be begun while others come first: many may begin at once.
const TRIES: u32 = 50;
/// The longest wait between two tries is some 20 ms, doubled so often.
const MAX_DOUBLINGS: u32 = 4;

/// What the job of a deleted conversation holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemovePayload {
    pub conversation: ConversationId,
}

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
    pub execution: ExecutionId,
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
        let executions = self.store.executions(self.tenant);
        let mut found: HashMap<ExecutionId, Execution> = executions
            .get_many(&ids)
            .await?
            .into_iter()
            .map(|execution| (execution.id, execution))
            .collect();
        let mut turns = Page {
            items: Vec::new(),
            next: rows.next,
        };
        let mut bytes = 0;
        for row in rows.items {
            let Some(execution) = found.remove(&row.execution) else {
                continue;
            };
            bytes += execution.input.len() + execution.answer.as_ref().map_or(0, String::len);
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
            history: Vec::new(),
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

    /// Deletes a conversation without turns that are open or wait. Its executions stay; a job removes
    /// the rows of its turns.
    ///
    /// # Errors
    /// [`Error::Commit`], as `Changed` if the conversation is no longer at `current`'s version.
    pub async fn delete(&self, cause: &Cause, current: &Conversation) -> Result<(), Error> {
        let kind = EventKind::ConversationDeleted;
        let data = json!({ "agent": current.agent });
        let event = self.store.event(self.tenant, cause, kind, current.id, data);
        let payload = json!({ "conversation": current.id });
        let job = NewJob::new(current.org, REMOVE_JOB, Lane::AgentBulk, payload)
            .correlation_id(&cause.correlation_id);
        let mut commit = Commit::new(self.tenant)
            .delete(current, current.version)
            .event(event);
        if current.turns > 0 {
            commit = commit.job(job);
        }
        Ok(self.store.commit(commit).await?)
    }

    /// Removes some turns of a conversation that was deleted. Says whether there may be more.
    ///
    /// # Errors
    /// [`Error`] if the store does not answer.
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
            let (commit, begun) = self.turn(cause, id, run, on_busy).await?;
            match self.store.commit(commit).await {
                Ok(()) => return Ok(begun),
                Err(error) if error.is_raced() && attempt < TRIES => {
                    attempt += 1;
                    let delay = crate::commit::conflict_delay(attempt.min(MAX_DOUBLINGS));
                    tokio::time::sleep(delay).await;
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
    ) -> Result<(Commit, Execution), TurnRefused> {
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
        let mut commit = Commit::new(self.tenant).create(&row);
        let policy = on_busy.unwrap_or(before.on_busy);
        match (self.open_turn(&before).await?, policy) {
            (None, _) => {
                after.active = Some(execution.id);
                commit = executions.add_run(commit, cause, &run).await?;
            }
            (Some(open), OnBusy::Reject) => return Err(TurnRefused::Busy(open.id)),
            (Some(_), OnBusy::Enqueue) => {
                if before.waiting.len() >= MAX_WAITING_TURNS {
                    return Err(TurnRefused::Full);
                }
                after.waiting.push(execution.id);
                commit = executions.add_queued(commit, cause, &run, false);
            }
            (Some(open), OnBusy::Interrupt) => {
                after.active = Some(execution.id);
                after.remember(open.id);
                let message = "A newer turn of the conversation took its place.";
                let failure = Failure::new("interrupted", message);
                commit = executions
                    .add_takeover(commit, cause, &open, &failure, &run)
                    .await?;
            }
            (Some(open), OnBusy::Rollback) => {
                after.active = Some(execution.id);
                commit = self.add_rollback(commit, &open).await?;
                let message = "A newer turn of the conversation took it back.";
                let failure = Failure::new("rolled_back", message);
                commit = executions
                    .add_takeover(commit, cause, &open, &failure, &run)
                    .await?;
            }
        }
        Ok((commit.replace(&after, before.version), execution))
    }

    /// The turn that is open, as it stands.
    async fn open_turn(&self, conversation: &Conversation) -> Result<Option<Execution>, ReadError> {
        let Some(active) = conversation.active else {
            return Ok(None);
        };
        let open = self.store.executions(self.tenant).get(active).await?;
        // Whoever ended it has changed the conversation since it was read, and what is made of it
        // will be refused.
        Ok(open.filter(|open| !open.state.is_terminal()))
    }

    async fn add_rollback(&self, commit: Commit, open: &Execution) -> Result<Commit, ReadError> {
        let Some(turn) = open.conversation else {
            return Ok(commit);
        };
        let key = keys::turn(self.tenant.org(), turn.id, turn.turn);
        Ok(match self.store.get::<ConversationTurn>(&key).await? {
            Some(row) => commit.put(&ConversationTurn {
                rolled_back: true,
                ..row
            }),
            None => commit,
        })
    }

    /// Whether a run may have a place: it is no turn, or the one that is open.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn is_open(&self, execution: &Execution) -> Result<bool, ReadError> {
        let Some(turn) = execution.conversation else {
            return Ok(true);
        };
        let conversation = self.get(turn.id).await?;
        Ok(conversation.is_none_or(|conversation| conversation.active == Some(execution.id)))
    }

    /// Adds to the end of a turn that the next one is open now. It is returned if it can go on; the
    /// caller gives it a place.
    pub(crate) async fn add_end(
        &self,
        mut commit: Commit,
        turn: Turn,
        ended: &Execution,
    ) -> Result<(Commit, Option<Execution>), ReadError> {
        let Some(before) = self.get(turn.id).await? else {
            return Ok((commit, None));
        };
        let now = self.store.now();
        let mut after = before.clone();
        after.version += 1;
        after.updated_at = now;
        if before.active != Some(ended.id) {
            // It ended before its turn came.
            after.waiting.retain(|waiting| *waiting != ended.id);
            if after.waiting == before.waiting {
                return Ok((commit, None));
            }
            return Ok((commit.replace(&after, before.version), None));
        }
        after.remember(ended.id);
        let executions = self.store.executions(self.tenant);
        let mut next = None;
        while next.is_none() && !after.waiting.is_empty() {
            let waiting = executions.get(after.waiting.remove(0)).await?;
            next = waiting.filter(|execution| !execution.state.is_terminal());
        }
        after.active = next.as_ref().map(|next| next.id);
        if let Some(next) = next.as_mut() {
            let was = next.version;
            next.version += 1;
            next.updated_at = now;
            commit = commit.replace(next, was);
        }
        // One that was paused meanwhile is open, and goes on when it is resumed.
        let next = next.filter(|next| next.state == ExecutionState::Queued);
        Ok((commit.replace(&after, before.version), next))
    }

    /// What was said before the turn that is open, in the order in which the turns were open.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn before(&self, turn: Turn) -> Result<Vec<PastTurn>, ReadError> {
        let Some(conversation) = self.get(turn.id).await? else {
            return Ok(Vec::new());
        };
        let executions = self.store.executions(self.tenant);
        let mut told = Vec::with_capacity(conversation.history.len());
        for execution in executions.get_many(&conversation.history).await? {
            let answer = match &execution.answer {
                Some(answer) => answer.clone(),
                None if execution.state == ExecutionState::Cancelled => {
                    let after = execution
                        .last_sequence
                        .saturating_sub(u64::from(ENTRIES_READ));
                    said(
                        &executions
                            .stream_after(execution.id, after, ENTRIES_READ)
                            .await?,
                    )
                }
                None => String::new(),
            };
            let position = conversation
                .history
                .iter()
                .position(|id| *id == execution.id);
            let past = PastTurn {
                execution: execution.id,
                input: execution.input,
                answer,
                state: execution.state,
            };
            told.push((position, past));
        }
        told.sort_by_key(|(position, _)| *position);
        Ok(told.into_iter().map(|(_, past)| past).collect())
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
