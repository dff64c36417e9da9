//! What the operations of every kind of account share.

use api::{Caller, Problem};
use domain::budget::{Account, Budget, MAX_AMOUNT};
use garde::Validate;
use http::StatusCode;
use kernel::MicroCredits;
use serde::Deserialize;
use utoipa::ToSchema;

const MAX_GRANT: i64 = MAX_AMOUNT.as_micros();

/// What a budget is set to.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewBudget, example = json!({ "granted_micro_credits": 500_000_000 }))]
pub(crate) struct BudgetBody {
    /// Everything that may be spent, counted from the beginning of the budget, in micro-credits: a
    /// million of them is a credit, and a credit is one US cent.
    #[garde(range(min = 0, max = MAX_GRANT))]
    #[schema(minimum = 0, maximum = 1_000_000_000_000_000i64)]
    granted_micro_credits: i64,
}

/// The budget of an account, or 404 if it is unlimited.
pub(crate) async fn get(
    app: &api::App,
    caller: &Caller,
    account: Account,
) -> Result<axum::Json<Budget>, Problem> {
    let budget = app.store().budgets(caller.tenant()).get(account).await?;
    budget
        .map(axum::Json)
        .ok_or_else(|| Problem::not_found("budget"))
}

/// Sets the budget of an account.
pub(crate) async fn set(
    app: &api::App,
    caller: &Caller,
    account: Account,
    body: &BudgetBody,
) -> Result<axum::Json<Budget>, Problem> {
    let granted = MicroCredits::new(body.granted_micro_credits);
    let budgets = app.store().budgets(caller.tenant());
    Ok(axum::Json(
        budgets.set(&caller.cause(), account, granted).await?,
    ))
}

/// Makes an account unlimited, or 404 if it is.
pub(crate) async fn remove(
    app: &api::App,
    caller: &Caller,
    account: Account,
) -> Result<StatusCode, Problem> {
    let budgets = app.store().budgets(caller.tenant());
    if budgets.get(account).await?.is_none() {
        return Err(Problem::not_found("budget"));
    }
    budgets.remove(&caller.cause(), account).await?;
    Ok(StatusCode::NO_CONTENT)
}
