use api::{ExecutionAccount, Json, Owned, Problem, Problems, Read, Write};
use axum::extract::State;
use domain::budget::Budget;
use kernel::ExecutionId;

use crate::amount::{self, BudgetBody};

/// The budget of an execution and of all that it calls. One that was called by another answers with
/// the budget of the execution at the beginning of the chain.
#[utoipa::path(
    get, path = "/v1/budgets/executions/{execution_id}", tag = "budgets",
    operation_id = "get_execution_budget",
    params(("execution_id" = ExecutionId, Path)),
    security(("bearer" = ["budgets:read"])),
    responses((status = 200, body = Budget), Problems),
)]
pub(crate) async fn get(
    State(app): State<api::App>,
    of: Owned<ExecutionAccount, Read>,
) -> Result<axum::Json<Budget>, Problem> {
    amount::get(&app, &of.caller, of.account).await
}

/// Set, raise or lower the budget of an execution and of all that it calls. Raising it resumes what
/// waited for it.
#[utoipa::path(
    put, path = "/v1/budgets/executions/{execution_id}", tag = "budgets",
    operation_id = "set_execution_budget",
    params(("execution_id" = ExecutionId, Path)),
    request_body = BudgetBody,
    security(("bearer" = ["budgets:write"])),
    responses((status = 200, body = Budget), Problems),
)]
pub(crate) async fn set(
    State(app): State<api::App>,
    of: Owned<ExecutionAccount, Write>,
    Json(body): Json<BudgetBody>,
) -> Result<axum::Json<Budget>, Problem> {
    amount::set(&app, &of.caller, of.account, &body).await
}
