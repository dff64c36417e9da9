//! Who gives credits to the org that never has enough: always for one call more, so that of several
//! runs some wait.

use std::time::Duration;

use domain::budget::Account;
use kernel::{MicroCredits, OrgId};
use store::{Error, Store, Tenant};
use tokio::time::sleep;

use crate::stage::{FOR_ONE_CALL, cause};

const EVERY: Duration = Duration::from_secs(1);

/// Raises what the org may spend, for as long as it is polled.
pub(crate) async fn raise_all(store: Store, poor: OrgId) {
    loop {
        sleep(EVERY).await;
        // What is not granted now is granted the next time.
        let _ = raise(&store, poor).await;
    }
}

async fn raise(store: &Store, poor: OrgId) -> Result<(), Error> {
    let budgets = store.budgets(Tenant::authorised(poor));
    let Some(budget) = budgets.get(Account::Org).await? else {
        return Ok(());
    };
    let taken = budget.spent.as_micros() + budget.reserved.as_micros();
    let enough = taken + FOR_ONE_CALL.as_micros();
    // A little at least: runs that wait are told of credits when a budget is raised.
    let granted = enough.max(budget.granted.as_micros() + 1);
    let granted = MicroCredits::new(granted);
    budgets.set(&cause(), Account::Org, granted).await?;
    Ok(())
}
