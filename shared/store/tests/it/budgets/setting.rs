//! Setting and removing budgets.

use std::time::Duration;

use domain::budget::Account;
use domain::event::{Event, EventKind};
use kernel::MicroCredits;
use kernel::cursor::PageRequest;
use serde_json::json;
use store::budgets::{RAISED_JOB, RaisedPayload, RemoveError};
use store::{Commit, CommitError};
use work::{DUE_SHARDS, Job, JobStore as _};

use crate::support::{AGENT, RUN, Stage, call, cause, reservation, reserve};

/// The jobs that follow raises, by the accounts that they name.
async fn raised(stage: &Stage) -> Vec<Account> {
    let mut jobs: Vec<Job> = Vec::new();
    let horizon = stage.store.now().plus(Duration::from_secs(3_600));
    for shard in 0..DUE_SHARDS {
        let due = stage.store.due(shard, horizon, 100);
        jobs.extend(due.await.expect("an answer"));
    }
    jobs.sort_by_key(|job| job.created_at);
    jobs.iter()
        .filter(|job| job.kind == RAISED_JOB && job.org == stage.tenant.org())
        .map(|job| serde_json::from_value::<RaisedPayload>(job.payload.clone()))
        .map(|payload| payload.expect("a payload").account)
        .collect()
}

/// What was told of budgets: whose, and what was granted before and after.
async fn told(stage: &Stage) -> Vec<(String, serde_json::Value)> {
    let org = aws_sdk_dynamodb::types::AttributeValue::S(format!("ORG#{}", stage.tenant.org()));
    let log = stage
        .store
        .clients()
        .dynamo
        .query()
        .table_name(&stage.store.config().log)
        .key_condition_expression("pk = :org")
        .expression_attribute_values(":org", org)
        .send()
        .await
        .expect("the log is read");
    let events = log.items.unwrap_or_default().into_iter();
    events
        .map(|item| serde_dynamo::from_item::<_, Event>(item).expect("an event"))
        .filter(|event| event.kind == EventKind::BudgetChanged)
        .map(|event| (event.subject, event.data["changes"]["granted"].clone()))
        .collect()
}

#[tokio::test]
async fn a_budget_is_set_raised_lowered_and_removed_and_each_is_told_once() {
    let stage = Stage::start().await;
    let budget = stage.set(AGENT, 100).await;
    assert_eq!(budget.available, MicroCredits::new(100));
    // The same again is nothing.
    assert_eq!(stage.set(AGENT, 100).await, budget);
    assert_eq!(raised(&stage).await, []);
    stage.set(AGENT, 150).await;
    assert_eq!(raised(&stage).await, [AGENT]);
    let lowered = stage.set(AGENT, 20).await;
    assert_eq!(
        (lowered.available, lowered.version),
        (MicroCredits::new(20), 3)
    );
    assert_eq!(raised(&stage).await, [AGENT]);
    assert_eq!(stage.assert_sums(AGENT).await, 3);

    let budgets = stage.store.budgets(stage.tenant);
    budgets.remove(&cause(), AGENT).await.expect("removed");
    budgets
        .remove(&cause(), AGENT)
        .await
        .expect("it is gone already");
    assert_eq!(stage.get(AGENT).await, None);
    assert_eq!(stage.assert_sums(AGENT).await, 4);
    // Whoever waited for it may go on.
    assert_eq!(raised(&stage).await, [AGENT, AGENT]);

    stage.set(AGENT, 5).await;
    assert_eq!(stage.assert_sums(AGENT).await, 5);
    let Account::Agent { id } = AGENT else {
        unreachable!()
    };
    let step = |before, after| {
        let granted = json!({ "before": before, "after": after });
        (id.to_string(), granted)
    };
    let none = serde_json::Value::Null;
    let expected = [
        step(none.clone(), json!(100)),
        step(json!(100), json!(150)),
        step(json!(150), json!(20)),
        step(json!(20), none.clone()),
        step(none, json!(5)),
    ];
    assert_eq!(told(&stage).await, expected);
}

#[tokio::test]
async fn lowering_below_what_is_set_aside_lets_calls_end_and_begins_none() {
    let stage = Stage::start().await;
    let (store, tenant) = (&stage.store, stage.tenant);
    stage.set(Account::Org, 100).await;
    let accounts = reserve(store, tenant, &[Account::Org], 80)
        .await
        .expect("enough");
    let lowered = stage.set(Account::Org, 50).await;
    assert_eq!(lowered.available, MicroCredits::new(-30));
    let refused = reserve(store, tenant, &[Account::Org], 1).await;
    assert!(matches!(refused, Err(CommitError::OverBudget { .. })));
    let held = reservation(80, &accounts);
    let commit = Commit::new(tenant).settle(&held, &call(1, 0), MicroCredits::new(60), store.now());
    store.commit(commit).await.expect("settled");
    let after = stage.get(Account::Org).await.expect("a budget");
    assert_eq!(after.available, MicroCredits::new(-10));
    stage.assert_sums(Account::Org).await;
}

