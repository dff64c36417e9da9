//! Many at once, against a DynamoDB that conflicts as AWS does.

use domain::budget::Account;
use futures::future::join_all;
use kernel::MicroCredits;
use store::{Commit, CommitError, Store};

use crate::proxy::Proxy;
use crate::support::{AGENT, Stage, call, reservation, reserve};

const PRICE: i64 = 1_000;

/// Sets credits aside for so many calls at once, and returns for how many there were some.
async fn reserve_at_once(
    stage: &Stage,
    store: &Store,
    accounts: &[Account],
    calls: usize,
) -> usize {
    let calls = (0..calls).map(|_| {
        let (store, accounts, tenant) = (store.clone(), accounts.to_vec(), stage.tenant);
        tokio::spawn(async move { reserve(&store, tenant, &accounts, PRICE).await })
    });
    let mut reserved = 0;
    for call in join_all(calls).await {
        match call.expect("no panic") {
            Ok(_) => reserved += 1,
            Err(CommitError::OverBudget { .. }) => {}
            Err(error) => panic!("neither paid nor refused: {}", store::explain(&error)),
        }
    }
    reserved
}

#[tokio::test(flavor = "multi_thread")]
async fn of_200_calls_at_once_on_a_budget_for_10_exactly_10_are_made() {
    let stage = Stage::start().await;
    let (proxy, address) = Proxy::start(stage.dynamodb(), 0).await;
    let store = stage.through(&address);
    stage.set(Account::Org, 10 * PRICE).await;
    stage.set(AGENT, 1_000 * PRICE).await;
    let accounts = [Account::Org, AGENT];
    assert_eq!(reserve_at_once(&stage, &store, &accounts, 200).await, 10);
    let org = stage.get(Account::Org).await.expect("a budget");
    assert_eq!(
        (org.available, org.reserved),
        (MicroCredits::ZERO, MicroCredits::new(10 * PRICE))
    );
    assert_eq!(stage.assert_sums(Account::Org).await, 11);
    // Whom the org refused, the agent did not pay for either.
    assert_eq!(stage.assert_sums(AGENT).await, 11);
    // Otherwise nothing was contended, and nothing shown.
    assert!(proxy.conflicts() > 200, "{} conflicts", proxy.conflicts());

    // The cost was known before: what is spent is what was granted, to the last micro-credit.
    let settle = (0..10).map(|_| settle(&stage, &store, PRICE));
    join_all(settle).await;
    let org = stage.get(Account::Org).await.expect("a budget");
    assert_eq!(
        (org.spent, org.available),
        (org.granted, MicroCredits::ZERO)
    );
    assert_eq!(stage.assert_sums(Account::Org).await, 21);
}

async fn settle(stage: &Stage, store: &Store, cost: i64) {
    let held = reservation(PRICE, &[Account::Org, AGENT]);
    let cost = MicroCredits::new(cost);
    let commit = Commit::new(stage.tenant).settle(&held, &call(1, 0), cost, store.now());
    store.commit(commit).await.expect("settled");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_overshoot_is_what_calls_cost_above_what_was_set_aside_for_them() {
    let stage = Stage::start().await;
    let (_, address) = Proxy::start(stage.dynamodb(), 0).await;
    let store = stage.through(&address);
    stage.set(Account::Org, 10 * PRICE).await;
    stage.set(AGENT, 1_000 * PRICE).await;
    let accounts = [Account::Org, AGENT];
    assert_eq!(reserve_at_once(&stage, &store, &accounts, 40).await, 10);
    let over = 250;
    join_all((0..10).map(|_| settle(&stage, &store, PRICE + over))).await;
    let org = stage.get(Account::Org).await.expect("a budget");
    assert_eq!(org.available, MicroCredits::new(-10 * over));
    assert_eq!(reserve_at_once(&stage, &store, &accounts, 10).await, 0);
    stage.assert_sums(Account::Org).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_all_can_be_paid_all_come_through_and_none_is_paid_twice() {
    const CALLS: usize = 80;
    let stage = Stage::start().await;
    // Every fifth transaction is carried out and its reply lost.
    let (proxy, address) = Proxy::start(stage.dynamodb(), 5).await;
    let store = stage.through(&address);
    let granted = CALLS as i64 * PRICE;
    stage.set(Account::Org, granted).await;
    stage.set(AGENT, granted).await;
    let calls = (0..CALLS).map(|_| {
        let (store, tenant) = (store.clone(), stage.tenant);
        tokio::spawn(async move {
            let accounts = reserve(&store, tenant, &[Account::Org, AGENT], PRICE).await?;
            let held = reservation(PRICE, &accounts);
            let cost = MicroCredits::new(PRICE - 1);
            let commit = Commit::new(tenant).settle(&held, &call(1, 0), cost, store.now());
            store.commit(commit).await
        })
    });
    for call in join_all(calls).await {
        call.expect("no panic").expect("comes through");
    }
    assert!(proxy.lost() > CALLS as u64 / 10);
    for account in [Account::Org, AGENT] {
        let budget = stage.get(account).await.expect("a budget");
        assert_eq!(budget.reserved, MicroCredits::ZERO);
        assert_eq!(budget.available, MicroCredits::new(CALLS as i64));
        assert_eq!(stage.assert_sums(account).await, 1 + 2 * CALLS as u64);
    }
}
