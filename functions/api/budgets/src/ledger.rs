use api::{
    AgentAccount, Caller, ExecutionAccount, Granted, Listing, Owned, PageQuery, Paging, Problem,
    Problems, Query, Read,
};
use axum::Json;
use axum::extract::State;
use domain::budget::{Account, Budget, LedgerEntry};
use kernel::{AgentId, ExecutionId};

/// Every change of the organization's budget, newest first. The amounts of all entries add up to
/// what is available. The ledger outlives the budget.
#[utoipa::path(
    get, path = "/v1/budgets/org/ledger", tag = "budgets", operation_id = "list_org_ledger",
    params(PageQuery),
    security(("bearer" = ["budgets:read"])),
    responses((status = 200, body = Listing<LedgerEntry>), Problems),
)]
pub(crate) async fn of_org(
    State(app): State<api::App>,
    caller: Granted<Budget, Read>,
    Query(query): Query<PageQuery>,
) -> Result<Json<Listing<LedgerEntry>>, Problem> {
    page(&app, &caller, Account::Org, query).await
}

/// Every change of an agent's budget, newest first.
#[utoipa::path(
    get, path = "/v1/budgets/agents/{agent_id}/ledger", tag = "budgets",
    operation_id = "list_agent_ledger",
    params(("agent_id" = AgentId, Path), PageQuery),
    security(("bearer" = ["budgets:read"])),
    responses((status = 200, body = Listing<LedgerEntry>), Problems),
)]
pub(crate) async fn of_agent(
    State(app): State<api::App>,
    of: Owned<AgentAccount, Read>,
    Query(query): Query<PageQuery>,
) -> Result<Json<Listing<LedgerEntry>>, Problem> {
    page(&app, &of.caller, of.account, query).await
}

/// Every change of an execution's budget, newest first.
#[utoipa::path(
    get, path = "/v1/budgets/executions/{execution_id}/ledger", tag = "budgets",
    operation_id = "list_execution_ledger",
    params(("execution_id" = ExecutionId, Path), PageQuery),
    security(("bearer" = ["budgets:read"])),
    responses((status = 200, body = Listing<LedgerEntry>), Problems),
)]
pub(crate) async fn of_execution(
    State(app): State<api::App>,
    of: Owned<ExecutionAccount, Read>,
    Query(query): Query<PageQuery>,
) -> Result<Json<Listing<LedgerEntry>>, Problem> {
    page(&app, &of.caller, of.account, query).await
}

async fn page(
    app: &api::App,
    caller: &Caller,
    account: Account,
    query: PageQuery,
) -> Result<Json<Listing<LedgerEntry>>, Problem> {
    let owner = account.owner(caller.tenant().org());
    let list = format!("budgets/ledger/{owner}");
    let page = Paging::from(query).request(app, caller, &list)?;
    let budgets = app.store().budgets(caller.tenant());
    let entries = budgets.ledger_page(account, &page).await?;
    Ok(Json(Listing::new(app, caller, &list, entries)))
}
