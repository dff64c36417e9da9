//! Turns of a conversation.
//!
//! A turn is an execution. One is open at a time; those that wait are queued without a place and
//! without a ring, and the end of the open one opens the next, in the same transaction. So is a
//! turn that takes the place of the open one: there is no moment at which both or neither is open.
//!
//! A turn finds its place among the others when it is opened: it follows the turn that is current
//! then, or what the turn followed that it revises.
//!
//! Every change of turns writes the conversation over the version that was read. Whoever opens a
//! turn writes its execution as well: one that is paused, resumed or cancelled in that moment is
//! read again by whoever comes second.

use std::collections::BTreeMap;

use domain::conversation::{
    Conversation, ConversationTurn, MAX_BRANCHES, MAX_WAITING_TURNS, OnBusy, Place, title_of,
};
use domain::execution::{Execution, ExecutionState, Failure, Turn};
use domain::viewer::Viewer;
use kernel::{ConversationId, ExecutionId};

use super::Conversations;
use crate::executions::NewRun;
use crate::keys;
use crate::{Cause, Commit, Error, ReadError};

/// How often a turn is tried to be begun while others come first: many may begin at once.
const TRIES: u32 = 50;
/// The longest wait between two tries is some 20 ms, doubled so often.
const MAX_DOUBLINGS: u32 = 4;

/// A turn that is about to be begun.
#[derive(Debug, Clone)]
pub struct NewTurn<'a> {
    pub run: &'a NewRun,
    /// Who begins it.
    pub viewer: Viewer,
    /// What it does while another is open; as the conversation says, if absent.
    pub on_busy: Option<OnBusy>,
    /// The turn beside which it stands, if it is not to follow the current one.
    pub revises: Option<u32>,
}

/// Why a turn was not begun.
#[derive(Debug, thiserror::Error)]
pub enum TurnRefused {
    /// There is no such conversation, or none that may be seen.
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
    /// What is to be revised is no turn that was ever open, or was taken back.
    #[error("there is no such turn in the conversation, or its time never came")]
    NoSuchTurn,
    /// Too many turns follow one turn already.
    #[error("{MAX_BRANCHES} turns follow the same turn already")]
    TooManyBranches,
    #[error(transparent)]
    Store(#[from] Error),
}

impl From<ReadError> for TurnRefused {
    fn from(error: ReadError) -> Self {
        Self::Store(error.into())
    }
}

/// Turns of one conversation that are about to be written anew.
struct Rows<'a> {
    conversations: Conversations<'a>,
    id: ConversationId,
    changed: BTreeMap<u32, ConversationTurn>,
}

impl<'a> Rows<'a> {
    fn new(conversations: Conversations<'a>, id: ConversationId) -> Self {
        Self {
            conversations,
            id,
            changed: BTreeMap::new(),
        }
    }

    async fn edit(&mut self, turn: u32) -> Result<Option<&mut ConversationTurn>, ReadError> {
        if !self.changed.contains_key(&turn) {
            let found = self.conversations.turn(self.id, turn).await?;
            self.changed.extend(found.map(|row| (turn, row)));
        }
        Ok(self.changed.get_mut(&turn))
    }

    fn add_to(self, commit: Commit) -> Commit {
        self.changed.values().fold(commit, Commit::put)
    }
}

