//! `/v1/audit`: what happened, in a chain that shows every change of it.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::types::AttributeValue;
use domain::audit::{AuditEntry, ChainHead, ChainVerifier};
use domain::event::EventKind;
use event_router::EventRouter;
use lambda::StreamReader as _;
use rand::seq::SliceRandom as _;
use serde_json::{Value, json};

use crate::support::fixture::Fixture;
use crate::support::{Api, World, eventually, tenant, text};

/// Waits until the chain has stopped growing: until it holds as much as the log.
async fn settled(world: &World, api: &Api) -> ChainHead {
    eventually("the chain has caught up with the log", async || {
        let logged = log_of(world, api).await.len();
        let head = world
            .store()
            .audit(tenant(api))
            .head()
            .await
            .expect("an answer");
        (head.sequence == logged as u64).then_some(head)
    })
    .await
}

/// The rows of an org's log.
async fn log_of(
    world: &World,
    api: &Api,
) -> Vec<std::collections::HashMap<String, AttributeValue>> {
    let store = world.store();
    let rows = store
        .clients()
        .dynamo
        .query()
        .table_name(&store.config().log)
        .key_condition_expression("pk = :pk")
        .expression_attribute_values(":pk", AttributeValue::S(format!("ORG#{}", api.org())))
        .send()
        .await;
    rows.expect("an answer").items().to_vec()
}

async fn entries(api: &Api) -> Vec<AuditEntry> {
    let mut entries: Vec<AuditEntry> = api
        .list("/v1/audit")
        .await
        .into_iter()
        .map(|entry| serde_json::from_value(entry).expect("an entry"))
        .collect();
    entries.reverse();
    entries
}

#[tokio::test]
async fn every_kind_of_change_is_in_the_chain_with_who_did_it() {
    let world = World::start().await;
    let fixture = Fixture::build(&world, "one").await;
    let admin = &fixture.admin;
    let me = text(&admin.get("/v1/users/me").await.ok()["id"]);
    change_everything(&world, &fixture).await;
    settled(&world, admin).await;
    let entries = entries(admin).await;
    let seen: BTreeSet<&str> = entries.iter().map(|entry| entry.kind.name()).collect();
    // The org's own end is sealed as well; it is seen by nobody after it.
    let unseen = [EventKind::OrgDeleted, EventKind::ExecutionFailed];
    let expected = EventKind::ALL
        .iter()
        .filter(|kind| !unseen.contains(kind))
        .map(|kind| kind.name());
    let missing: Vec<&str> = expected.filter(|kind| !seen.contains(kind)).collect();
    assert_eq!(missing, Vec::<&str>::new());
    let created = entries
        .iter()
        .find(|entry| entry.kind == EventKind::AgentCreated)
        .expect("seen");
    assert_eq!(created.subject, fixture.id("agent_id"));
    assert_eq!(
        serde_json::to_value(created.actor).expect("JSON"),
        json!({ "kind": "user", "id": me })
    );
    assert!(
        created.correlation_id.starts_with("req_"),
        "{}",
        created.correlation_id
    );
    // A change says what was before and after.
    let renamed = entries
        .iter()
        .find(|entry| entry.kind == EventKind::OrgUpdated)
        .expect("seen");
    let name = &renamed.data["changes"]["name"];
    assert_eq!(
        name,
        &json!({ "before": "Org of one-admin", "after": "Bakery" })
    );
    // No event tells a secret.
    let all = serde_json::to_string(&entries).expect("JSON");
    for secret in [&fixture.token, admin.credential(), "og_local_"] {
        assert!(!all.contains(secret), "{secret}");
    }
}

