//! What an agent remembers from one execution to the next.

use kernel::{AgentId, ExecutionId, MemoryId, OrgId, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The most characters of one memory.
pub const MAX_MEMORY_CHARS: usize = 2_000;

/// Something an agent remembers. Never seen by another agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Memory {
    pub id: MemoryId,
    pub org: OrgId,
    pub agent: AgentId,
    pub kind: MemoryKind,
    pub text: String,
    /// The execution that it was learned in.
    pub execution: ExecutionId,
    pub created_at: Timestamp,
}

/// What sort of thing is remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MemoryKind {
    #[default]
    Fact,
    Term,
    Preference,
}
