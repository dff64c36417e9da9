use api::{Granted, Json, Problem, Problems, Versioned, Write, created};
use axum::extract::State;
use axum::response::Response;
use domain::tool::{MAX_DESCRIPTION, Tool, ToolSpec};
use garde::Validate;
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
    /// anything outside itself.
    #[garde(skip)]
    #[schema(value_type = Object)]
    parameters: Value,
    /// Whether calling it twice with the same idempotency key does no harm.
    #[garde(skip)]
    #[serde(default)]
    idempotent: bool,
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
    let spec = ToolSpec {
        name: body.name,
        description: body.description,
        parameters: body.parameters,
        idempotent: body.idempotent,
        action: body.action.into(),
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
