use api::{Json, Owned, Problem, Problems, Versioned, Write};
use axum::extract::State;
use domain::approval::{
    AnsweredVia, Approval, ApprovalAnswer, ApprovalState, Decision, MAX_ANSWER_CHARS,
};
use garde::Validate;
use kernel::ApprovalId;
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::checks;

/// An answer to what an execution asks.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewApprovalAnswer)]
pub(crate) struct NewAnswer {
    /// `approve` or `reject` a tool call; `reply` to a question or `reject` it; of a call that was
    /// interrupted, say that it `succeeded`, `retry` it or `reject` it.
    #[garde(skip)]
    decision: Decision,
    /// Why; the model is told.
    #[garde(length(chars, min = 1, max = MAX_ANSWER_CHARS))]
    #[schema(min_length = 1, max_length = 8_000)]
    reason: Option<String>,
    /// With `approve`, where the policy lets arguments be edited: what to call the tool with
    /// instead.
    #[garde(skip)]
    #[schema(value_type = Option<Object>)]
    arguments: Option<Map<String, Value>>,
    /// With `reply` the answer, with `succeeded` the result of the call.
    #[garde(length(chars, min = 1, max = MAX_ANSWER_CHARS))]
    #[schema(min_length = 1, max_length = 8_000)]
    text: Option<String>,
}

/// Answer an approval. Only those may whom its policy admits: by their role, and by name where it
/// names people. An API key may where nobody is named; it counts as a member, or as a manager or
/// admin if it has all scopes of one. A key that acts as an agent never may.
///
/// An approval is answered once. The same answer of the same caller is answered as the first was;
/// any other is a 409 (`approval_answered`, `approval_expired`, `approval_withdrawn`) whose
/// `current` shows how the approval stands. When nothing else is waited for, the execution goes on;
/// a paused one does when it is resumed.
#[utoipa::path(
    post, path = "/v1/approvals/{approval_id}/answer", tag = "approvals",
    operation_id = "answer_approval",
    params(("approval_id" = ApprovalId, Path)),
    request_body = NewAnswer,
    security(("bearer" = ["executions:write"])),
    responses((status = 200, body = Approval), Problems),
)]
pub(crate) async fn answer(
    State(app): State<api::App>,
    approval: Owned<Approval, Write>,
    Json(body): Json<NewAnswer>,
) -> Result<Versioned<Approval>, Problem> {
    approval.caller.require_admission(&approval, &app).await?;
    let cause = approval.caller.cause();
    let answer = ApprovalAnswer {
        decision: body.decision,
        by: cause.actor,
        via: AnsweredVia::Api,
        reason: body.reason,
        arguments: body.arguments.map(Value::Object),
        text: body.text,
        at: app.store().now(),
    };
    let tenant = approval.caller.tenant();
    // Of one that was answered, all that matters is whether this is the same answer.
    if approval.state == ApprovalState::Pending {
        checks::answer(&app, tenant, &approval, &answer).await?;
    }
    let approvals = app.store().approvals(tenant);
    let answered = approvals
        .answer(&cause, &approval.item, answer, None)
        .await?;
    Ok(Versioned::new(answered.version, answered))
}
