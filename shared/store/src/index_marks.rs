//! What the text index of an org has yet to take in. The event router marks what an event touched;
//! the job that writes the index takes the marks, looks at what stands, and clears those that are
//! still as it found them.

use std::fmt;
use std::str::FromStr;

use domain::event::{Event, EventKind};
use kernel::cursor::PageRequest;
use kernel::{
    AgentId, ConversationId, ExecutionId, FileId, KnowledgeBaseId, OrgId, SwarmId, TaskId,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use work::Fence;

use crate::keys::{self, Key};
use crate::read::Order;
use crate::record::Record;
use crate::text_index::TextIndexes;
use crate::{Commit, CommitError, Error, ReadError};

/// How many marks one transaction writes or clears.
const AT_ONCE: usize = 90;
/// How much of an event's id a mark keeps: as much as every reader of JSON takes for a number.
const MARK_BITS: u128 = (1 << 53) - 1;

/// Something whose place in the text index may no longer be what stands in the tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mark {
    /// An agent.
    Agent(AgentId),
    /// A task.
    Task(TaskId),
    /// A run, and the messages that it is of a conversation.
    Execution(ExecutionId),
    /// A document of a knowledge base, with its chunks.
    Document { base: KnowledgeBaseId, file: FileId },
    /// Every document of a file.
    File(FileId),
    /// Every message of a conversation.
    Conversation(ConversationId),
    /// Every message of a swarm.
    Swarm(SwarmId),
    /// A message in a run of a swarm.
    SwarmMessage {
        swarm: SwarmId,
        root: ExecutionId,
        sequence: u64,
    },
    /// Whether the org is there at all.
    Org,
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Agent(id) => write!(f, "agent/{id}"),
            Self::Task(id) => write!(f, "task/{id}"),
            Self::Execution(id) => write!(f, "execution/{id}"),
            Self::Document { base, file } => write!(f, "document/{base}/{file}"),
            Self::File(id) => write!(f, "file/{id}"),
            Self::Conversation(id) => write!(f, "conversation/{id}"),
            Self::Swarm(id) => write!(f, "swarm/{id}"),
            Self::SwarmMessage {
                swarm,
                root,
                sequence,
            } => write!(f, "message/{swarm}/{root}/{sequence}"),
            Self::Org => f.write_str("org"),
        }
    }
}

/// A text that is no mark.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` does not name anything that is indexed")]
pub struct UnknownMark(String);

impl FromStr for Mark {
    type Err = UnknownMark;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        fn id<T: FromStr>(text: &str) -> Option<T> {
            text.parse().ok()
        }
        let parts: Vec<&str> = text.split('/').collect();
        let mark =
            match parts[..] {
                ["agent", agent] => id(agent).map(Self::Agent),
                ["task", task] => id(task).map(Self::Task),
                ["execution", execution] => id(execution).map(Self::Execution),
                ["document", base, file] => id(base)
                    .zip(id(file))
                    .map(|(base, file)| Self::Document { base, file }),
                ["file", file] => id(file).map(Self::File),
                ["conversation", conversation] => id(conversation).map(Self::Conversation),
                ["swarm", swarm] => id(swarm).map(Self::Swarm),
                ["message", swarm, root, sequence] => id(swarm)
                    .zip(id(root))
                    .zip(id(sequence))
                    .map(|((swarm, root), sequence)| Self::SwarmMessage {
                        swarm,
                        root,
                        sequence,
                    }),
                ["org"] => Some(Self::Org),
                _ => None,
            };
        mark.ok_or_else(|| UnknownMark(text.to_owned()))
    }
}

