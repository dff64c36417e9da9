use api::{Granted, Json, Problem, Problems, Read, Write};
use axum::extract::State;
use domain::budget::{Account, Budget};
use http::StatusCode;

use crate::amount::{self, BudgetBody};

/// The budget of the organization, which every call of every run is paid from.
#[utoipa::path(
    get, path = "/v1/budgets/org", tag = "budgets", operation_id = "get_org_budget",
    security(("bearer" = ["budgets:read"])),
    responses((status = 200, body = Budget), Problems),
)]
pub(crate) async fn get(
    State(app): State<api::App>,
    caller: Granted<Budget, Read>,
) -> Result<axum::Json<Budget>, Problem> {
    amount::get(&app, &caller, Account::Org).await
}

/// Set, raise or lower the budget of the organization. Raising it resumes what waited for it.
#[utoipa::path(
    put, path = "/v1/budgets/org", tag = "budgets", operation_id = "set_org_budget",
    request_body = BudgetBody,
    security(("bearer" = ["budgets:write"])),
    responses((status = 200, body = Budget), Problems),
)]
pub(crate) async fn set(
    State(app): State<api::App>,
    caller: Granted<Budget, Write>,
    Json(body): Json<BudgetBody>,
) -> Result<axum::Json<Budget>, Problem> {
    amount::set(&app, &caller, Account::Org, &body).await
}

/// Make the organization unlimited. Refused while credits are set aside for calls under way. Its
/// ledger stays.
#[utoipa::path(
    delete, path = "/v1/budgets/org", tag = "budgets", operation_id = "remove_org_budget",
    security(("bearer" = ["budgets:write"])),
    responses((status = 204), Problems),
)]
pub(crate) async fn remove(
    State(app): State<api::App>,
    caller: Granted<Budget, Write>,
) -> Result<StatusCode, Problem> {
    amount::remove(&app, &caller, Account::Org).await
}
