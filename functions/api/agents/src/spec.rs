//! What clients may say of an agent, and the checks that it makes sense in its org.

use std::collections::BTreeMap;

use api::{ApprovalPolicyBody, FieldProblem, Problem};
use domain::agent::{AgentSpec, Limits, MAX_AGENTS, MAX_KNOWLEDGE_BASES, MAX_TOOLS, ToolRef};
use domain::approval::ApprovalPolicy;
use domain::tool::{ArgumentSchema, Builtin, is_tool_name};
use garde::Validate;
use kernel::{AgentId, KnowledgeBaseId, MicroCredits};
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
    /// Seconds of running, from the first step to the end; waiting does not count.
    #[garde(range(min = 1, max = Limits::MAX_SECONDS))]
    #[schema(minimum = 1, maximum = 86_400)]
    #[serde(default = "default_seconds")]
    max_seconds: u32,
    /// Micro-credits that one execution, with those that it calls, may spend.
    #[garde(range(min = 1))]
    #[schema(minimum = 1)]
    max_micro_credits: Option<i64>,
    /// Executions of the agent that may run at the same time.
    #[garde(range(min = 1, max = Limits::MAX_CONCURRENT))]
    #[schema(minimum = 1, maximum = 100)]
    max_concurrent: Option<u32>,
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
            max_micro_credits: body.max_micro_credits.map(MicroCredits::new),
            max_concurrent: body.max_concurrent,
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
    let known_agents = store.agents(tenant).get_many(&spec.agents).await?;
    for (index, agent) in spec.agents.iter().enumerate() {
        let message = if spec.agents[..index].contains(agent) {
            "is named twice"
        } else if !known_agents.iter().any(|known| known.id == *agent) {
            "is not an agent of this organization"
        } else {
            continue;
        };
        errors.push(FieldProblem {
            field: format!("/agents/{index}"),
            message: message.to_owned(),
        });
    }
    errors.extend(of_approvals(spec));
    if let Some(schema) = &spec.output_schema
        && let Err(error) = ArgumentSchema::compile(schema)
    {
        errors.push(FieldProblem {
            field: "/output_schema".to_owned(),
            message: error.to_string(),
        });
    }
    if errors.is_empty() {
        Ok(())
    } else {
        Err(Problem::invalid(errors))
    }
}

/// A tool whose approval is asked for must be one that can be called at all: a misspelt name would
/// let calls through that somebody meant to see first.
fn of_approvals(spec: &AgentSpec) -> Vec<FieldProblem> {
    spec.approvals
        .keys()
        .filter_map(|name| {
            let builtin = Builtin::named(name);
            let message = if builtin == Some(Builtin::AskHuman) {
                "asks people anyway"
            } else if builtin
                .is_some_and(|builtin| !spec.tools.contains(&ToolRef::Builtin(builtin)))
            {
                "is not among the agent's tools"
            } else if !is_tool_name(name) {
                "is not the name of a tool"
            } else {
                return None;
            };
            Some(FieldProblem {
                field: format!("/approvals/{name}"),
                message: message.to_owned(),
            })
        })
        .collect()
}

/// The policies of a body.
pub(crate) fn policies(
    bodies: BTreeMap<String, ApprovalPolicyBody>,
) -> BTreeMap<String, ApprovalPolicy> {
    bodies
        .into_iter()
        .map(|(tool, policy)| (tool, policy.into()))
        .collect()
}

pub(crate) fn few_tools(tools: &[ToolRef], (): &()) -> garde::Result {
    at_most(tools.len(), MAX_TOOLS)
}

pub(crate) fn few_agents(agents: &[AgentId], (): &()) -> garde::Result {
    at_most(agents.len(), MAX_AGENTS)
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
