//! Agents: instructions, a model, tools, knowledge and limits.

use std::collections::BTreeMap;

use kernel::{AgentId, KnowledgeBaseId, MicroCredits, OrgId, Timestamp, ToolId};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::approval::ApprovalPolicy;
use crate::event::Actor;
use crate::tool::Builtin;

/// The most tools an agent may have.
pub const MAX_TOOLS: usize = 64;
/// The most agents an agent may call.
pub const MAX_AGENTS: usize = 16;
/// The most knowledge bases an agent may search.
pub const MAX_KNOWLEDGE_BASES: usize = 16;

/// What an agent is, apart from which one it is: the part that versions keep.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AgentSpec {
    /// What people call it.
    pub name: String,
    /// What it is for, for people.
    #[serde(default)]
    pub description: String,
    /// What it is told before anything else.
    pub instructions: String,
    /// `provider::model`, such as `openai::gpt-4.1`; the platform's default model if absent.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub model: Option<String>,
    /// What it may call.
    pub tools: Vec<ToolRef>,
    /// What it may search.
    pub knowledge_bases: Vec<KnowledgeBaseId>,
    /// The agents that it may call with `call_agent`.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub agents: Vec<AgentId>,
    /// The tools, by the name that the model knows, whose calls people must approve. A tool may
    /// ask for approval itself; this adds to it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub approvals: BTreeMap<String, ApprovalPolicy>,
    /// JSON Schema of the answer, where it must be JSON.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(value_type = Option<Object>)]
    pub output_schema: Option<Value>,
    pub limits: Limits,
}

/// An agent as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Agent {
    pub id: AgentId,
    pub org: OrgId,
    #[serde(flatten)]
    pub spec: AgentSpec,
    /// Rises by one with every change; the ETag of the agent and the number of its newest version.
    pub version: u64,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// An agent as it was after one change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AgentVersion {
    pub agent: AgentId,
    pub version: u64,
    #[serde(flatten)]
    pub spec: AgentSpec,
    pub created_at: Timestamp,
    pub created_by: Actor,
}

/// How far one execution may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Model calls in one execution.
    #[serde(default = "Limits::default_steps")]
    #[schema(minimum = 1, maximum = 200, default = 25)]
    pub max_steps: u32,
    /// Seconds of running, from the first step to the end; waiting does not count.
    #[serde(default = "Limits::default_seconds")]
    #[schema(minimum = 1, maximum = 86_400, default = 3_600)]
    pub max_seconds: u32,
    /// Micro-credits that one execution, with those that it calls, may spend.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(minimum = 1)]
    pub max_micro_credits: Option<MicroCredits>,
    /// Executions of the agent that may run at the same time.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(minimum = 1, maximum = 100)]
    pub max_concurrent: Option<u32>,
}

impl Limits {
    /// The most steps an agent may be given.
    pub const MAX_STEPS: u32 = 200;
    /// The longest time an agent may be given, in seconds.
    pub const MAX_SECONDS: u32 = 86_400;
    /// The most executions of an agent that may run at the same time.
    pub const MAX_CONCURRENT: u32 = 100;

    const fn default_steps() -> u32 {
        25
    }

    const fn default_seconds() -> u32 {
        3_600
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_steps: Self::default_steps(),
            max_seconds: Self::default_seconds(),
            max_micro_credits: None,
            max_concurrent: None,
        }
    }
}

/// A tool as an agent names it: a built-in by its name or a registered one by its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ToolRef {
    Builtin(Builtin),
    Registered(ToolId),
}

/// A text that names neither a built-in tool nor a tool id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is neither a built-in tool nor the id of a tool")]
pub struct UnknownTool(String);

impl std::str::FromStr for ToolRef {
    type Err = UnknownTool;

    fn from_str(text: &str) -> Result<Self, UnknownTool> {
        if let Some(builtin) = Builtin::named(text) {
            return Ok(Self::Builtin(builtin));
        }
        text.parse()
            .map(Self::Registered)
            .map_err(|_| UnknownTool(text.to_owned()))
    }
}

impl std::fmt::Display for ToolRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Builtin(builtin) => f.write_str(builtin.name()),
            Self::Registered(id) => write!(f, "{id}"),
        }
    }
}

impl Serialize for ToolRef {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ToolRef {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl utoipa::PartialSchema for ToolRef {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::String)
            .max_length(Some(64))
            .description(Some(
                "The name of a built-in tool, or the id of a registered one.",
            ))
            .examples([serde_json::json!("search_knowledge")])
            .into()
    }
}

impl ToSchema for ToolRef {}

/// What an agent has done so far; a read model that follows the event log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AgentStats {
    pub agent: AgentId,
    pub executions_completed: u64,
    pub executions_failed: u64,
    pub executions_cancelled: u64,
    /// Experience: ten points for a completed execution, one for a failed one.
    pub xp: u64,
    /// 1 at the start; level n + 1 needs 100 · n² points.
    pub level: u32,
    /// Completed among completed and failed, in percent; absent before the first end.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub success_percent: Option<u32>,
    /// When the last counted event happened: how fresh this is.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub as_of: Option<Timestamp>,
}

impl AgentStats {
    /// The statistics that follow from these counts.
    #[must_use]
    pub fn from_counts(
        agent: AgentId,
        completed: u64,
        failed: u64,
        cancelled: u64,
        as_of: Option<Timestamp>,
    ) -> Self {
        let xp = completed.saturating_mul(10).saturating_add(failed);
        let ended = completed + failed;
        Self {
            agent,
            executions_completed: completed,
            executions_failed: failed,
            executions_cancelled: cancelled,
            xp,
            level: u32::try_from((xp / 100).isqrt())
                .unwrap_or(u32::MAX)
                .saturating_add(1),
            success_percent: (ended > 0)
                .then(|| u32::try_from(completed.saturating_mul(100) / ended).unwrap_or(100)),
            as_of,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_is_named_or_numbered() {
        assert_eq!(
            "search_knowledge".parse::<ToolRef>().unwrap(),
            ToolRef::Builtin(Builtin::SearchKnowledge)
        );
        let id = ToolId::from_u128(9);
        assert_eq!(
            id.to_string().parse::<ToolRef>().unwrap(),
            ToolRef::Registered(id)
        );
        assert!("rm_rf".parse::<ToolRef>().is_err());
    }

    #[test]
    fn levels_grow_with_the_root_of_experience() {
        let level =
            |completed| AgentStats::from_counts(AgentId::from_u128(1), completed, 0, 0, None).level;
        assert_eq!(
            (
                level(0),
                level(9),
                level(10),
                level(39),
                level(40),
                level(90)
            ),
            (1, 1, 2, 2, 3, 4)
        );
    }
}