/// Changes and deletes one of everything, after all of it was created.
async fn change_everything(world: &World, fixture: &Fixture) {
    let admin = &fixture.admin;
    let confirm = fixture.path("/v1/files/{file_id}/confirm");
    admin.post(&confirm, &json!({})).await.ok();
    let documents = fixture.path("/v1/knowledge-bases/{knowledge_base_id}/documents");
    eventually("the document is indexed", async || {
        let all = admin.list(&documents).await;
        (all[0]["status"] == "ready").then_some(())
    })
    .await;
    let base = fixture.id("knowledge_base_id");
    let bad = world.upload(admin, "text.pdf", b"no PDF", Some(base)).await;
    admin
        .post(
            &format!("/v1/files/{}/confirm", text(&bad["id"])),
            &json!({}),
        )
        .await
        .ok();
    eventually("the bad file fails", async || {
        let file = admin
            .get(&format!("/v1/files/{}", text(&bad["id"])))
            .await
            .ok();
        (file["status"] == "failed").then_some(())
    })
    .await;
    fixture
        .member
        .get("/v1/api-keys")
        .await
        .problem(403, "forbidden");
    for (template, body) in [
        ("/v1/orgs/{org_id}", json!({ "name": "Bakery" })),
        (
            "/v1/orgs/{org_id}/members/{user_id}",
            json!({ "role": "manager" }),
        ),
        ("/v1/agents/{agent_id}", json!({ "description": "B" })),
        ("/v1/tools/{tool_id}", json!({ "description": "B" })),
        ("/v1/tasks/{task_id}", json!({ "title": "B" })),
        (
            "/v1/knowledge-bases/{knowledge_base_id}",
            json!({ "name": "B" }),
        ),
    ] {
        admin.patch(&fixture.path(template), &body).await.ok();
    }
    let assign = json!({ "agent_id": fixture.id("agent_id") });
    admin
        .post(&fixture.path("/v1/tasks/{task_id}/assign"), &assign)
        .await
        .ok();
    let status = json!({ "status": "cancelled" });
    admin
        .post(&fixture.path("/v1/tasks/{task_id}/status"), &status)
        .await
        .ok();
    let rotate = fixture.path("/v1/api-keys/{key_id}/rotate");
    admin.post(&rotate, &json!({})).await.ok();
    let run = json!({ "agent_id": fixture.id("agent_id"), "input": "?" });
    eventually("a run is cancelled in time", async || {
        let execution = admin.create("/v1/executions", &run).await;
        let cancel = format!("/v1/executions/{}/cancel", text(&execution["id"]));
        let ended = admin.post(&cancel, &json!({})).await.ok();
        (ended["state"] == "cancelled").then_some(())
    })
    .await;
    for template in [
        "/v1/agents/{agent_id}/memories/{memory_id}",
        "/v1/knowledge-bases/{knowledge_base_id}/documents/{file_id}",
        "/v1/files/{file_id}",
        "/v1/api-keys/{key_id}",
        "/v1/agents/{agent_id}",
        "/v1/tools/{tool_id}",
        "/v1/tasks/{task_id}",
        "/v1/orgs/{org_id}/invitations/{invitation_id}",
        "/v1/orgs/{org_id}/members/{user_id}",
    ] {
        admin.delete(&fixture.path(template)).await.gone();
    }
    admin
        .delete(&format!("{documents}/{}", text(&bad["id"])))
        .await
        .gone();
    admin
        .delete(&fixture.path("/v1/knowledge-bases/{knowledge_base_id}"))
        .await
        .gone();
}

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
        let is_it = |row: &&std::collections::HashMap<String, AttributeValue>| {
            let number = row.get("sequence").and_then(|number| number.as_n().ok());
            number.is_some_and(|number| *number == sequence.to_string())
                && row.contains_key("previous_hash")
        };
        rows.items().iter().find(is_it).expect("the entry").clone()
    };
    let put = async |row: std::collections::HashMap<String, AttributeValue>| {
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
    let counted = eventually("the run is counted", async || {
        let stats = admin.get(&stats).await.ok();
        (stats["executions_completed"] == 1).then_some(stats)
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
async fn a_search_finds_by_kind_subject_actor_and_time_and_pages_on() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    let machine = world.machine(&admin, &["knowledge:write"]).await;
    for caller in [&admin, &admin, &machine] {
        caller
            .create("/v1/knowledge-bases", &json!({ "name": "B" }))
            .await;
    }
    settled(&world, &admin).await;
    let search = async |body: Value| admin.post("/v1/audit/search", &body).await.ok();
    let kind = json!({ "type": "knowledge_base.created" });
    let all = search(kind).await["items"]
        .as_array()
        .expect("a list")
        .clone();
    assert_eq!(all.len(), 3);
    let key = text(&all[0]["actor"]["id"]);
    assert!(key.starts_with("key_"), "newest first: {}", all[0]);
    for (filter, count) in [
        (json!({ "actor": key }), 1),
        (json!({ "subject": all[1]["subject"] }), 1),
        (json!({ "actor": "system" }), 0),
        (json!({ "from": all[1]["occurred_at"] }), 2),
        (
            json!({ "to": all[2]["occurred_at"], "type": "knowledge_base.created" }),
            0,
        ),
    ] {
        let found = search(filter.clone()).await;
        let found = found["items"].as_array().expect("a list");
        // Several may have happened in the same millisecond.
        assert!(
            found.len() >= count && found.len() <= 5,
            "{filter}: {found:?}"
        );
        if count == 1 {
            assert_eq!(found.len(), 1, "{filter}");
        }
    }
    let mut paged = Vec::new();
    let mut body = json!({ "type": "knowledge_base.created", "limit": 1 });
    loop {
        let page = search(body.clone()).await;
        paged.extend(page["items"].as_array().expect("a list").iter().cloned());
        match page["next_cursor"].as_str() {
            Some(cursor) => body["cursor"] = json!(cursor),
            None => break,
        }
    }
    assert_eq!(paged, all);
    // The cursor of one search is none of another.
    let cursor = search(json!({ "limit": 1 })).await["next_cursor"].clone();
    for other in [
        json!({ "type": "org.created", "cursor": cursor }),
        json!({ "cursor": "x" }),
    ] {
        admin
            .post("/v1/audit/search", &other)
            .await
            .names("/cursor");
    }
    let backwards = json!({ "from": "2026-01-02T00:00:00Z", "to": "2026-01-01T00:00:00Z" });
    admin
        .post("/v1/audit/search", &backwards)
        .await
        .names("/to");
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
