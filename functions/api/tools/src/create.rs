use api::{ApprovalPolicyBody, Granted, Json, Problem, Problems, Versioned, Write, created};
use axum::extract::State;
use axum::response::Response;
use domain::tool::{MAX_DESCRIPTION, OnUnknown, Tool, ToolSpec};
use garde::Validate;
use kernel::MicroCredits;
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::spec::{self, ActionBody};

/// A new tool.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "name": "get_order",
    "description": "Look up an order by its number.",
    "parameters": {
        "type": "object",
        "properties": { "order_id": { "type": "string" } },
        "required": ["order_id"],
        "additionalProperties": false
    },
    "idempotent": true,
    "action": {
        "kind": "http",
        "method": "GET",
        "url": "https://api.example.com/orders/{order_id}",
        "headers": { "accept": "application/json" },
        "timeout_seconds": 10
    }
}))]
pub(crate) struct NewTool {
    /// The name the model calls it by; unique in the organization, and not that of a built-in tool.
    #[garde(custom(spec::name))]
    #[schema(pattern = "^[a-z][a-z0-9_]{0,63}$")]
    name: String,
    /// What it does, for the model.
    #[garde(length(chars, min = 1, max = MAX_DESCRIPTION))]
    #[schema(min_length = 1, max_length = 2_000)]
    description: String,
    /// JSON Schema (2020-12) of the arguments: an object, at most 64 KiB, without references to
    /// anything outside itself. Not for an `mcp` tool: its server says what its tools take.
    #[garde(skip)]
    #[schema(value_type = Option<Object>)]
    parameters: Option<Value>,
    /// Whether calling it twice with the same idempotency key does no harm.
    #[garde(skip)]
    #[serde(default)]
    idempotent: bool,
    /// What follows when a call was interrupted and nobody knows whether it happened.
    #[garde(skip)]
    #[serde(default)]
    on_unknown: OnUnknown,
    /// Who must approve a call before it is made, if anybody.
    #[garde(dive)]
    approval: Option<ApprovalPolicyBody>,
    /// What a call costs, in micro-credits.
    #[garde(range(min = 0))]
    #[schema(minimum = 0)]
    micro_credits_per_call: Option<i64>,
    #[garde(skip)]
    action: ActionBody,
}

/// Register a tool.
#[utoipa::path(
    post, path = "/v1/tools", tag = "tools", operation_id = "create_tool",
    request_body = NewTool,
    security(("bearer" = ["tools:write"])),
    responses((status = 201, body = Tool), Problems),
)]
pub(crate) async fn create(
    State(app): State<api::App>,
    caller: Granted<Tool, Write>,
    Json(body): Json<NewTool>,
) -> Result<Response, Problem> {
    let action = body.action.action()?;
    let spec = ToolSpec {
        name: body.name,
        description: body.description,
        parameters: spec::parameters(body.parameters, &action)?,
        idempotent: body.idempotent,
        on_unknown: body.on_unknown,
        approval: body.approval.map(Into::into),
        micro_credits_per_call: body.micro_credits_per_call.map(MicroCredits::new),
        action,
    };
    spec::check(&spec)?;
    let tool = app
        .store()
        .tools(caller.tenant())
        .create(&caller.cause(), spec)
        .await?;
    let location = format!("/v1/tools/{}", tool.id);
    Ok(created(&location, Versioned::new(tool.version, tool)))
}