/// What an event touched, if that is in the index.
#[must_use]
pub fn mark_of(event: &Event) -> Option<Mark> {
    use EventKind as Kind;
    fn parsed<T: FromStr>(text: &str) -> Option<T> {
        text.parse().ok()
    }
    let fact = |name: &str| event.data.get(name);
    match event.kind {
        Kind::AgentCreated | Kind::AgentUpdated | Kind::AgentDeleted => {
            parsed(&event.subject).map(Mark::Agent)
        }
        Kind::TaskCreated
        | Kind::TaskUpdated
        | Kind::TaskAssigned
        | Kind::TaskStatusChanged
        | Kind::TaskDeleted => parsed(&event.subject).map(Mark::Task),
        Kind::ExecutionQueued
        | Kind::ExecutionStarted
        | Kind::ExecutionPaused
        | Kind::ExecutionResumed
        | Kind::ExecutionAwaitingInput
        | Kind::ExecutionAwaitingAuth
        | Kind::ExecutionOverBudget
        | Kind::ExecutionCompleted
        | Kind::ExecutionFailed
        | Kind::ExecutionCancelled
        | Kind::ExecutionExpired
        | Kind::ExecutionHandedOff => parsed(&event.subject).map(Mark::Execution),
        Kind::DocumentAdded
        | Kind::DocumentIndexed
        | Kind::DocumentFailed
        | Kind::DocumentRemoved => {
            let base = decoded(fact("knowledge_base"))?;
            let file = parsed(&event.subject)?;
            Some(Mark::Document { base, file })
        }
        Kind::FileProcessed
        | Kind::FileFailed
        | Kind::FileDeleted
        | Kind::FileRestored
        | Kind::FileRolledBack => parsed(&event.subject).map(Mark::File),
        Kind::ConversationUpdated | Kind::ConversationDeleted => {
            parsed(&event.subject).map(Mark::Conversation)
        }
        Kind::SwarmMessagePosted => Some(Mark::SwarmMessage {
            swarm: parsed(&event.subject)?,
            root: decoded(fact("execution"))?,
            sequence: decoded(fact("sequence"))?,
        }),
        Kind::SwarmDeleted => parsed(&event.subject).map(Mark::Swarm),
        Kind::OrgDeleted => Some(Mark::Org),
        _ => None,
    }
}

fn decoded<T: DeserializeOwned>(fact: Option<&serde_json::Value>) -> Option<T> {
    T::deserialize(fact?).ok()
}

/// A mark as it was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexMark {
    org: OrgId,
    item: String,
    /// Told apart from an earlier mark of the same: which event made it.
    version: u64,
}

impl IndexMark {
    /// What is marked.
    ///
    /// # Errors
    /// [`UnknownMark`], where a newer version of the product made it.
    pub fn mark(&self) -> Result<Mark, UnknownMark> {
        self.item.parse()
    }
}

impl Record for IndexMark {
    const NOUN: &'static str = "index mark";

    fn key(&self) -> Key {
        keys::index_mark(self.org, &self.item)
    }

    fn version(&self) -> u64 {
        self.version
    }
}

