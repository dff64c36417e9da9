//! What an agent remembers from one execution to the next.
//!
//! | module | holds |
//! |---|---|
//! | [`embedding`] | a memory's text as a small vector, and how near two of them are |
//! | [`recall`] | which memories an agent is told of, and why |
//! | [`consolidation`] | which memories say the same, and which are too many |

pub mod consolidation;
pub mod embedding;
pub mod recall;

use kernel::{AgentId, ExecutionId, MemoryId, OrgId, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::event::Actor;

/// The most characters of one memory.
pub const MAX_MEMORY_CHARS: usize = 2_000;
/// How many of the memories that one has replaced are kept with it.
pub const MAX_REPLACED: usize = 8;
/// The most characters that are kept of a memory that was replaced.
const REPLACED_CHARS: usize = 200;

/// Something an agent remembers. Never seen by another agent, unless somebody shares it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(from = "StoredMemory")]
pub struct Memory {
    pub id: MemoryId,
    pub org: OrgId,
    pub agent: AgentId,
    pub kind: MemoryKind,
    pub text: String,
    pub importance: Importance,
    /// Where it comes from.
    pub source: MemorySource,
    /// In how many executions the agent was told of it.
    pub recalls: u64,
    /// When the agent was last told of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_recalled_at: Option<Timestamp>,
    /// What it has replaced since it said the same: the newest of them, newest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub replaced: Vec<ReplacedMemory>,
    pub created_at: Timestamp,
    /// When its words, kind or importance were last changed by somebody.
    pub updated_at: Timestamp,
    /// Rises by one with every change; the ETag of the memory.
    pub version: u64,
}

impl Memory {
    /// When it was last of use or last changed.
    #[must_use]
    pub fn last_touched(&self) -> Timestamp {
        self.last_recalled_at
            .map_or(self.updated_at, |recalled| recalled.max(self.updated_at))
    }

    /// The same memory, which the agent was told of so many more times, the last time then.
    #[must_use]
    pub fn recalled(mut self, times: u64, at: Timestamp) -> Self {
        self.recalls += times;
        self.last_recalled_at = self.last_recalled_at.max(Some(at));
        self
    }
}

/// What sort of thing is remembered.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Default,
    Serialize,
    Deserialize,
    ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum MemoryKind {
    /// Something that holds.
    #[default]
    Fact,
    /// What a word or a name means here.
    Term,
    /// How somebody wants things done. Of high importance, the agent is told of it whatever the
    /// question is.
    Preference,
    /// How a tool is best used.
    ToolNote,
    /// What to go by when nothing else that is remembered bears on the question.
    Fallback,
}

impl MemoryKind {
    /// Every kind.
    pub const ALL: [Self; 5] = [
        Self::Fact,
        Self::Term,
        Self::Preference,
        Self::ToolNote,
        Self::Fallback,
    ];

    /// The stable name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fact => "fact",
            Self::Term => "term",
            Self::Preference => "preference",
            Self::ToolNote => "tool_note",
            Self::Fallback => "fallback",
        }
    }
}

/// How much a memory matters, from 1 to 10.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Importance(u8);

impl Importance {
    /// The least.
    pub const MIN: Self = Self(1);
    /// The most.
    pub const MAX: Self = Self(10);

    /// This importance, if it is one.
    #[must_use]
    pub const fn new(value: u8) -> Option<Self> {
        if value >= Self::MIN.0 && value <= Self::MAX.0 {
            Some(Self(value))
        } else {
            None
        }
    }

    /// From 1 to 10.
    #[must_use]
    pub const fn value(self) -> u8 {
        self.0
    }
}

impl Default for Importance {
    fn default() -> Self {
        Self(5)
    }
}

impl TryFrom<u8> for Importance {
    type Error = &'static str;

    fn try_from(value: u8) -> Result<Self, Self::Error> {
        Self::new(value).ok_or("must be a whole number from 1 to 10")
    }
}

impl From<Importance> for u8 {
    fn from(importance: Importance) -> Self {
        importance.0
    }
}

impl utoipa::PartialSchema for Importance {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::Integer)
            .minimum(Some(Self::MIN.0))
            .maximum(Some(Self::MAX.0))
            .description(Some("How much it matters, from 1 to 10."))
            .into()
    }
}

impl ToSchema for Importance {}

/// Where a memory comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum MemorySource {
    /// The agent learned it in an execution.
    Execution { id: ExecutionId },
    /// It was told to the agent: by a person, or by a machine with a key.
    Person { by: Actor },
    /// It was copied from another agent of the organization.
    Shared {
        agent: AgentId,
        memory: MemoryId,
        by: Actor,
    },
}

