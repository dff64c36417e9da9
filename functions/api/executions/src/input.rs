use api::{Json, Owned, Problem, Problems, Versioned, Write};
use axum::extract::State;
use domain::approval::{
    AnsweredVia, Approval, ApprovalAnswer, ApprovalState, ApprovalSubject, Decision,
    MAX_ANSWER_CHARS,
};
use domain::execution::Execution;
use garde::Validate;
use kernel::{ApprovalId, ExecutionId};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::create::not_blank;
use crate::view::{ExecutionView, changed};

/// The answer to a question of an agent.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Input {
    /// What the agent is told.
    #[garde(length(chars, min = 1, max = MAX_ANSWER_CHARS), custom(not_blank))]
    #[schema(min_length = 1, max_length = 8_000, example = "Take the second one.")]
    text: String,
    /// The question that this answers; may be left out where only one is open.
    #[garde(skip)]
    approval_id: Option<ApprovalId>,
}

/// Answer the question that an execution waits with. Only those may whom the question's policy
/// admits. Idempotent: the same answer of the same caller changes nothing more.
#[utoipa::path(
    post, path = "/v1/executions/{execution_id}/input", tag = "executions",
    operation_id = "input_to_execution",
    params(("execution_id" = ExecutionId, Path)),
    request_body = Input,
    security(("bearer" = ["executions:write"])),
    responses((status = 200, body = ExecutionView), Problems),
)]
pub(crate) async fn input(
    State(app): State<api::App>,
    execution: Owned<Execution, Write>,
    Json(body): Json<Input>,
) -> Result<Versioned<ExecutionView>, Problem> {
    let caller = &execution.caller;
    let question = question(&app, &execution, body.approval_id).await?;
    caller.require_admission(&question, &app).await?;
    let cause = caller.cause();
    let answer = ApprovalAnswer {
        decision: Decision::Reply,
        by: cause.actor,
        via: AnsweredVia::Api,
        reason: None,
        arguments: None,
        text: Some(body.text),
        at: app.store().now(),
    };
    let tenant = caller.tenant();
    app.store()
        .approvals(tenant)
        .answer(&cause, &question, answer, None)
        .await?;
    let executions = app.store().executions(tenant);
    let after = executions
        .get(execution.id)
        .await?
        .ok_or_else(|| Problem::not_found("execution"))?;
    changed(&app, Ok(after))
}

/// The question that is meant: the one that is named, the one that is open, or else the last one
/// that was answered, so that an answer may come twice.
async fn question(
    app: &api::App,
    execution: &Owned<Execution, Write>,
    named: Option<ApprovalId>,
) -> Result<Approval, Problem> {
    let approvals = app.store().approvals(execution.caller.tenant());
    let is_question = |approval: &Approval| {
        approval.execution == execution.id
            && matches!(approval.subject, ApprovalSubject::Question { .. })
    };
    if let Some(id) = named {
        return approvals.get(id).await?.filter(is_question).ok_or_else(|| {
            Problem::invalid_field("/approval_id", "is not a question of this execution")
        });
    }
    let awaited = execution
        .waiting
        .as_ref()
        .map_or(&[][..], |waiting| &waiting.approvals);
    let mut open = approvals.get_many(awaited).await?;
    open.retain(|approval| is_question(approval) && approval.state == ApprovalState::Pending);
    match open.len() {
        1 => Ok(open.remove(0)),
        0 => {
            let page = kernel::cursor::PageRequest::first(20);
            let mut earlier = approvals
                .page_of_execution(execution.id, &page)
                .await?
                .items;
            earlier.retain(is_question);
            earlier.into_iter().next().ok_or_else(|| {
                let message = "The execution has not asked anything.";
                Problem::conflict("nothing_asked", message)
            })
        }
        many => Err(Problem::invalid_field(
            "/approval_id",
            format!("is missing: {many} questions are open"),
        )),
    }
}
