use std::collections::BTreeMap;

use api::{ApprovalPolicyBody, IfMatch, Json, Owned, Problem, Problems, Versioned, Write};
use axum::extract::State;
use domain::agent::{Agent, AgentSpec, ToolRef};
use garde::Validate;
use kernel::{AgentId, KnowledgeBaseId};
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::spec::{self, LimitsBody, MAX_DESCRIPTION, MAX_INSTRUCTIONS};

/// Changes to an agent. What is absent stays as it is.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AgentChanges {
    #[garde(inner(custom(api::text::name)))]
    #[schema(min_length = 1, max_length = 200)]
    name: Option<String>,
    #[garde(length(chars, max = MAX_DESCRIPTION))]
    #[schema(max_length = 2_000)]
    description: Option<String>,
    #[garde(length(chars, min = 1, max = MAX_INSTRUCTIONS))]
    #[schema(min_length = 1, max_length = 32_000)]
    instructions: Option<String>,
    /// `null` goes back to the platform's default model.
    #[garde(custom(known_model))]
    #[serde(default, deserialize_with = "api::nullable")]
    #[schema(value_type = Option<String>, max_length = 200)]
    model: Option<Option<String>>,
    #[garde(inner(custom(few_tools)))]
    tools: Option<Vec<ToolRef>>,
    #[garde(inner(custom(few_bases)))]
    knowledge_bases: Option<Vec<KnowledgeBaseId>>,
    #[garde(inner(custom(few_agents)))]
    agents: Option<Vec<AgentId>>,
    /// Takes the place of all that stood before.
    #[garde(dive)]
    approvals: Option<BTreeMap<String, ApprovalPolicyBody>>,
    /// `null` lets the agent answer in words.
    #[garde(skip)]
    #[serde(default, deserialize_with = "api::nullable")]
    #[schema(value_type = Option<Object>)]
    output_schema: Option<Option<Value>>,
    #[garde(dive)]
    limits: Option<LimitsBody>,
}

#[expect(clippy::ref_option, reason = "the signature that garde calls")]
fn known_model(model: &Option<Option<String>>, context: &()) -> garde::Result {
    model
        .as_ref()
        .and_then(Option::as_deref)
        .map_or(Ok(()), |model| spec::model(model, context))
}

#[expect(clippy::ptr_arg, reason = "the signature that garde calls")]
fn few_tools(tools: &Vec<ToolRef>, context: &()) -> garde::Result {
    spec::few_tools(tools, context)
}

#[expect(clippy::ptr_arg, reason = "the signature that garde calls")]
fn few_bases(bases: &Vec<KnowledgeBaseId>, context: &()) -> garde::Result {
    spec::few_bases(bases, context)
}

#[expect(clippy::ptr_arg, reason = "the signature that garde calls")]
fn few_agents(agents: &Vec<AgentId>, context: &()) -> garde::Result {
    spec::few_agents(agents, context)
}

/// Change an agent. Each change makes a new version.
#[utoipa::path(
    patch, path = "/v1/agents/{agent_id}", tag = "agents", operation_id = "update_agent",
    params(
        ("agent_id" = AgentId, Path),
        ("If-Match" = Option<String>, Header, description = "The ETag that the change is based on."),
    ),
    request_body = AgentChanges,
    security(("bearer" = ["agents:write"])),
    responses((status = 200, body = Agent), Problems),
)]
pub(crate) async fn update(
    State(app): State<api::App>,
    agent: Owned<Agent, Write>,
    if_match: IfMatch,
    Json(changes): Json<AgentChanges>,
) -> Result<Versioned<Agent>, Problem> {
    if_match.check(agent.version, "agent")?;
    let old = agent.spec.clone();
    let spec = AgentSpec {
        name: changes.name.unwrap_or(old.name),
        description: changes.description.unwrap_or(old.description),
        instructions: changes.instructions.unwrap_or(old.instructions),
        model: changes.model.unwrap_or(old.model),
        tools: changes.tools.unwrap_or(old.tools),
        knowledge_bases: changes.knowledge_bases.unwrap_or(old.knowledge_bases),
        agents: changes.agents.unwrap_or(old.agents),
        approvals: changes.approvals.map_or(old.approvals, spec::policies),
        output_schema: changes.output_schema.unwrap_or(old.output_schema),
        limits: changes.limits.map_or(old.limits, Into::into),
    };
    let tenant = agent.caller.tenant();
    spec::check(app.store(), tenant, &spec).await?;
    let cause = agent.caller.cause();
    let updated = app
        .store()
        .agents(tenant)
        .update(&cause, &agent.item, spec)
        .await?;
    Ok(Versioned::new(updated.version, updated))
}
