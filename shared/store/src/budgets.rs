//! Budgets: one row for each account that has one, and the ledger of what changed it.
//!
//! An account without a row is unlimited, and nothing is written for it. What an account has
//! available stands in its row, so that the condition of a commit can judge it: a reservation is
//! refused by DynamoDB itself, whatever else happens at the same moment. Every change of a row has
//! its entry in the ledger in the same transaction, so the amounts of an account's entries add up
//! to what it has available, at every moment.
//!
//! | module | holds |
//! |---|---|
//! | [`paying`] | what a commit does for a call: set aside, settle, release, charge |
//! | [`change`] | all that a commit does to one account, as one operation |

use domain::budget::{Account, Budget, LedgerEntry};
use domain::event::{Event, EventKind};
use domain::execution::Execution;
use kernel::MicroCredits;
use kernel::cursor::{Page, PageRequest};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use work::{Lane, NewJob};

use crate::commit::conflict_delay;
use crate::keys::{self, Key};
use crate::read::Order;
use crate::record::Record;
use crate::{Cause, Commit, CommitError, Error, ReadError, Store, Tenant};

mod change;
mod paying;

pub(crate) use change::{AccountChange, Refused};

/// The kind of the job that resumes what waited for an account.
pub const RAISED_JOB: &str = "budget.raised";
/// How often a budget is set against others who set it at the same time.
const SET_TRIES: u32 = 40;
/// How often a ledger is read anew because its account changed meanwhile.
const VERIFY_TRIES: u32 = 5;
const VERIFY_PAGE: u32 = 500;

/// What the job that follows a raise holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RaisedPayload {
    pub account: Account,
}

/// Whether a ledger adds up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verification {
    /// The sum of all entries.
    pub sum: MicroCredits,
    /// What the account has available; zero where it has no budget.
    pub balance: MicroCredits,
    /// How many entries there are.
    pub entries: u64,
}

/// Why a budget was not removed.
#[derive(Debug, thiserror::Error)]
pub enum RemoveError {
    /// Credits are set aside for calls that are under way.
    #[error("{reserved} credits are set aside for calls under way")]
    Reserved { reserved: MicroCredits },
    #[error(transparent)]
    Store(#[from] Error),
}

impl Record for Budget {
    const NOUN: &'static str = "budget";

    fn key(&self) -> Key {
        keys::budget(self.org, &self.account)
    }

    fn version(&self) -> u64 {
        self.version
    }
}

impl Record for LedgerEntry {
    const NOUN: &'static str = "ledger entry";

    fn key(&self) -> Key {
        keys::ledger_entry(self.org, &self.account, self.id)
    }
}

/// The budgets of one org.
#[derive(Debug, Clone, Copy)]
pub struct Budgets<'a> {
    store: &'a Store,
    tenant: Tenant,
}

impl Store {
    /// The budgets of an org.
    #[must_use]
    pub fn budgets(&self, tenant: Tenant) -> Budgets<'_> {
        Budgets {
            store: self,
            tenant,
        }
    }
}

