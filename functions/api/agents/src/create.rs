use std::collections::BTreeMap;

use api::{ApprovalPolicyBody, Granted, Json, Problem, Problems, Versioned, Write, created};
use axum::extract::State;
use axum::response::Response;
use domain::agent::{Agent, AgentSpec, Limits, ToolRef};
use garde::Validate;
use kernel::{AgentId, KnowledgeBaseId};
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::spec::{self, LimitsBody, MAX_DESCRIPTION, MAX_INSTRUCTIONS};

/// A new agent.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewAgent {
    /// What people call it.
    #[garde(custom(api::text::name))]
    #[schema(min_length = 1, max_length = 200, example = "Handbook guide")]
    name: String,
    /// What it is for, for people.
    #[garde(length(chars, max = MAX_DESCRIPTION))]
    #[schema(max_length = 2_000)]
    #[serde(default)]
    description: String,
    /// What it is told before anything else.
    #[garde(length(chars, min = 1, max = MAX_INSTRUCTIONS))]
    #[schema(
        min_length = 1,
        max_length = 32_000,
        example = "Answer from the handbook and cite it."
    )]
    instructions: String,
    /// `provider::model`; the platform's default model if absent.
    #[garde(inner(custom(spec::model)))]
    #[schema(max_length = 200, example = "openai::gpt-4.1")]
    model: Option<String>,
    /// What it may call.
    #[garde(custom(spec::few_tools))]
    #[serde(default)]
    tools: Vec<ToolRef>,
    /// What it may search.
    #[garde(custom(spec::few_bases))]
    #[serde(default)]
    knowledge_bases: Vec<KnowledgeBaseId>,
    /// The agents that it may call with `call_agent`.
    #[garde(custom(spec::few_agents))]
    #[serde(default)]
    agents: Vec<AgentId>,
    /// Tools, by the name that the model knows, whose calls people must approve.
    #[garde(dive)]
    #[serde(default)]
    approvals: BTreeMap<String, ApprovalPolicyBody>,
    /// JSON Schema (2020-12) of the answer, where it must be a JSON object.
    #[garde(skip)]
    #[schema(value_type = Option<Object>)]
    output_schema: Option<Value>,
    #[garde(dive)]
    limits: Option<LimitsBody>,
}

/// Create an agent.
#[utoipa::path(
    post, path = "/v1/agents", tag = "agents", operation_id = "create_agent",
    request_body = NewAgent,
    security(("bearer" = ["agents:write"])),
    responses((status = 201, body = Agent), Problems),
)]
pub(crate) async fn create(
    State(app): State<api::App>,
    caller: Granted<Agent, Write>,
    Json(body): Json<NewAgent>,
) -> Result<Response, Problem> {
    let spec = AgentSpec {
        name: body.name,
        description: body.description,
        instructions: body.instructions,
        model: body.model,
        tools: body.tools,
        knowledge_bases: body.knowledge_bases,
        agents: body.agents,
        approvals: spec::policies(body.approvals),
        output_schema: body.output_schema,
        limits: body.limits.map_or_else(Limits::default, Limits::from),
    };
    spec::check(app.store(), caller.tenant(), &spec).await?;
    let agent = app
        .store()
        .agents(caller.tenant())
        .create(&caller.cause(), spec)
        .await?;
    let location = format!("/v1/agents/{}", agent.id);
    Ok(created(&location, Versioned::new(agent.version, agent)))
}
