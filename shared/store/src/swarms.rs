//! Swarms and the logs of what their agents tell each other.
//!
//! The messages of one run of a swarm are numbered by the stream of its coordinator's execution: a
//! message takes the sequence of the entry that tells of it, in the same transaction. An entry is
//! only ever written after the one before it was seen, so a reader who has seen a message has missed
//! none with a lower number, whoever wrote them at the same moment.

use domain::event::EventKind;
use domain::execution::{Execution, StreamEntryKind};
use domain::swarm::{MAX_POSTED, Swarm, SwarmMessage, SwarmSpec};
use kernel::cursor::{Cursor, Page, PageRequest};
use kernel::{AgentId, ExecutionId, MessageId, OrgId, SwarmId};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::executions::{OfOrg, Race};
use crate::keys::{self, IndexKeys, Key};
use crate::read::Order;
use crate::record::Record;
use crate::{Cause, Commit, Error, ReadError, Store, Tenant, changes};

impl Record for Swarm {
    const NOUN: &'static str = "swarm";

    fn key(&self) -> Key {
        keys::swarm(self.org, self.id)
    }

    fn version(&self) -> u64 {
        self.version
    }
}

impl Record for SwarmMessage {
    const NOUN: &'static str = "message";

    fn key(&self) -> Key {
        keys::swarm_message(self.org, self.swarm, self.execution, self.sequence)
    }

    fn indexes(&self) -> IndexKeys {
        keys::swarm_message_indexes(self.org, self.swarm, self.id)
    }
}

/// How many messages people have posted into one run of a swarm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Posted {
    org: OrgId,
    swarm: SwarmId,
    execution: ExecutionId,
    /// The count: it rises by one with every message.
    version: u64,
}

impl Record for Posted {
    const NOUN: &'static str = "count of messages";

    fn key(&self) -> Key {
        keys::swarm_posted(self.org, self.swarm, self.execution)
    }

    fn version(&self) -> u64 {
        self.version
    }
}

/// Why nobody is told.
#[derive(Debug, thiserror::Error)]
pub enum PostError {
    /// The run has ended: nobody reads on.
    #[error("the run has ended")]
    Ended,
    /// People have posted [`MAX_POSTED`] messages into the run.
    #[error("{MAX_POSTED} messages were posted")]
    TooMany,
    #[error(transparent)]
    Store(#[from] Error),
}

impl From<ReadError> for PostError {
    fn from(error: ReadError) -> Self {
        Self::Store(error.into())
    }
}

/// The swarms of one org.
#[derive(Debug, Clone, Copy)]
pub struct Swarms<'a> {
    store: &'a Store,
    tenant: Tenant,
}

impl Store {
    /// The swarms of an org.
    #[must_use]
    pub fn swarms(&self, tenant: Tenant) -> Swarms<'_> {
        Swarms {
            store: self,
            tenant,
        }
    }
}