impl Budgets<'_> {
    /// The budget of an account; none if it is unlimited.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn get(&self, account: Account) -> Result<Option<Budget>, ReadError> {
        let key = keys::budget(self.tenant.org(), &account);
        self.store.get(&key).await
    }

    /// The budgets of those of these accounts that have one, in the order of the accounts.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn of(&self, accounts: &[Account]) -> Result<Vec<Budget>, ReadError> {
        let mut accounts = accounts.to_vec();
        accounts.sort_unstable();
        accounts.dedup();
        let keys: Vec<Key> = accounts
            .iter()
            .map(|account| keys::budget(self.tenant.org(), account))
            .collect();
        let mut found: Vec<Budget> = self.store.get_batch(&keys).await?;
        found.sort_unstable_by_key(|budget| budget.account);
        Ok(found)
    }

    /// The budgets that a call of this run is paid from: of its org, its agent and the run at the
    /// beginning of its chain of calls, where they have one.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn of_run(&self, execution: &Execution) -> Result<Vec<Budget>, ReadError> {
        self.of(&Account::of_run(execution)).await
    }

    /// Every account that has a budget: agents, the org, then executions, each by age.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn page(&self, page: &PageRequest) -> Result<Page<Budget>, ReadError> {
        let list = keys::budgets(self.tenant.org());
        self.store.page(&list, page, Order::Ascending).await
    }

    /// Grants an account so much in all, whether it had a budget or not. What was spent and what is
    /// set aside stays so: lowering a budget below that leaves less than nothing available. When
    /// there is more than before, a job resumes what waited for it.
    ///
    /// # Errors
    /// [`Error::Commit`], as `Changed` if others set the budget all the while.
    pub async fn set(
        &self,
        cause: &Cause,
        account: Account,
        granted: MicroCredits,
    ) -> Result<Budget, Error> {
        let mut tries = 0;
        loop {
            tries += 1;
            let set = match self.get(account).await? {
                None => self.create(cause, account, granted).await,
                Some(budget) if budget.granted == granted && !budget.credits_unlimited => {
                    return Ok(budget);
                }
                Some(budget) => self.regrant(cause, &budget, granted).await,
            };
            match set {
                // Read again: calls may have been paid meanwhile.
                Ok(set) => return Ok(self.get(account).await?.unwrap_or(set)),
                Err(CommitError::Exists { .. } | CommitError::Changed { .. })
                    if tries < SET_TRIES =>
                {
                    tokio::time::sleep(conflict_delay(tries.min(4))).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn create(
        &self,
        cause: &Cause,
        account: Account,
        granted: MicroCredits,
    ) -> Result<Budget, CommitError> {
        let (org, now) = (self.tenant.org(), self.store.now());
        let budget = Budget::new(org, account, Some(granted), None, now);
        let commit = Commit::new(self.tenant)
            .open_account(org, account, Some(granted), None, now)
            .event(self.changed(cause, account, Value::Null, json!(granted)));
        self.store.commit(commit).await?;
        Ok(budget)
    }

    async fn regrant(
        &self,
        cause: &Cause,
        budget: &Budget,
        granted: MicroCredits,
    ) -> Result<Budget, CommitError> {
        let account = budget.account;
        let before = granted_of(budget);
        let mut commit =
            Commit::new(self.tenant).event(self.changed(cause, account, before, json!(granted)));
        commit
            .account(account, self.store.now())
            .grant(budget, granted);
        if granted > budget.granted && !budget.credits_unlimited {
            commit = commit.job(self.raised(cause, account));
        }
        self.store.commit(commit).await?;
        let difference = granted.as_micros() - budget.granted.as_micros();
        Ok(Budget {
            granted,
            available: MicroCredits::new(budget.available.as_micros() + difference),
            credits_unlimited: false,
            version: budget.version + 1,
            ..*budget
        })
    }

    /// Makes an account unlimited again, if it is not, and resumes what waited for it. Its ledger
    /// stays, closed by an entry that takes away what was left.
    ///
    /// # Errors
    /// [`RemoveError::Reserved`] while credits are set aside: their calls come back to the account.
    pub async fn remove(&self, cause: &Cause, account: Account) -> Result<(), RemoveError> {
        let mut tries = 0;
        loop {
            tries += 1;
            let read = self.get(account).await.map_err(Error::from)?;
            let Some(budget) = read else { return Ok(()) };
            if budget.reserved != MicroCredits::ZERO {
                let reserved = budget.reserved;
                return Err(RemoveError::Reserved { reserved });
            }
            let event = self.changed(cause, account, granted_of(&budget), Value::Null);
            let mut commit = Commit::new(self.tenant)
                .event(event)
                .job(self.raised(cause, account));
            commit.account(account, self.store.now()).close(&budget);
            match self.store.commit(commit).await {
                Ok(()) => return Ok(()),
                Err(CommitError::Changed { .. }) if tries < SET_TRIES => {
                    tokio::time::sleep(conflict_delay(tries.min(4))).await;
                }
                Err(error) => return Err(Error::from(error).into()),
            }
        }
    }

    /// The ledger of an account, newest first. It outlives the budget.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn ledger_page(
        &self,
        account: Account,
        page: &PageRequest,
    ) -> Result<Page<LedgerEntry>, ReadError> {
        let list = keys::ledger(self.tenant.org(), &account);
        self.store.page(&list, page, Order::Descending).await
    }

    /// Adds a whole ledger up, entry by entry.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer, or if the account changes again and again while
    /// its ledger is read, so that there is no moment for which it could be added up.
    pub async fn verify(&self, account: Account) -> Result<Verification, ReadError> {
        let mut before = self.get(account).await?;
        for _ in 0..VERIFY_TRIES {
            let (sum, entries) = self.sum(account).await?;
            let after = self.get(account).await?;
            if before == after {
                return Ok(Verification {
                    sum,
                    balance: after.map_or(MicroCredits::ZERO, |budget| budget.available),
                    entries,
                });
            }
            before = after;
        }
        Err(ReadError::Unavailable(
            "the account changed whenever its ledger was read".to_owned(),
        ))
    }

    async fn sum(&self, account: Account) -> Result<(MicroCredits, u64), ReadError> {
        let list = keys::ledger(self.tenant.org(), &account);
        let (mut sum, mut entries) = (0i64, 0u64);
        let mut after = None;
        loop {
            let request = PageRequest {
                limit: VERIFY_PAGE,
                after,
            };
            let page: Page<LedgerEntry> =
                self.store.page(&list, &request, Order::Ascending).await?;
            for entry in page.items {
                sum = sum.saturating_add(entry.amount.as_micros());
                entries += 1;
            }
            after = page.next;
            if after.is_none() {
                return Ok((MicroCredits::new(sum), entries));
            }
        }
    }

    fn changed(&self, cause: &Cause, account: Account, before: Value, after: Value) -> Event {
        let data = json!({
            "account": account,
            "changes": { "granted": { "before": before, "after": after } },
        });
        let owner = account.owner(self.tenant.org());
        self.store
            .event(self.tenant, cause, EventKind::BudgetChanged, owner, data)
    }

    fn raised(&self, cause: &Cause, account: Account) -> NewJob {
        let payload = json!({ "account": account });
        NewJob::new(self.tenant.org(), RAISED_JOB, Lane::AgentBulk, payload)
            .correlation_id(&cause.correlation_id)
    }
}

fn granted_of(budget: &Budget) -> Value {
    if budget.credits_unlimited {
        Value::Null
    } else {
        json!(budget.granted)
    }
}