impl<'a> Conversations<'a> {
    /// A turn by its number.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn turn(
        &self,
        id: ConversationId,
        turn: u32,
    ) -> Result<Option<ConversationTurn>, ReadError> {
        let key = keys::turn(self.tenant.org(), id, turn);
        self.store.get(&key).await
    }

    /// Begins a conversation with its first turn.
    ///
    /// # Errors
    /// [`Error::Commit`] if the store does not take it.
    pub async fn begin(
        &self,
        cause: &Cause,
        run: &NewRun,
        on_busy: OnBusy,
    ) -> Result<Execution, Error> {
        let title = title_of(&run.execution().input);
        let agent = run.execution().agent;
        let mut new = self.new_conversation(cause, agent, title, on_busy);
        new.turns = 1;
        let turn = Turn {
            id: new.id,
            turn: new.turns,
        };
        let run = run.clone().in_conversation(turn, new.begun_by);
        let mut row = self.row(turn, &run, None);
        let place = new.next_place();
        new.first.push(row.turn);
        new.open(row.turn, row.execution, &place);
        row.place = Some(place);
        self.store
            .executions(self.tenant)
            .queue_with(cause, &run, || {
                let commit = Commit::new(self.tenant).create(&row);
                self.add_created(commit, cause, &new)
            })
            .await?;
        Ok(run.execution().clone())
    }

    /// Begins a turn, or queues it, as `on_busy` says, or the conversation's own policy.
    ///
    /// # Errors
    /// [`TurnRefused`] says why there is no new turn.
    pub async fn begin_turn(
        &self,
        cause: &Cause,
        id: ConversationId,
        new: &NewTurn<'_>,
    ) -> Result<Execution, TurnRefused> {
        let mut attempt = 0;
        loop {
            let (commit, begun) = self.next_turn(cause, id, new).await?;
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

    async fn next_turn(
        &self,
        cause: &Cause,
        id: ConversationId,
        new: &NewTurn<'_>,
    ) -> Result<(Commit, Execution), TurnRefused> {
        let before = self
            .get(id)
            .await?
            .filter(|conversation| new.viewer.sees(conversation.begun_by))
            .ok_or(TurnRefused::Missing)?;
        if before.agent != new.run.execution().agent {
            return Err(TurnRefused::OtherAgent);
        }
        let mut after = before.clone();
        after.turns += 1;
        after.version += 1;
        after.updated_at = self.store.now();
        if before.turns == 0 && before.title.is_empty() {
            after.title = title_of(&new.run.execution().input);
        }
        let turn = Turn {
            id,
            turn: after.turns,
        };
        let run = new.run.clone().in_conversation(turn, before.begun_by);
        let execution = run.execution().clone();
        let mut row = self.row(turn, &run, new.revises);
        let mut rows = Rows::new(*self, id);
        let beside = self.beside(&before, new.revises).await?;
        let executions = self.store.executions(self.tenant);
        let mut commit = Commit::new(self.tenant);
        let policy = new.on_busy.unwrap_or(before.on_busy);
        match (self.open_turn(&before).await?, policy) {
            (None, _) => {
                place(&mut after, &mut rows, &mut row, beside).await?;
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
                after.remember(open.id);
                place(&mut after, &mut rows, &mut row, beside).await?;
                let message = "A newer turn of the conversation took its place.";
                let failure = Failure::new("interrupted", message);
                commit = executions
                    .add_takeover(commit, cause, &open, &failure, &run)
                    .await?;
            }
            (Some(open), OnBusy::Rollback) => {
                take_back(&mut after, &mut rows, &open).await?;
                place(&mut after, &mut rows, &mut row, beside).await?;
                let message = "A newer turn of the conversation took it back.";
                let failure = Failure::new("rolled_back", message);
                commit = executions
                    .add_takeover(commit, cause, &open, &failure, &run)
                    .await?;
            }
        }
        let commit = rows.add_to(commit.create(&row));
        Ok((commit.replace(&after, before.version), execution))
    }

    fn row(&self, turn: Turn, run: &NewRun, revises: Option<u32>) -> ConversationTurn {
        ConversationTurn {
            org: self.tenant.org(),
            conversation: turn.id,
            turn: turn.turn,
            execution: run.execution().id,
            rolled_back: false,
            revises,
            place: None,
            next: Vec::new(),
            created_at: self.store.now(),
        }
    }

    /// The place of the turn that is revised, for one that is to stand beside it.
    async fn beside(
        &self,
        conversation: &Conversation,
        revises: Option<u32>,
    ) -> Result<Option<Place>, TurnRefused> {
        let Some(revised) = revises else {
            return Ok(None);
        };
        let place = self
            .turn(conversation.id, revised)
            .await?
            .filter(|row| !row.rolled_back)
            .and_then(|row| row.place)
            .ok_or(TurnRefused::NoSuchTurn)?;
        let branches = match place.after {
            None => conversation.first.len(),
            Some(after) => {
                let row = self.turn(conversation.id, after).await?;
                row.map_or(0, |row| row.next.len())
            }
        };
        if branches >= MAX_BRANCHES {
            return Err(TurnRefused::TooManyBranches);
        }
        Ok(Some(place))
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
        after.active = None;
        after.remember(ended.id);
        let executions = self.store.executions(self.tenant);
        let mut next = None;
        while next.is_none() && !after.waiting.is_empty() {
            let waiting = executions.get(after.waiting.remove(0)).await?;
            next = waiting.filter(|execution| !execution.state.is_terminal());
        }
        if let Some(next) = next.as_mut() {
            commit = self.add_opened(commit, &mut after, next).await?;
            let was = next.version;
            next.version += 1;
            next.updated_at = now;
            commit = commit.replace(next, was);
        }
        // One that was paused meanwhile is open, and goes on when it is resumed.
        let next = next.filter(|next| next.state == ExecutionState::Queued);
        Ok((commit.replace(&after, before.version), next))
    }

    /// Adds to a change that a turn which has waited is open now.
    async fn add_opened(
        &self,
        commit: Commit,
        conversation: &mut Conversation,
        execution: &Execution,
    ) -> Result<Commit, ReadError> {
        conversation.active = Some(execution.id);
        let Some(turn) = execution.conversation else {
            return Ok(commit);
        };
        let mut rows = Rows::new(*self, turn.id);
        let Some(mut row) = self.turn(turn.id, turn.turn).await? else {
            return Ok(commit);
        };
        let revised = match row.revises {
            Some(revised) => self.turn(turn.id, revised).await?,
            None => None,
        };
        let beside = revised.and_then(|revised| revised.place);
        place(conversation, &mut rows, &mut row, beside).await?;
        Ok(rows.add_to(commit.put(&row)))
    }
}

/// Opens a turn at its place: the one that is given, or the end of the current branch.
async fn place(
    conversation: &mut Conversation,
    rows: &mut Rows<'_>,
    row: &mut ConversationTurn,
    beside: Option<Place>,
) -> Result<(), ReadError> {
    let place = beside.unwrap_or_else(|| conversation.next_place());
    match place.after {
        None => conversation.first.push(row.turn),
        Some(after) => {
            if let Some(before) = rows.edit(after).await? {
                before.next.push(row.turn);
            }
        }
    }
    conversation.open(row.turn, row.execution, &place);
    row.place = Some(place);
    Ok(())
}

/// Takes the open turn out of its conversation again.
async fn take_back(
    conversation: &mut Conversation,
    rows: &mut Rows<'_>,
    open: &Execution,
) -> Result<(), ReadError> {
    let Some(turn) = open.conversation else {
        return Ok(());
    };
    let Some(row) = rows.edit(turn.turn).await? else {
        return Ok(());
    };
    row.rolled_back = true;
    let Some(place) = row.place.clone() else {
        return Ok(());
    };
    match place.after {
        None => conversation.first.retain(|first| *first != turn.turn),
        Some(after) => {
            if let Some(before) = rows.edit(after).await? {
                before.next.retain(|next| *next != turn.turn);
            }
        }
    }
    conversation.take_back(&place);
    Ok(())
}
