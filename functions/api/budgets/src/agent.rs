use api::{AgentAccount, Json, Owned, Problem, Problems, Read, Write};
use axum::extract::State;
use domain::budget::Budget;
use http::StatusCode;
use kernel::AgentId;

use crate::amount::{self, BudgetBody};

/// The budget of an agent, for all of its runs.
#[utoipa::path(
    get, path = "/v1/budgets/agents/{agent_id}", tag = "budgets",
    operation_id = "get_agent_budget",
    params(("agent_id" = AgentId, Path)),
    security(("bearer" = ["budgets:read"])),
    responses((status = 200, body = Budget), Problems),
)]
pub(crate) async fn get(
    State(app): State<api::App>,
    of: Owned<AgentAccount, Read>,
) -> Result<axum::Json<Budget>, Problem> {
    amount::get(&app, &of.caller, of.account).await
}

/// Set, raise or lower the budget of an agent. Raising it resumes what waited for it.
#[utoipa::path(
    put, path = "/v1/budgets/agents/{agent_id}", tag = "budgets",
    operation_id = "set_agent_budget",
    params(("agent_id" = AgentId, Path)),
    request_body = BudgetBody,
    security(("bearer" = ["budgets:write"])),
    responses((status = 200, body = Budget), Problems),
)]
pub(crate) async fn set(
    State(app): State<api::App>,
    of: Owned<AgentAccount, Write>,
    Json(body): Json<BudgetBody>,
) -> Result<axum::Json<Budget>, Problem> {
    amount::set(&app, &of.caller, of.account, &body).await
}

/// Make an agent unlimited, but for the organization's own budget. Refused while credits are set
/// aside for calls under way. The budget of a deleted agent can be removed as well.
#[utoipa::path(
    delete, path = "/v1/budgets/agents/{agent_id}", tag = "budgets",
    operation_id = "remove_agent_budget",
    params(("agent_id" = AgentId, Path)),
    security(("bearer" = ["budgets:write"])),
    responses((status = 204), Problems),
)]
pub(crate) async fn remove(
    State(app): State<api::App>,
    of: Owned<AgentAccount, Write>,
) -> Result<StatusCode, Problem> {
    amount::remove(&app, &of.caller, of.account).await
}
