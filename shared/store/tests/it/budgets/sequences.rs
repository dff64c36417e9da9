//! Any sequence of what can be done to accounts, beside a model of them.

use std::collections::BTreeMap;

use domain::budget::{Account, Reservation};
use kernel::MicroCredits;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use store::budgets::RemoveError;
use store::{Commit, CommitError};

use crate::support::{AGENT, RUN, Stage, call, cause, reservation, tenant};

const ACCOUNTS: [Account; 3] = [Account::Org, AGENT, RUN];

#[derive(Debug, Clone)]
enum Step {
    Set { account: usize, granted: i64 },
    Remove { account: usize },
    Reserve { amount: i64 },
    Settle { which: usize, cost: i64 },
    Release { which: usize },
    Charge { cost: i64 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => (0..3usize, 0..200i64).prop_map(|(account, granted)| Step::Set { account, granted }),
        1 => (0..3usize).prop_map(|account| Step::Remove { account }),
        4 => (0..60i64).prop_map(|amount| Step::Reserve { amount }),
        3 => (0..9usize, 0..90i64).prop_map(|(which, cost)| Step::Settle { which, cost }),
        2 => (0..9usize).prop_map(|which| Step::Release { which }),
        1 => (0..40i64).prop_map(|cost| Step::Charge { cost }),
    ]
}

/// Granted, spent, reserved.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Figures {
    granted: i64,
    spent: i64,
    reserved: i64,
}

impl Figures {
    fn available(self) -> i64 {
        self.granted - self.spent - self.reserved
    }
}

#[derive(Debug, Default)]
struct Model {
    accounts: BTreeMap<Account, Figures>,
    open: Vec<Reservation>,
    /// How many entries each ledger has.
    entries: BTreeMap<Account, u64>,
}

impl Model {
    fn note(&mut self, account: Account, amount: i64, spent: i64) {
        if amount != 0 || spent != 0 {
            *self.entries.entry(account).or_default() += 1;
        }
    }

    fn take_open(&mut self, which: usize) -> Option<Reservation> {
        let open = self.open.len();
        (open > 0).then(|| self.open.remove(which % open))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_sums_to_its_balance_after_any_sequence() {
    let stage = std::sync::Arc::new(Stage::start().await);
    let runtime = tokio::runtime::Handle::current();
    // The runner of properties knows no futures: each case blocks its own thread.
    let outcome = tokio::task::spawn_blocking(move || {
        let mut runner = TestRunner::new(Config {
            cases: 48,
            failure_persistence: None,
            ..Config::default()
        });
        runner.run(&prop::collection::vec(step(), 1..40), |steps| {
            runtime.block_on(play(&stage, steps));
            Ok(())
        })
    });
    if let Err(error) = outcome.await.expect("no panic outside a case") {
        panic!("{error}");
    }
}

async fn play(stage: &Stage, steps: Vec<Step>) {
    let mut model = Model::default();
    let org = tenant();
    let store = &stage.store;
    let budgets = store.budgets(org);
    for step in steps {
        let now = store.now();
        match step {
            Step::Set { account, granted } => {
                let account = ACCOUNTS[account];
                let grant = MicroCredits::new(granted);
                budgets.set(&cause(), account, grant).await.expect("set");
                let known = model.accounts.entry(account).or_default();
                let difference = granted - known.granted;
                known.granted = granted;
                model.note(account, difference, 0);
            }
            Step::Remove { account } => {
                let account = ACCOUNTS[account];
                let known = model.accounts.get(&account).copied().unwrap_or_default();
                let removed = budgets.remove(&cause(), account).await;
                if known.reserved > 0 {
                    assert!(matches!(removed, Err(RemoveError::Reserved { .. })));
                } else {
                    removed.expect("removed");
                    model.accounts.remove(&account);
                    model.note(account, known.available(), 0);
                }
            }
            Step::Reserve { amount } => {
                let found = budgets.of(&ACCOUNTS).await.expect("an answer");
                let of = MicroCredits::new(amount);
                let commit = Commit::new(org).reserve(&found, &call(1, 1), of, now);
                let committed = store.commit(commit).await;
                let short = model
                    .accounts
                    .iter()
                    .find(|(_, known)| amount > 0 && known.available() < amount)
                    .map(|(account, _)| *account);
                match (committed, short) {
                    (Ok(()), None) => {
                        let accounts: Vec<Account> = model.accounts.keys().copied().collect();
                        for account in &accounts {
                            model.accounts.entry(*account).or_default().reserved += amount;
                            model.note(*account, -amount, 0);
                        }
                        model.open.push(reservation(amount, &accounts));
                    }
                    (Err(CommitError::OverBudget { account }), Some(expected)) => {
                        assert_eq!(account, expected);
                    }
                    (committed, short) => panic!("{committed:?}, but {short:?} is short"),
                }
            }
            Step::Settle { which, cost } => {
                let Some(held) = model.take_open(which) else {
                    continue;
                };
                let of = MicroCredits::new(cost);
                let commit = Commit::new(org).settle(&held, &call(1, 1), of, now);
                store.commit(commit).await.expect("settled");
                let reserved = held.amount.as_micros();
                for account in held.accounts {
                    // What holds nothing of an account does not keep it from being removed.
                    if let Some(known) = model.accounts.get_mut(&account) {
                        known.reserved -= reserved;
                        known.spent += cost;
                        model.note(account, reserved - cost, cost);
                    }
                }
            }
            Step::Release { which } => {
                let Some(held) = model.take_open(which) else {
                    continue;
                };
                let commit = Commit::new(org).release(&held, &call(1, 1), now);
                store.commit(commit).await.expect("released");
                let reserved = held.amount.as_micros();
                for account in held.accounts {
                    if let Some(known) = model.accounts.get_mut(&account) {
                        known.reserved -= reserved;
                        model.note(account, reserved, 0);
                    }
                }
            }
            Step::Charge { cost } => {
                let of = MicroCredits::new(cost);
                let commit = Commit::new(org).charge(&ACCOUNTS, &call(1, 1), of, now);
                store.commit(commit).await.expect("charged");
                let accounts: Vec<Account> = model.accounts.keys().copied().collect();
                for account in accounts {
                    model.accounts.entry(account).or_default().spent += cost;
                    model.note(account, -cost, cost);
                }
            }
        }
        for account in ACCOUNTS {
            let found = budgets.get(account).await.expect("an answer");
            let figures = found.map(|budget| Figures {
                granted: budget.granted.as_micros(),
                spent: budget.spent.as_micros(),
                reserved: budget.reserved.as_micros(),
            });
            assert_eq!(
                figures,
                model.accounts.get(&account).copied(),
                "{account:?}"
            );
            let available = found.map(|budget| budget.available.as_micros());
            assert_eq!(available, figures.map(Figures::available));
        }
    }
    for account in ACCOUNTS {
        let found = budgets.verify(account).await.expect("an answer");
        assert_eq!(found.sum, found.balance, "{account:?}");
        let entries = model.entries.get(&account).copied().unwrap_or(0);
        assert_eq!(found.entries, entries, "{account:?}");
    }
}