impl Swarms<'_> {
    /// The swarm with this id.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn get(&self, id: SwarmId) -> Result<Option<Swarm>, ReadError> {
        self.store.get(&keys::swarm(self.tenant.org(), id)).await
    }

    /// Swarms, newest first.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn page(&self, page: &PageRequest) -> Result<Page<Swarm>, ReadError> {
        let list = keys::swarms(self.tenant.org());
        self.store.page(&list, page, Order::Descending).await
    }

    /// Creates a swarm.
    ///
    /// # Errors
    /// [`Error::Commit`] if the store does not take it.
    pub async fn create(&self, cause: &Cause, spec: SwarmSpec) -> Result<Swarm, Error> {
        let now = self.store.now();
        let swarm = Swarm {
            id: SwarmId::generate(now),
            org: self.tenant.org(),
            spec,
            version: 1,
            created_at: now,
            updated_at: now,
        };
        let data = json!({ "name": swarm.spec.name, "coordinator": swarm.spec.coordinator });
        let kind = EventKind::SwarmCreated;
        let event = self.store.event(self.tenant, cause, kind, swarm.id, data);
        let commit = Commit::new(self.tenant).create(&swarm).event(event);
        self.store.commit(commit).await?;
        Ok(swarm)
    }

    /// Gives a swarm a new specification. Runs that are under way go by it from their next step on.
    ///
    /// # Errors
    /// [`Error::Commit`], as `Changed` if the swarm is no longer at `current`'s version.
    pub async fn update(
        &self,
        cause: &Cause,
        current: &Swarm,
        spec: SwarmSpec,
    ) -> Result<Swarm, Error> {
        let swarm = Swarm {
            spec,
            version: current.version + 1,
            updated_at: self.store.now(),
            ..current.clone()
        };
        let data = changes(current, &swarm);
        let kind = EventKind::SwarmUpdated;
        let event = self.store.event(self.tenant, cause, kind, swarm.id, data);
        let commit = Commit::new(self.tenant)
            .replace(&swarm, current.version)
            .event(event);
        self.store.commit(commit).await?;
        Ok(swarm)
    }

    /// Deletes a swarm. Runs that are under way fail at their next step; their messages stay.
    ///
    /// # Errors
    /// [`Error::Commit`], as `Changed` if the swarm is no longer at `current`'s version.
    pub async fn delete(&self, cause: &Cause, current: &Swarm) -> Result<(), Error> {
        let data = json!({ "name": current.spec.name });
        let kind = EventKind::SwarmDeleted;
        let event = self.store.event(self.tenant, cause, kind, current.id, data);
        let commit = Commit::new(self.tenant)
            .delete(current, current.version)
            .event(event);
        Ok(self.store.commit(commit).await?)
    }

    /// The messages of one run of a swarm in their order, or of all its runs by age. Of all, those of
    /// the last moments may be missing.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn messages(
        &self,
        swarm: SwarmId,
        root: Option<ExecutionId>,
        page: &PageRequest,
    ) -> Result<Page<SwarmMessage>, ReadError> {
        let org = self.tenant.org();
        let list = root.map_or_else(
            || keys::swarm_messages(org, swarm),
            |root| keys::swarm_messages_of_run(org, swarm, root),
        );
        self.store.page(&list, page, Order::Ascending).await
    }

    /// The last messages of one run of a swarm, newest first, at most `limit`: up to the one with
    /// sequence `through`, if that is given.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn last_messages(
        &self,
        swarm: SwarmId,
        root: ExecutionId,
        through: Option<u64>,
        limit: u32,
    ) -> Result<Vec<SwarmMessage>, ReadError> {
        let list = keys::swarm_messages_of_run(self.tenant.org(), swarm, root);
        let before = through.map(|through| keys::swarm_message_sort_key(through + 1));
        let page = PageRequest {
            limit,
            after: before.map(Cursor::after),
        };
        let found = self.store.page(&list, &page, Order::Descending).await?;
        Ok(found.items)
    }

    /// Tells the agents of one run of a swarm something, for a person.
    ///
    /// # Errors
    /// [`PostError`]; [`Error::Commit`], as `Exists` if others wrote to the run's stream all the
    /// while.
    pub async fn post(
        &self,
        cause: &Cause,
        swarm: &Swarm,
        root: ExecutionId,
        to: Option<AgentId>,
        text: String,
    ) -> Result<SwarmMessage, PostError> {
        let executions = self.store.executions(self.tenant);
        let now = self.store.now();
        let mut message = SwarmMessage {
            id: MessageId::generate(now),
            org: self.tenant.org(),
            swarm: swarm.id,
            execution: root,
            sequence: 0,
            from: cause.actor,
            to,
            text,
            at: now,
        };
        let mut race = Race::default();
        let Some(mut run) = executions.get(root).await? else {
            return Err(PostError::Ended);
        };
        // Runs that this one called write to its stream without touching its row.
        run.last_sequence = executions.last_sequence(root).await?;
        loop {
            if run.state.is_terminal() {
                return Err(PostError::Ended);
            }
            let version = run.version;
            let commit = Commit::new(self.tenant).unless_changed(&run, version);
            let commit = self.add_posted(commit, swarm.id, root).await?;
            let commit = self.add_message(commit, cause, &mut run, &mut message);
            match self.store.commit(commit).await {
                Ok(()) => return Ok(message),
                Err(error) => run = executions.after(&mut race, error, root).await?,
            }
        }
    }

    /// Counts a message of a person.
    async fn add_posted(
        &self,
        commit: Commit,
        swarm: SwarmId,
        execution: ExecutionId,
    ) -> Result<Commit, PostError> {
        let org = self.tenant.org();
        let key = keys::swarm_posted(org, swarm, execution);
        let before = self.store.get::<Posted>(&key).await?;
        let before = before.map_or(0, |posted| posted.version);
        if before >= MAX_POSTED {
            return Err(PostError::TooMany);
        }
        let posted = Posted {
            org,
            swarm,
            execution,
            version: before + 1,
        };
        Ok(match before {
            0 => commit.create(&posted),
            _ => commit.replace(&posted, before),
        })
    }

    /// What was told under this sequence in one run of a swarm.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn message(
        &self,
        swarm: SwarmId,
        root: ExecutionId,
        sequence: u64,
    ) -> Result<Option<SwarmMessage>, ReadError> {
        let org = self.tenant.org();
        self.store
            .get(&keys::swarm_message(org, swarm, root, sequence))
            .await
    }

    /// Adds a message to a change, with the entry that tells of it in the stream of the
    /// coordinator's run, which has then counted it, and with its event.
    pub fn add_message(
        &self,
        commit: Commit,
        cause: &Cause,
        root: &mut Execution,
        message: &mut SwarmMessage,
    ) -> Commit {
        let value = json!({ "name": "swarm_message", "value": message.told() });
        let row = root.next_stream_entry(StreamEntryKind::Custom, value, self.store.now());
        message.sequence = row.sequence;
        let data = json!({
            "message": message.id, "execution": message.execution,
            "sequence": message.sequence, "to": message.to,
        });
        let kind = EventKind::SwarmMessagePosted;
        let event = self
            .store
            .event(self.tenant, cause, kind, message.swarm, data);
        let org = message.org;
        commit
            .create(&OfOrg { org, row })
            .create(&*message)
            .event(event)
    }
}