#[tokio::test]
async fn a_budget_with_something_set_aside_is_not_removed() {
    let stage = Stage::start().await;
    let (store, tenant) = (&stage.store, stage.tenant);
    stage.set(Account::Org, 100).await;
    let accounts = reserve(store, tenant, &[Account::Org], 80)
        .await
        .expect("enough");
    let budgets = store.budgets(tenant);
    let refused = budgets.remove(&cause(), Account::Org).await;
    assert!(
        matches!(refused, Err(RemoveError::Reserved { reserved }) if reserved.as_micros() == 80),
        "{refused:?}"
    );
    assert_eq!(told(&stage).await.len(), 1);
    let commit = Commit::new(tenant).release(&reservation(80, &accounts), &call(1, 0), store.now());
    store.commit(commit).await.expect("released");
    budgets.remove(&cause(), Account::Org).await.expect("free");
    assert_eq!(stage.assert_sums(Account::Org).await, 4);
}

#[tokio::test]
async fn an_account_whose_steps_alone_were_limited_gets_a_limit_of_credits() {
    let stage = Stage::start().await;
    let (store, tenant) = (&stage.store, stage.tenant);
    let open = Commit::new(tenant).open_account(tenant.org(), RUN, None, Some(9), store.now());
    store.commit(open).await.expect("opened");
    reserve(store, tenant, &[RUN], 40).await.expect("unlimited");
    let set = stage.set(RUN, 50).await;
    assert_eq!((set.available.as_micros(), set.steps_left), (10, Some(8)));
    assert!(!set.credits_unlimited);
    let refused = reserve(store, tenant, &[RUN], 11).await;
    assert!(matches!(refused, Err(CommitError::OverBudget { .. })));
    stage.assert_sums(RUN).await;
    // To nothing is a limit as well.
    stage.tear_out(RUN).await;
    let open = Commit::new(tenant).open_account(tenant.org(), RUN, None, Some(9), store.now());
    store.commit(open).await.expect("opened");
    assert!(!stage.set(RUN, 0).await.credits_unlimited);
}

#[tokio::test]
async fn of_many_who_set_a_budget_at_once_each_takes_effect_once() {
    let stage = Stage::start().await;
    let (store, tenant) = (&stage.store, stage.tenant);
    let amounts: Vec<i64> = (1..=12).map(|n| n * 1_000).collect();
    let sets = amounts.iter().map(|amount| {
        let budgets = store.budgets(tenant);
        async move {
            budgets
                .set(&cause(), Account::Org, MicroCredits::new(*amount))
                .await
        }
    });
    let all = futures::future::join_all(sets).await;
    let done = all.iter().filter(|set| set.is_ok()).count() as u64;
    let budget = stage.get(Account::Org).await.expect("a budget");
    assert!(amounts.contains(&budget.granted.as_micros()));
    assert_eq!(budget.granted, budget.available);
    assert_eq!(stage.assert_sums(Account::Org).await, done);
    assert_eq!(told(&stage).await.len() as u64, done);
    assert!(all.iter().all(Result::is_ok), "{all:?}");
}

#[tokio::test]
async fn accounts_are_listed_page_after_page_and_those_of_another_org_are_not() {
    let stage = Stage::start().await;
    for account in [RUN, Account::Org, AGENT] {
        stage.set(account, 1).await;
    }
    let budgets = stage.store.budgets(stage.tenant);
    let mut found = Vec::new();
    let mut after = None;
    loop {
        let page = budgets
            .page(&PageRequest { limit: 1, after })
            .await
            .expect("an answer");
        found.extend(page.items.into_iter().map(|budget| budget.account));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(found, [AGENT, Account::Org, RUN]);
    let of = budgets.of(&[RUN, AGENT, RUN]).await.expect("an answer");
    let of: Vec<Account> = of.iter().map(|budget| budget.account).collect();
    assert_eq!(of, [AGENT, RUN]);
    assert_eq!(budgets.of(&[]).await.expect("an answer"), []);
    let other = stage.store.budgets(crate::support::tenant());
    let page = other
        .page(&PageRequest::first(10))
        .await
        .expect("an answer");
    assert_eq!(page.items, []);
    assert_eq!(other.get(Account::Org).await.expect("an answer"), None);
}
