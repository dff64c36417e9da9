//! What single calls do to accounts.

use domain::budget::{Account, LedgerEntryKind, MAX_AMOUNT};
use kernel::MicroCredits;
use kernel::cursor::PageRequest;
use store::{Commit, CommitError};

use crate::support::{AGENT, RUN, Stage, call, reservation, reserve};

fn micros(amount: i64) -> MicroCredits {
    MicroCredits::new(amount)
}

/// Granted, spent, reserved, available.
async fn figures(stage: &Stage, account: Account) -> [i64; 4] {
    let budget = stage.get(account).await.expect("a budget");
    assert_eq!(
        budget.available.as_micros(),
        budget.granted.as_micros() - budget.spent.as_micros() - budget.reserved.as_micros()
    );
    [
        budget.granted,
        budget.spent,
        budget.reserved,
        budget.available,
    ]
    .map(MicroCredits::as_micros)
}

#[tokio::test]
async fn a_call_is_paid_from_every_account_that_has_a_budget() {
    let stage = Stage::start().await;
    let (store, tenant) = (&stage.store, stage.tenant);
    stage.set(Account::Org, 100).await;
    stage.set(AGENT, 50).await;
    let accounts = reserve(store, tenant, &[Account::Org, AGENT, RUN], 30)
        .await
        .expect("enough");
    assert_eq!(accounts, [Account::Org, AGENT]);
    assert_eq!(figures(&stage, Account::Org).await, [100, 0, 30, 70]);
    assert_eq!(figures(&stage, AGENT).await, [50, 0, 30, 20]);
    assert_eq!(stage.get(RUN).await, None);

    let commit = Commit::new(tenant).settle(
        &reservation(30, &accounts),
        &call(1, 0),
        micros(12),
        store.now(),
    );
    store.commit(commit).await.expect("settled");
    assert_eq!(figures(&stage, Account::Org).await, [100, 12, 0, 88]);
    assert_eq!(figures(&stage, AGENT).await, [50, 12, 0, 38]);
    assert_eq!(stage.assert_sums(Account::Org).await, 3);
    assert_eq!(stage.assert_sums(AGENT).await, 3);

    let ledger = store.budgets(tenant);
    let page = ledger
        .ledger_page(AGENT, &PageRequest::first(10))
        .await
        .expect("an answer");
    let entries: Vec<_> = page
        .items
        .iter()
        .map(|entry| {
            (
                entry.kind,
                entry.amount.as_micros(),
                entry.spent.as_micros(),
            )
        })
        .collect();
    assert_eq!(
        entries,
        [
            (LedgerEntryKind::Settle, 18, 12),
            (LedgerEntryKind::Reserve, -30, 0),
            (LedgerEntryKind::Grant, 50, 0),
        ]
    );
    assert_eq!(page.items[0].call, Some(call(1, 0)));
}

#[tokio::test]
async fn one_account_that_does_not_suffice_refuses_the_call_and_nothing_is_written() {
    let stage = Stage::start().await;
    let (store, tenant) = (&stage.store, stage.tenant);
    stage.set(Account::Org, 100).await;
    stage.set(AGENT, 29).await;
    let refused = reserve(store, tenant, &[Account::Org, AGENT], 30).await;
    assert!(
        matches!(refused, Err(CommitError::OverBudget { account }) if account == AGENT),
        "{refused:?}"
    );
    assert_eq!(figures(&stage, Account::Org).await, [100, 0, 0, 100]);
    // Exactly what is there is enough, and then there is nothing left.
    reserve(store, tenant, &[Account::Org, AGENT], 29)
        .await
        .expect("enough");
    let refused = reserve(store, tenant, &[Account::Org, AGENT], 1).await;
    assert!(matches!(refused, Err(CommitError::OverBudget { .. })));
    // The impossible is refused before it is asked for.
    let refused = reserve(store, tenant, &[AGENT], MAX_AMOUNT.as_micros() + 1).await;
    assert!(matches!(refused, Err(CommitError::OverBudget { .. })));
}