impl MemorySource {
    /// Whether somebody outside an execution wanted the agent to know this. What a model says does
    /// not replace it.
    #[must_use]
    pub const fn is_deliberate(self) -> bool {
        matches!(self, Self::Person { .. } | Self::Shared { .. })
    }
}

/// A memory that another has replaced, since it said the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReplacedMemory {
    pub id: MemoryId,
    /// The beginning of its text.
    pub text: String,
    pub created_at: Timestamp,
}

impl From<&Memory> for ReplacedMemory {
    fn from(memory: &Memory) -> Self {
        Self {
            id: memory.id,
            text: memory.text.chars().take(REPLACED_CHARS).collect(),
            created_at: memory.created_at,
        }
    }
}

/// A memory in every form in which one was ever stored. The first had no importance and came from
/// executions alone.
#[derive(Deserialize)]
struct StoredMemory {
    id: MemoryId,
    org: OrgId,
    agent: AgentId,
    kind: MemoryKind,
    text: String,
    #[serde(default)]
    importance: Importance,
    source: Option<MemorySource>,
    execution: Option<ExecutionId>,
    #[serde(default)]
    recalls: u64,
    last_recalled_at: Option<Timestamp>,
    #[serde(default)]
    replaced: Vec<ReplacedMemory>,
    created_at: Timestamp,
    updated_at: Option<Timestamp>,
    #[serde(default)]
    version: u64,
}

impl From<StoredMemory> for Memory {
    fn from(stored: StoredMemory) -> Self {
        let source = match (stored.source, stored.execution) {
            (Some(source), _) => source,
            (None, Some(id)) => MemorySource::Execution { id },
            (None, None) => MemorySource::Person { by: Actor::System },
        };
        Self {
            id: stored.id,
            org: stored.org,
            agent: stored.agent,
            kind: stored.kind,
            text: stored.text,
            importance: stored.importance,
            source,
            recalls: stored.recalls,
            last_recalled_at: stored.last_recalled_at,
            replaced: stored.replaced,
            created_at: stored.created_at,
            updated_at: stored.updated_at.unwrap_or(stored.created_at),
            version: stored.version,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::json;

    use super::*;

    /// A memory of number `id`, made so many milliseconds after the epoch.
    pub(crate) fn memory(id: u128, text: &str, at: i64) -> Memory {
        let at = Timestamp::from_millis(at);
        Memory {
            id: MemoryId::from_u128(id),
            org: OrgId::from_u128(1),
            agent: AgentId::from_u128(2),
            kind: MemoryKind::Fact,
            text: text.to_owned(),
            importance: Importance::default(),
            source: MemorySource::Execution {
                id: ExecutionId::from_u128(3),
            },
            recalls: 0,
            last_recalled_at: None,
            replaced: Vec::new(),
            created_at: at,
            updated_at: at,
            version: 1,
        }
    }

    #[test]
    fn importance_is_from_1_to_10_and_5_unless_said() {
        for value in 0..=u8::MAX {
            let known = serde_json::from_value::<Importance>(json!(value)).ok();
            assert_eq!(known.is_some(), (1..=10).contains(&value), "{value}");
            assert_eq!(known, Importance::new(value));
        }
        assert_eq!(Importance::default().value(), 5);
        for wrong in [json!(-1), json!(5.5), json!("5"), json!(null), json!(300)] {
            assert!(
                serde_json::from_value::<Importance>(wrong.clone()).is_err(),
                "{wrong}"
            );
        }
    }

    #[test]
    fn names_of_kinds_are_their_serialised_names() {
        for kind in MemoryKind::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
        }
    }

    #[test]
    fn the_first_form_of_a_memory_is_still_read() {
        let execution = ExecutionId::from_u128(4);
        let stored = json!({
            "id": MemoryId::from_u128(9), "org": OrgId::from_u128(1), "agent": AgentId::from_u128(2),
            "kind": "preference", "text": "Oil.", "execution": execution,
            "created_at": "2026-01-01T00:00:00.005Z",
        });
        let memory: Memory = serde_json::from_value(stored).unwrap();
        assert_eq!(memory.source, MemorySource::Execution { id: execution });
        assert_eq!(memory.importance, Importance::default());
        assert_eq!(memory.updated_at, memory.created_at);
        assert_eq!((memory.recalls, memory.version), (0, 0));
    }

    #[test]
    fn a_memory_was_last_touched_when_it_was_told_or_changed() {
        let at = Timestamp::from_millis;
        let memory = memory(1, "Oil.", 100);
        assert_eq!(memory.last_touched(), at(100));
        let told = memory.clone().recalled(2, at(300)).recalled(1, at(200));
        assert_eq!((told.recalls, told.last_recalled_at), (3, Some(at(300))));
        assert_eq!(told.last_touched(), at(300));
        let earlier = memory.recalled(1, at(50));
        assert_eq!(earlier.last_touched(), at(100));
    }
}