impl TextIndexes<'_> {
    /// Marks what events of this org touched, and wakes the job that takes it in. To mark again
    /// what was marked costs that job a look and changes nothing.
    ///
    /// # Errors
    /// [`Error`] if the store does not answer.
    pub async fn mark(&self, events: &[Event]) -> Result<(), Error> {
        let mut marks: Vec<IndexMark> = Vec::new();
        for event in events.iter().filter(|event| event.org == self.tenant.org()) {
            let Some(mark) = mark_of(event) else { continue };
            let item = mark.to_string();
            marks.retain(|known| known.item != item);
            // The random part of the event's id: two events of one moment are told apart.
            let version = u64::try_from(event.id.as_u128() & MARK_BITS).unwrap_or(0);
            marks.push(IndexMark {
                org: event.org,
                item,
                version,
            });
        }
        if marks.is_empty() {
            return Ok(());
        }
        for some in marks.chunks(AT_ONCE) {
            let commit = some.iter().fold(Commit::new(self.tenant), Commit::put);
            self.store.commit(commit).await?;
        }
        // After the marks: an attempt that this does not wake has yet to look at them.
        self.wake().await
    }

    /// What is marked, at most `limit`.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn marks(&self, limit: u32) -> Result<Vec<IndexMark>, ReadError> {
        let list = keys::index_marks(self.tenant.org());
        let page = PageRequest::first(limit);
        let found = self.store.page(&list, &page, Order::Ascending).await?;
        Ok(found.items)
    }

    /// Clears marks that were served. One that was made again meanwhile stays.
    ///
    /// # Errors
    /// [`Error::Commit`], as `FenceLost` if the attempt no longer holds its job.
    pub async fn clear(&self, fence: Fence, marks: &[IndexMark]) -> Result<(), Error> {
        let mut parts: Vec<&[IndexMark]> = marks.chunks(AT_ONCE).collect();
        while let Some(part) = parts.pop() {
            let commit = Commit::new(self.tenant).fenced_by(fence);
            let commit = part
                .iter()
                .fold(commit, |commit, mark| commit.delete(mark, mark.version));
            match self.store.commit(commit).await {
                Ok(()) => {}
                // One of them was made again, or cleared by an attempt whose reply was lost.
                Err(CommitError::Changed { .. }) if part.len() > 1 => {
                    let (left, right) = part.split_at(part.len() / 2);
                    parts.extend([left, right]);
                }
                Err(CommitError::Changed { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use domain::event::Actor;
    use kernel::{EventId, Timestamp};
    use serde_json::json;

    use super::*;

    #[test]
    fn a_mark_reads_back_as_it_was_written() {
        let marks = [
            Mark::Agent(AgentId::from_u128(1)),
            Mark::Task(TaskId::from_u128(2)),
            Mark::Execution(ExecutionId::from_u128(3)),
            Mark::Document {
                base: KnowledgeBaseId::from_u128(4),
                file: FileId::from_u128(5),
            },
            Mark::File(FileId::from_u128(5)),
            Mark::Conversation(ConversationId::from_u128(6)),
            Mark::Swarm(SwarmId::from_u128(7)),
            Mark::SwarmMessage {
                swarm: SwarmId::from_u128(7),
                root: ExecutionId::from_u128(8),
                sequence: 9,
            },
            Mark::Org,
        ];
        for mark in marks {
            assert_eq!(mark.to_string().parse::<Mark>().unwrap(), mark);
        }
        for text in [
            "",
            "agent",
            "agent/tsk_1",
            "document/kb_x",
            "org/1",
            "node/x",
        ] {
            assert!(text.parse::<Mark>().is_err(), "{text}");
        }
    }

    fn event(kind: EventKind, subject: &str, data: serde_json::Value) -> Event {
        Event {
            id: EventId::from_u128(1),
            org: OrgId::from_u128(2),
            kind,
            subject: subject.to_owned(),
            actor: Actor::System,
            occurred_at: Timestamp::from_millis(0),
            correlation_id: String::new(),
            data,
        }
    }

    #[test]
    fn events_mark_what_they_touched() {
        let task = TaskId::from_u128(3);
        let changed = event(EventKind::TaskUpdated, &task.to_string(), json!({}));
        assert_eq!(mark_of(&changed), Some(Mark::Task(task)));

        let (base, file) = (KnowledgeBaseId::from_u128(4), FileId::from_u128(5));
        let data = json!({ "knowledge_base": base, "chunks": 3 });
        let indexed = event(EventKind::DocumentIndexed, &file.to_string(), data);
        assert_eq!(mark_of(&indexed), Some(Mark::Document { base, file }));

        let (swarm, root) = (SwarmId::from_u128(6), ExecutionId::from_u128(7));
        let data = json!({ "execution": root, "sequence": 12 });
        let posted = event(EventKind::SwarmMessagePosted, &swarm.to_string(), data);
        let sequence = 12;
        let message = Mark::SwarmMessage {
            swarm,
            root,
            sequence,
        };
        assert_eq!(mark_of(&posted), Some(message));

        let unreadable = event(EventKind::DocumentIndexed, "fil_", json!({}));
        assert_eq!(mark_of(&unreadable), None);
        let of_no_item = event(EventKind::MemberJoined, "usr_1", json!({}));
        assert_eq!(mark_of(&of_no_item), None);
    }
}
