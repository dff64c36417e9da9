//! What clients may say of an agent, and the checks that it makes sense in its org.

use api::{FieldProblem, Problem};
use domain::agent::{AgentSpec, Limits, MAX_KNOWLEDGE_BASES, MAX_TOOLS, ToolRef};
use garde::Validate;
use kernel::KnowledgeBaseId;
use store::{Store, Tenant};

/// The most characters of an agent's instructions.
pub(crate) const MAX_INSTRUCTIONS: usize = 32_000;
/// The most characters of an agent's description.
pub(crate) const MAX_DESCRIPTION: usize = 2_000;

/// The limits of an agent, as garde checks them.
#[derive(Debug, Clone, Copy, serde::Deserialize, Validate, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewLimits)]
pub(crate) struct LimitsBody {
    /// Model calls in one execution.
    #[garde(range(min = 1, max = Limits::MAX_STEPS))]
    #[schema(minimum = 1, maximum = 200)]
    #[serde(default = "default_steps")]
    max_steps: u32,
    /// Seconds from queueing to the end.
    #[garde(range(min = 1, max = Limits::MAX_SECONDS))]
    #[schema(minimum = 1, maximum = 86_400)]
    #[serde(default = "default_seconds")]
    max_seconds: u32,
}

fn default_steps() -> u32 {
    Limits::default().max_steps
}

fn default_seconds() -> u32 {
    Limits::default().max_seconds
}

impl From<LimitsBody> for Limits {
    fn from(body: LimitsBody) -> Self {
        Self {
            max_steps: body.max_steps,
            max_seconds: body.max_seconds,
        }
    }
}

/// Checks that tools and knowledge bases are the org's own and named once.
pub(crate) async fn check(store: &Store, tenant: Tenant, spec: &AgentSpec) -> Result<(), Problem> {
    let mut errors = Vec::new();
    let registered: Vec<_> = spec
        .tools
        .iter()
        .filter_map(|tool| match tool {
            ToolRef::Registered(id) => Some(*id),
            ToolRef::Builtin(_) => None,
        })
        .collect();
    let known_tools = store.tools(tenant).get_many(&registered).await?;
    for (index, tool) in spec.tools.iter().enumerate() {
        let message = match tool {
            _ if spec.tools[..index].contains(tool) => "is named twice",
            ToolRef::Registered(id) if !known_tools.iter().any(|known| known.id == *id) => {
                "is not a tool of this organization"
            }
            _ => continue,
        };
        errors.push(FieldProblem {
            field: format!("/tools/{index}"),
            message: message.to_owned(),
        });
    }
    let known_bases = store
        .knowledge(tenant)
        .bases_by_id(&spec.knowledge_bases)
        .await?;
    for (index, base) in spec.knowledge_bases.iter().enumerate() {
        let message = if spec.knowledge_bases[..index].contains(base) {
            "is named twice"
        } else if !known_bases.iter().any(|known| known.id == *base) {
            "is not a knowledge base of this organization"
        } else {
            continue;
        };
        let field = format!("/knowledge_bases/{index}");
        errors.push(FieldProblem {
            field,
            message: message.to_owned(),
        });
    }
    if errors.is_empty() {
        Ok(())
    } else {
        Err(Problem::invalid(errors))
    }
}

pub(crate) fn few_tools(tools: &[ToolRef], (): &()) -> garde::Result {
    at_most(tools.len(), MAX_TOOLS)
}

pub(crate) fn few_bases(bases: &[KnowledgeBaseId], (): &()) -> garde::Result {
    at_most(bases.len(), MAX_KNOWLEDGE_BASES)
}

fn at_most(count: usize, most: usize) -> garde::Result {
    if count > most {
        return Err(garde::Error::new(format!(
            "must have at most {most} entries"
        )));
    }
    Ok(())
}

/// A model is named with its provider.
pub(crate) fn model(model: &str, (): &()) -> garde::Result {
    let named = model.len() <= 200
        && model.split_once("::").is_some_and(|(provider, name)| {
            !provider.is_empty()
                && provider
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
                && !name.is_empty()
                && name.chars().all(|letter| letter.is_ascii_graphic())
        });
    if named {
        return Ok(());
    }
    Err(garde::Error::new("must have the form `provider::model`"))
}