#[tokio::test]
async fn what_costs_nothing_writes_nothing() {
    let stage = Stage::start().await;
    let (store, tenant) = (&stage.store, stage.tenant);
    let before = stage.set(Account::Org, 0).await;
    reserve(store, tenant, &[Account::Org], 0)
        .await
        .expect("free");
    let free = reservation(0, &[Account::Org]);
    let now = store.now();
    let commit = Commit::new(tenant)
        .settle(&free, &call(1, 0), MicroCredits::ZERO, now)
        .release(&free, &call(1, 0), now)
        .charge(&[Account::Org], &call(1, 0), MicroCredits::ZERO, now);
    store.commit(commit).await.expect("nothing to do");
    assert_eq!(stage.get(Account::Org).await, Some(before));
    assert_eq!(stage.assert_sums(Account::Org).await, 0);
}

#[tokio::test]
async fn a_commit_may_settle_one_call_and_set_credits_aside_for_the_next() {
    let stage = Stage::start().await;
    let (store, tenant) = (&stage.store, stage.tenant);
    stage.set(Account::Org, 40).await;
    reserve(store, tenant, &[Account::Org], 30)
        .await
        .expect("enough");
    let budgets = store.budgets(tenant).of(&[Account::Org]).await.expect("ok");
    let both = |next: i64| {
        let held = reservation(30, &[Account::Org]);
        let now = store.now();
        Commit::new(tenant)
            .settle(&held, &call(1, 0), micros(10), now)
            .reserve(&budgets, &call(2, 0), micros(next), now)
    };
    // 10 are left and 20 come back.
    let refused = store.commit(both(31)).await;
    assert!(
        matches!(refused, Err(CommitError::OverBudget { .. })),
        "{refused:?}"
    );
    store.commit(both(30)).await.expect("just enough");
    assert_eq!(figures(&stage, Account::Org).await, [40, 10, 30, 0]);
    assert_eq!(stage.assert_sums(Account::Org).await, 4);
}

#[tokio::test]
async fn a_call_that_cost_more_than_was_set_aside_leaves_less_than_nothing() {
    let stage = Stage::start().await;
    let (store, tenant) = (&stage.store, stage.tenant);
    stage.set(Account::Org, 30).await;
    let accounts = reserve(store, tenant, &[Account::Org], 30)
        .await
        .expect("enough");
    let now = store.now();
    let commit =
        Commit::new(tenant).settle(&reservation(30, &accounts), &call(1, 0), micros(45), now);
    store.commit(commit).await.expect("settled");
    assert_eq!(figures(&stage, Account::Org).await, [30, 45, 0, -15]);
    let commit = Commit::new(tenant).charge(&accounts, &call(2, 0), micros(5), now);
    store.commit(commit).await.expect("charged");
    assert_eq!(figures(&stage, Account::Org).await, [30, 50, 0, -20]);
    let refused = reserve(store, tenant, &[Account::Org], 1).await;
    assert!(matches!(refused, Err(CommitError::OverBudget { .. })));
    assert_eq!(stage.assert_sums(Account::Org).await, 4);
}

#[tokio::test]
async fn a_call_ends_though_its_account_is_gone_or_was_made_anew() {
    let stage = Stage::start().await;
    let (store, tenant) = (&stage.store, stage.tenant);
    for remade in [false, true] {
        for settle in [false, true] {
            stage.set(Account::Org, 1_000).await;
            let before = figures(&stage, Account::Org).await;
            stage.set(AGENT, 100).await;
            let accounts = reserve(store, tenant, &[Account::Org, AGENT], 30)
                .await
                .expect("enough");
            stage.tear_out(AGENT).await;
            if remade {
                stage.set(AGENT, 70).await;
            }
            let (held, now) = (reservation(30, &accounts), store.now());
            let commit = Commit::new(tenant);
            let commit = if settle {
                commit.settle(&held, &call(1, 0), micros(10), now)
            } else {
                commit.release(&held, &call(1, 0), now)
            };
            store.commit(commit).await.expect("ends");
            let spent = if settle { 10 } else { 0 };
            let after = figures(&stage, Account::Org).await;
            assert_eq!(after, [1_000, before[1] + spent, 0, before[3] - spent]);
            // No row comes into being by itself, and none takes what was never its own.
            let agent = stage.get(AGENT).await.map(|budget| budget.available);
            assert_eq!(agent, remade.then(|| micros(70)), "{remade} {settle}");
            stage.tear_out(AGENT).await;
        }
    }
    stage.assert_sums(Account::Org).await;
    // Alone in its commit, there is nothing left to be written.
    let commit = Commit::new(tenant).charge(&[AGENT, RUN], &call(1, 0), micros(1), store.now());
    store.commit(commit).await.expect("passed over");
    assert_eq!((stage.get(AGENT).await, stage.get(RUN).await), (None, None));
}

