//! What a commit does to accounts for a call.

use domain::budget::{
    Account, Budget, LedgerCall, LedgerEntry, LedgerEntryKind, MAX_AMOUNT, Reservation,
};
use kernel::{LedgerEntryId, MicroCredits, OrgId, Timestamp};

use crate::{Commit, CommitError};

impl Commit {
    /// Gives a budget to an account that has none; refused as [`CommitError::Exists`] if it has.
    /// Without `granted`, credits are counted and not limited; with neither, nothing is written.
    /// What else is to be done to the account belongs into a later commit.
    pub fn open_account(
        self,
        org: OrgId,
        account: Account,
        granted: Option<MicroCredits>,
        steps: Option<u64>,
        now: Timestamp,
    ) -> Self {
        if granted.is_none() && steps.is_none() {
            return self;
        }
        let budget = Budget::new(org, account, granted, steps, now);
        let commit = self.create(&budget);
        if budget.granted == MicroCredits::ZERO {
            return commit;
        }
        commit.create(&LedgerEntry {
            id: LedgerEntryId::generate(now),
            org,
            account,
            kind: LedgerEntryKind::Grant,
            amount: budget.granted,
            spent: MicroCredits::ZERO,
            call: None,
            at: now,
        })
    }

    /// Sets `amount` aside for `call` from every one of these accounts, and takes one step of
    /// those whose steps are limited if it is a model call, which is the first of its step. Refused
    /// as [`CommitError::OverBudget`] if one does not have so much left, as
    /// [`CommitError::Changed`] if one was removed since it was read.
    pub fn reserve(
        mut self,
        budgets: &[Budget],
        call: &LedgerCall,
        amount: MicroCredits,
        now: Timestamp,
    ) -> Self {
        for budget in distinct(budgets) {
            if amount > MAX_AMOUNT {
                let account = budget.account;
                return self.refuse(CommitError::OverBudget { account });
            }
            let change = self.account(budget.account, now);
            if amount > MicroCredits::ZERO {
                change.reserve(amount, call);
            }
            if budget.steps_left.is_some() && call.call == 0 {
                change.take_step();
            }
        }
        self
    }

    /// Gives back what was set aside for a call and takes what it cost, from the accounts that
    /// paid for it. One that was removed meanwhile is passed over: a call must be able to end.
    pub fn settle(
        mut self,
        reservation: &Reservation,
        call: &LedgerCall,
        cost: MicroCredits,
        now: Timestamp,
    ) -> Self {
        let cost = bounded(cost, call);
        if reservation.amount <= MicroCredits::ZERO && cost == MicroCredits::ZERO {
            return self;
        }
        for account in unique(&reservation.accounts) {
            self.account(account, now)
                .settle(reservation.amount, cost, call);
        }
        self
    }

    /// Gives back what was set aside for a call that was not made, or of which nobody can tell what
    /// it cost. An account that was removed meanwhile is passed over.
    pub fn release(mut self, reservation: &Reservation, call: &LedgerCall, now: Timestamp) -> Self {
        if reservation.amount > MicroCredits::ZERO {
            for account in unique(&reservation.accounts) {
                self.account(account, now).release(reservation.amount, call);
            }
        }
        self
    }

    /// Takes what a call cost for which nothing is set aside any more. Accounts without a budget
    /// are passed over.
    pub fn charge(
        mut self,
        accounts: &[Account],
        call: &LedgerCall,
        cost: MicroCredits,
        now: Timestamp,
    ) -> Self {
        let cost = bounded(cost, call);
        if cost > MicroCredits::ZERO {
            for account in unique(accounts) {
                self.account(account, now).charge(cost, call);
            }
        }
        self
    }

    /// Refuses the whole change, as [`CommitError::Changed`], if the account could give `amount`
    /// and a step after all. A run that parks for want of credits parks under this condition:
    /// whoever raises the budget either is seen by it, or sees the parked run.
    pub fn while_short_of(
        mut self,
        account: Account,
        amount: MicroCredits,
        now: Timestamp,
    ) -> Self {
        self.account(account, now).while_short_of(amount);
        self
    }
}

/// No call can cost less than nothing or more than an account may hold.
fn bounded(cost: MicroCredits, call: &LedgerCall) -> MicroCredits {
    let bounded = cost.clamp(MicroCredits::ZERO, MAX_AMOUNT);
    if bounded != cost {
        tracing::error!(execution = %call.execution, %cost, "a call has an impossible cost");
    }
    bounded
}

fn distinct(budgets: &[Budget]) -> impl Iterator<Item = &Budget> {
    budgets.iter().enumerate().filter_map(|(index, budget)| {
        let is_first = budgets[..index]
            .iter()
            .all(|other| other.account != budget.account);
        is_first.then_some(budget)
    })
}

fn unique(accounts: &[Account]) -> Vec<Account> {
    let mut accounts = accounts.to_vec();
    accounts.sort_unstable();
    accounts.dedup();
    accounts
}
