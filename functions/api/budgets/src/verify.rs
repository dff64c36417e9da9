use api::{Granted, Problem, Problems, Read};
use axum::Json;
use axum::extract::State;
use domain::budget::{Account, Budget};
use kernel::MicroCredits;
use serde::Serialize;
use utoipa::ToSchema;

/// Whether a ledger adds up.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LedgerVerification {
    /// Whether the sum is the balance.
    sums_to_balance: bool,
    /// The amounts of all entries, added up, in micro-credits.
    sum: MicroCredits,
    /// What is available; zero without a budget.
    balance: MicroCredits,
    /// How many entries were added up.
    entries: u64,
}

/// Add the whole ledger of the organization up, entry by entry, and compare it with its budget. 503
/// if calls are paid so fast that there is no moment for which it could be added up.
#[utoipa::path(
    get, path = "/v1/budgets/org/verify", tag = "budgets", operation_id = "verify_org_ledger",
    security(("bearer" = ["budgets:read"])),
    responses((status = 200, body = LedgerVerification), Problems),
)]
pub(crate) async fn verify(
    State(app): State<api::App>,
    caller: Granted<Budget, Read>,
) -> Result<Json<LedgerVerification>, Problem> {
    let budgets = app.store().budgets(caller.tenant());
    let found = budgets.verify(Account::Org).await?;
    Ok(Json(LedgerVerification {
        sums_to_balance: found.sum == found.balance,
        sum: found.sum,
        balance: found.balance,
        entries: found.entries,
    }))
}
