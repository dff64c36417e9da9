//! The chain: verified, tampered with, and written again from the log.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::types::AttributeValue;
use domain::audit::{AuditEntry, ChainVerifier};
use event_router::EventRouter;
use lambda::StreamReader as _;
use rand::seq::SliceRandom as _;
use serde_json::{Value, json};

use super::{Row, entries, log_of, settled};
use crate::support::fixture::Fixture;
use crate::support::{World, eventually, tenant, text};

#[tokio::test]
async fn the_chain_is_verified_by_the_api_and_by_arithmetic_alone() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    for name in ["A", "B", "C"] {
        admin
            .create("/v1/knowledge-bases", &json!({ "name": name }))
            .await;
    }
    let head = settled(&world, &admin).await;
    let verified = admin.get("/v1/audit/verify").await.ok();
    assert_eq!(
        (&verified["intact"], &verified["verified_to"]),
        (&json!(true), &json!(head.sequence))
    );
    assert_eq!(verified["head"], json!(head));
    assert_eq!(
        (&verified["break"], &verified["next_cursor"]),
        (&Value::Null, &Value::Null)
    );

    let mut verifier = ChainVerifier::new(tenant(&admin).org());
    for entry in &entries(&admin).await {
        verifier
            .check(entry)
            .expect("the entry continues the chain");
    }
    assert_eq!(verifier.finish(&head), Ok(()));
}

#[tokio::test]
async fn whatever_is_changed_in_the_store_is_found() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    for number in 0..4 {
        admin
            .create(
                "/v1/knowledge-bases",
                &json!({ "name": format!("B{number}") }),
            )
            .await;
    }
    let head = settled(&world, &admin).await;
    assert_eq!(head.sequence, 5);
    let store = world.store();
    let client = &store.clients().dynamo;
    let rows = client
        .scan()
        .table_name(&store.config().audit)
        .send()
        .await
        .expect("a scan");
    let entry = |sequence: u64| {
        let is_it = |row: &&Row| {
            let number = row.get("sequence").and_then(|number| number.as_n().ok());
            number.is_some_and(|number| *number == sequence.to_string())
                && row.contains_key("previous_hash")
        };
        rows.items().iter().find(is_it).expect("the entry").clone()
    };
    let put = async |row: Row| {
        let put = client
            .put_item()
            .table_name(&store.config().audit)
            .set_item(Some(row));
        put.send().await.expect("is written");
    };
    let broken = async || {
        let verified = admin.get("/v1/audit/verify").await.ok();
        assert_eq!(verified["intact"], false, "{verified}");
        (
            text(&verified["break"]["code"]),
            verified["break"]["sequence"].as_u64().expect("a number"),
        )
    };

    let mut changed = entry(3);
    changed.insert(
        "subject".to_owned(),
        AttributeValue::S("kb_another".to_owned()),
    );
    put(changed.clone()).await;
    assert_eq!(broken().await, ("content".to_owned(), 3));
    // With its hash made to fit, the next entry does not.
    let mut sealed: AuditEntry = serde_dynamo::from_item(changed.clone()).expect("an entry");
    sealed.hash = sealed.content_hash();
    changed.insert("hash".to_owned(), AttributeValue::S(sealed.hash));
    put(changed).await;
    assert_eq!(broken().await, ("link".to_owned(), 4));
    put(entry(3)).await;
    assert_eq!(admin.get("/v1/audit/verify").await.ok()["intact"], true);

    for sequence in [2, 5] {
        let row = entry(sequence);
        let mut delete = client.delete_item().table_name(&store.config().audit);
        for name in ["pk", "sk"] {
            delete = delete.key(name, row[name].clone());
        }
        delete.send().await.expect("is deleted");
        let code = if sequence == 5 { "end" } else { "sequence" };
        assert_eq!(broken().await, (code.to_owned(), sequence));
        put(row).await;
    }
    assert_eq!(admin.get("/v1/audit/verify").await.ok()["intact"], true);
}

#[tokio::test]
async fn the_log_read_again_in_any_order_changes_nothing() {
    let world = World::start().await;
    let fixture = Fixture::build(&world, "one").await;
    let admin = &fixture.admin;
    let before = settled(&world, admin).await;
    let stats = fixture.path("/v1/agents/{agent_id}/stats");
    let runs = fixture.path("/v1/executions?agent_id={agent_id}&state=completed");
    let completed = admin.list(&runs).await.len();
    let counted = eventually("the runs are counted", async || {
        let stats = admin.get(&stats).await.ok();
        (stats["executions_completed"] == completed).then_some(stats)
    })
    .await;
    let log = log_of(&world, admin).await;
    assert!(log.len() > 10, "{} events", log.len());
    let router = EventRouter::new(world.store().clone());
    let mut items: Vec<serde_dynamo::Item> = log.into_iter().map(Into::into).collect();
    for _ in 0..4 {
        items.shuffle(&mut rand::rng());
        // Whole, and in parts that overlap.
        assert_eq!(router.read(items.clone()).await, items.len());
        for part in items.chunks(7) {
            let twice = [part, part].concat();
            assert_eq!(router.read(twice.clone()).await, twice.len());
        }
    }
    let after = world
        .store()
        .audit(tenant(admin))
        .head()
        .await
        .expect("an answer");
    assert_eq!(after, before);
    assert_eq!(admin.get(&stats).await.ok(), counted);
    assert_eq!(admin.get("/v1/audit/verify").await.ok()["intact"], true);
}

#[tokio::test]
async fn the_chains_of_two_orgs_are_apart() {
    let world = World::start().await;
    let (ada, bob) = (world.founder("ada").await, world.founder("bob").await);
    ada.create("/v1/knowledge-bases", &json!({ "name": "B" }))
        .await;
    let (ours, theirs) = (settled(&world, &ada).await, settled(&world, &bob).await);
    assert_eq!((ours.sequence, theirs.sequence), (2, 1));
    let orgs = |entries: &[AuditEntry]| -> BTreeSet<String> {
        entries.iter().map(|entry| entry.org.to_string()).collect()
    };
    assert_eq!(
        orgs(&entries(&ada).await),
        BTreeSet::from([ada.org().to_owned()])
    );
    assert_eq!(
        orgs(&entries(&bob).await),
        BTreeSet::from([bob.org().to_owned()])
    );
}
