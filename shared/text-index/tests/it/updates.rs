//! What is marked is found, in whatever order and however often the marks come.

use domain::event::EventKind;
use kernel::OrgId;
use serde_json::json;
use store::{Commit, Tenant};
use work::{Handler as _, Outcome};

use crate::stage::Stage;

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_found_and_a_removal_is_not() {
    let stage = Stage::start().await;
    assert_eq!(stage.search("pump").await.total, 0, "there is no index yet");
    stage.put_task(stage.tenant, 1, "Repair the pump").await;
    stage.mark(&[stage.task_event(1)]).await;
    stage.update().await;
    let found = stage.search("pump").await;
    assert_eq!(
        (found.total, found.hits[0].item.title.as_str()),
        (1, "Repair the pump")
    );

    stage.put_task(stage.tenant, 1, "Repair the engine").await;
    stage.mark(&[stage.task_event(1)]).await;
    stage.update().await;
    assert_eq!(stage.search("pump").await.total, 0);
    assert_eq!(stage.search("engine").await.total, 1);

    let tasks = stage.store.tasks(stage.tenant);
    let task = tasks
        .get(kernel::TaskId::from_u128(1))
        .await
        .unwrap()
        .unwrap();
    stage
        .store
        .commit(Commit::new(stage.tenant).delete(&task, 1))
        .await
        .unwrap();
    stage.mark(&[stage.task_event(1)]).await;
    stage.update().await;
    assert_eq!(stage.search("engine").await.total, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn marks_that_come_twice_late_or_out_of_order_change_nothing() {
    let stage = Stage::start().await;
    let events: Vec<_> = (0..5).map(|_| stage.task_event(1)).collect();
    stage.put_task(stage.tenant, 1, "The last word").await;
    for order in [[4, 0, 0], [2, 4, 1], [0, 1, 0]] {
        stage
            .mark(&order.map(|number: usize| events[number].clone()))
            .await;
        stage.update().await;
        let found = stage.search("word").await;
        assert_eq!((found.total, found.hits.len()), (1, 1));
    }
    let left = stage
        .store
        .text_index(stage.tenant)
        .marks(10)
        .await
        .unwrap();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mark_that_is_made_again_meanwhile_stays() {
    let stage = Stage::start().await;
    stage
        .mark(&[stage.task_event(1), stage.task_event(2)])
        .await;
    let attempt = stage.claim(stage.tenant).await;
    let index = stage.store.text_index(stage.tenant);
    let taken = index.marks(10).await.unwrap();
    stage.mark(&[stage.task_event(2)]).await;
    index.clear(attempt.fence, &taken).await.unwrap();
    let left = index.marks(10).await.unwrap();
    assert_eq!(left.len(), 1);
    assert!(!taken.contains(&left[0]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_that_was_replaced_changes_nothing() {
    let stage = Stage::start().await;
    stage.put_task(stage.tenant, 1, "Pump").await;
    stage.mark(&[stage.task_event(1)]).await;
    let replaced = stage.claim(stage.tenant).await;
    let current = stage.claim(stage.tenant).await;
    let outcome = stage.writer().run(replaced).await;
    let Outcome::Retry { error, .. } = outcome else {
        panic!("{outcome:?}");
    };
    assert_eq!(error.code, "superseded");
    assert_eq!(stage.search("pump").await.total, 0);
    let marks = stage
        .store
        .text_index(stage.tenant)
        .marks(10)
        .await
        .unwrap();
    assert_eq!(marks.len(), 1, "and its mark is left");
    stage.writer().run(current).await;
    assert_eq!(stage.search("pump").await.total, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_writers_at_once_one_writes() {
    let stage = Stage::start().await;
    for round in 0..10 {
        stage
            .put_task(stage.tenant, 1, &format!("Pump {round}"))
            .await;
        stage.mark(&[stage.task_event(1)]).await;
        let replaced = stage.claim(stage.tenant).await;
        let current = stage.claim(stage.tenant).await;
        let (first, second) = (stage.writer(), stage.writer());
        let (first, second) = tokio::join!(first.run(replaced), second.run(current));
        // It found its marks served, or was refused.
        assert!(!matches!(first, Outcome::Fail { .. }), "{first:?}");
        assert!(matches!(second, Outcome::Park { .. }), "{second:?}");
        let found = stage.search(&format!("\"pump {round}\"")).await;
        assert_eq!((found.total, stage.search("pump").await.total), (1, 1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_org_finds_nothing_of_another() {
    let stage = Stage::start().await;
    let other = Tenant::authorised(OrgId::generate(stage.store.now()));
    stage.found(other).await;
    stage.put_task(stage.tenant, 1, "canaryone").await;
    stage.put_task(other, 1, "canarytwo").await;
    for tenant in [stage.tenant, other] {
        let mut event = stage.task_event(1);
        event.org = tenant.org();
        // An event of another org marks nothing here.
        let mut foreign = stage.task_event(2);
        foreign.org = OrgId::from_u128(9);
        let index = stage.store.text_index(tenant);
        index.mark(&[event, foreign]).await.unwrap();
        assert_eq!(index.marks(10).await.unwrap().len(), 1);
        stage.update_of(tenant).await;
    }
    for (tenant, own, foreign) in [
        (stage.tenant, "canaryone", "canarytwo"),
        (other, "canarytwo", "canaryone"),
    ] {
        assert_eq!(stage.search_in(tenant, own).await.total, 1);
        let query = text_index::Query {
            text: format!("{foreign} canary* canarytwi"),
            facets: text_index::Facet::ALL.to_vec(),
            ..text_index::Query::new("")
        };
        let scope = crate::stage::scope();
        let found = stage.reader.search(tenant, &scope, &query).await.unwrap();
        let suggested = stage
            .reader
            .suggest(tenant, &scope, "canary", 10)
            .await
            .unwrap();
        let shown = format!("{found:?} {suggested:?}");
        assert!(shown.contains(own) && !shown.contains(foreign), "{shown}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_an_org_that_is_gone_nothing_stays() {
    let stage = Stage::start().await;
    stage.put_task(stage.tenant, 1, "Pump").await;
    stage.mark(&[stage.task_event(1)]).await;
    stage.update().await;
    let orgs = stage.store.org(stage.tenant);
    let org = orgs.get().await.unwrap().unwrap();
    stage
        .store
        .commit(Commit::new(stage.tenant).delete(&org, 1))
        .await
        .unwrap();
    let deleted = stage.event(EventKind::OrgDeleted, org.id.to_string(), json!({}));
    stage.mark(&[deleted]).await;
    stage.update().await;
    let index = stage.store.text_index(stage.tenant);
    assert!(index.head().await.unwrap().is_none());
    assert!(index.bundles().await.unwrap().is_empty());
    assert!(index.marks(10).await.unwrap().is_empty());
    assert_eq!(stage.search("pump").await.total, 0);
    stage.mark(&[stage.task_event(1)]).await;
    stage.update().await;
    assert!(
        index.head().await.unwrap().is_none(),
        "not by a late event either"
    );
}
