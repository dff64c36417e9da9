//! Conversations: what they are here, their turns in [`turns`], what was said in [`history`].

use domain::conversation::{Conversation, ConversationTurn, OnBusy, Place};
use domain::event::{Actor, EventKind};
use domain::viewer::Viewer;
use kernel::cursor::{Page, PageRequest};
use kernel::{AgentId, ConversationId};
use serde::{Deserialize, Serialize};
use serde_json::json;
use work::{Lane, NewJob};

use crate::keys::{self, IndexKeys, Key};
use crate::read::Order;
use crate::record::Record;
use crate::{Cause, Commit, Error, ReadError, Store, Tenant, changes};

mod history;
mod turns;

pub use history::{Past, PastTurn, TurnInBranch};
pub use turns::{NewTurn, TurnRefused};

/// The kind of the job that removes what a deleted conversation has left.
pub const REMOVE_JOB: &str = "conversation.remove";

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

    fn indexes(&self) -> IndexKeys {
        self.begun_by.map_or_else(IndexKeys::default, |actor| {
            keys::conversation_indexes(self.org, self.id, actor, self.agent)
        })
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

/// What is changed of a conversation; what is absent stays as it is.
#[derive(Debug, Clone, Default)]
pub struct ConversationChanges {
    pub title: Option<String>,
    pub on_busy: Option<OnBusy>,
    /// The turn that the next one is to follow.
    pub leaf: Option<(ConversationTurn, Place)>,
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

    /// Conversations that somebody may see, newest first. Those of one person may lag behind by
    /// moments.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn page(
        &self,
        viewer: Viewer,
        page: &PageRequest,
    ) -> Result<Page<Conversation>, ReadError> {
        let org = self.tenant.org();
        let list = match viewer {
            Viewer::Everything => keys::conversations(org),
            Viewer::Own(actor) => keys::conversations_of(org, actor),
        };
        self.store.page(&list, page, Order::Descending).await
    }

    /// The newest conversation that somebody has begun with an agent. May lag behind by moments.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn newest_with(
        &self,
        actor: Actor,
        agent: AgentId,
    ) -> Result<Option<Conversation>, ReadError> {
        let list = keys::conversations_with(self.tenant.org(), actor, agent);
        let newest = PageRequest::first(1);
        let page: Page<Conversation> = self.store.page(&list, &newest, Order::Descending).await?;
        Ok(page.items.into_iter().next())
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
        let new = self.new_conversation(cause, agent, title, on_busy);
        let commit = self.add_created(Commit::new(self.tenant), cause, &new);
        self.store.commit(commit).await?;
        Ok(new)
    }

    fn new_conversation(
        &self,
        cause: &Cause,
        agent: AgentId,
        title: String,
        on_busy: OnBusy,
    ) -> Conversation {
        let now = self.store.now();
        Conversation {
            id: ConversationId::generate(now),
            org: self.tenant.org(),
            agent,
            begun_by: Some(cause.actor),
            title,
            on_busy,
            active: None,
            waiting: Vec::new(),
            leaf: None,
            depth: 0,
            first: Vec::new(),
            history: Vec::new(),
            turns: 0,
            created_at: now,
            updated_at: now,
            version: 1,
        }
    }

    fn add_created(&self, commit: Commit, cause: &Cause, new: &Conversation) -> Commit {
        let data = json!({ "agent": new.agent });
        let kind = EventKind::ConversationCreated;
        let event = self.store.event(self.tenant, cause, kind, new.id, data);
        commit.create(new).event(event)
    }

    /// Changes title and policy, or goes to another turn.
    ///
    /// # Errors
    /// [`Error::Commit`], as `Changed` if the conversation is no longer at `current`'s version.
    pub async fn update(
        &self,
        cause: &Cause,
        current: &Conversation,
        to: ConversationChanges,
    ) -> Result<Conversation, Error> {
        let mut updated = current.clone();
        updated.version += 1;
        updated.updated_at = self.store.now();
        updated.title = to.title.unwrap_or(updated.title);
        updated.on_busy = to.on_busy.unwrap_or(updated.on_busy);
        if let Some((turn, place)) = &to.leaf {
            updated.go_to(turn.turn, turn.execution, place);
        }
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
}
