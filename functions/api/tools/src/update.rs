use api::{ApprovalPolicyBody, IfMatch, Json, Owned, Problem, Problems, Versioned, Write};
use axum::extract::State;
use domain::tool::{MAX_DESCRIPTION, OnUnknown, Tool, ToolSpec};
use garde::Validate;
use kernel::{MicroCredits, ToolId};
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::spec::{self, ActionBody};

/// Changes to a tool. What is absent stays as it is; schema and action are replaced whole.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ToolChanges {
    #[garde(inner(custom(spec::name)))]
    #[schema(pattern = "^[a-z][a-z0-9_]{0,63}$")]
    name: Option<String>,
    #[garde(length(chars, min = 1, max = MAX_DESCRIPTION))]
    #[schema(
        min_length = 1,
        max_length = 2_000,
        example = "Look up an order and its parcels."
    )]
    description: Option<String>,
    #[garde(skip)]
    #[schema(value_type = Option<Object>)]
    parameters: Option<Value>,
    #[garde(skip)]
    idempotent: Option<bool>,
    #[garde(skip)]
    on_unknown: Option<OnUnknown>,
    /// `null` lets calls be made without approval.
    #[garde(dive)]
    #[serde(default, deserialize_with = "api::nullable")]
    #[schema(value_type = Option<ApprovalPolicyBody>)]
    approval: Option<Option<ApprovalPolicyBody>>,
    /// `null` makes calls free.
    #[garde(custom(not_negative))]
    #[serde(default, deserialize_with = "api::nullable")]
    #[schema(value_type = Option<i64>, minimum = 0)]
    micro_credits_per_call: Option<Option<i64>>,
    #[garde(skip)]
    action: Option<ActionBody>,
}

#[expect(clippy::ref_option, reason = "the signature that garde calls")]
fn not_negative(amount: &Option<Option<i64>>, (): &()) -> garde::Result {
    match amount.flatten() {
        Some(amount) if amount < 0 => Err(garde::Error::new("must not be below zero")),
        _ => Ok(()),
    }
}

/// Change a tool. Executions under way call it as it then is.
#[utoipa::path(
    patch, path = "/v1/tools/{tool_id}", tag = "tools", operation_id = "update_tool",
    params(
        ("tool_id" = ToolId, Path),
        ("If-Match" = Option<String>, Header, description = "The ETag that the change is based on."),
    ),
    request_body = ToolChanges,
    security(("bearer" = ["tools:write"])),
    responses((status = 200, body = Tool), Problems),
)]
pub(crate) async fn update(
    State(app): State<api::App>,
    tool: Owned<Tool, Write>,
    if_match: IfMatch,
    Json(changes): Json<ToolChanges>,
) -> Result<Versioned<Tool>, Problem> {
    if_match.check(tool.version, "tool")?;
    let old = tool.spec.clone();
    let spec = ToolSpec {
        name: changes.name.unwrap_or(old.name),
        description: changes.description.unwrap_or(old.description),
        parameters: changes.parameters.unwrap_or(old.parameters),
        idempotent: changes.idempotent.unwrap_or(old.idempotent),
        on_unknown: changes.on_unknown.unwrap_or(old.on_unknown),
        approval: changes
            .approval
            .map_or(old.approval, |policy| policy.map(Into::into)),
        micro_credits_per_call: changes
            .micro_credits_per_call
            .map_or(old.micro_credits_per_call, |amount| {
                amount.map(MicroCredits::new)
            }),
        action: match changes.action {
            Some(action) => action.action()?,
            None => old.action,
        },
    };
    spec::check(&spec)?;
    let cause = tool.caller.cause();
    let updated = app
        .store()
        .tools(tool.caller.tenant())
        .update(&cause, &tool.item, spec)
        .await?;
    Ok(Versioned::new(updated.version, updated))
}