#[tokio::test]
async fn an_account_that_is_removed_before_a_reservation_has_the_budgets_read_again() {
    let stage = Stage::start().await;
    let (store, tenant) = (&stage.store, stage.tenant);
    stage.set(AGENT, 100).await;
    let budgets = store.budgets(tenant).of(&[AGENT]).await.expect("an answer");
    stage.tear_out(AGENT).await;
    let commit = Commit::new(tenant).reserve(&budgets, &call(1, 0), micros(1), store.now());
    let refused = store.commit(commit).await;
    assert!(
        matches!(refused, Err(CommitError::Changed { noun: "budget" })),
        "{refused:?}"
    );
}

#[tokio::test]
async fn steps_are_taken_by_model_calls_whatever_they_cost() {
    let stage = Stage::start().await;
    let (store, tenant) = (&stage.store, stage.tenant);
    let commit = Commit::new(tenant).open_account(tenant.org(), RUN, None, Some(2), store.now());
    store.commit(commit).await.expect("opened");
    let take = async |step: u32, number: u32, amount: i64| {
        let budgets = store.budgets(tenant).of(&[RUN]).await.expect("an answer");
        let now = store.now();
        let commit =
            Commit::new(tenant).reserve(&budgets, &call(step, number), micros(amount), now);
        store.commit(commit).await
    };
    take(1, 0, 0).await.expect("a step");
    take(1, 1, 0).await.expect("a tool call, which is none");
    take(2, 0, 500)
        .await
        .expect("credits are counted and not limited");
    let refused = take(3, 0, 0).await;
    assert!(
        matches!(refused, Err(CommitError::OverBudget { account }) if account == RUN),
        "{refused:?}"
    );
    let budget = stage.get(RUN).await.expect("a budget");
    assert_eq!(
        (budget.steps_left, budget.credits_unlimited),
        (Some(0), true)
    );
    assert_eq!(figures(&stage, RUN).await, [0, 0, 500, -500]);
    assert_eq!(stage.assert_sums(RUN).await, 1);
    // An account is opened once, and neither credits nor steps is none at all.
    let again =
        Commit::new(tenant).open_account(tenant.org(), RUN, Some(micros(1)), None, store.now());
    let refused = store.commit(again).await;
    assert!(matches!(refused, Err(CommitError::Exists { .. })));
    let none = Commit::new(tenant).open_account(tenant.org(), AGENT, None, None, store.now());
    store.commit(none).await.expect("nothing");
    assert_eq!(stage.get(AGENT).await, None);
}

#[tokio::test]
async fn nobody_parks_for_credits_that_came_meanwhile() {
    let stage = Stage::start().await;
    let (store, tenant) = (&stage.store, stage.tenant);
    let park = async |account: Account| {
        let commit = Commit::new(tenant).while_short_of(account, micros(10), store.now());
        store.commit(commit).await
    };
    let came = |parked: Result<(), CommitError>| {
        matches!(parked, Err(CommitError::Changed { noun: "budget" }))
    };
    stage.set(Account::Org, 9).await;
    park(Account::Org).await.expect("short");
    stage.set(Account::Org, 10).await;
    assert!(came(park(Account::Org).await));
    // Without a budget there is nothing to wait for.
    assert!(came(park(AGENT).await));
    let open =
        |steps| Commit::new(tenant).open_account(tenant.org(), RUN, None, Some(steps), store.now());
    store.commit(open(0)).await.expect("opened");
    park(RUN).await.expect("no steps");
    stage.tear_out(RUN).await;
    store.commit(open(1)).await.expect("opened");
    assert!(came(park(RUN).await));
}
