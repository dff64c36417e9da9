//! `POST /v1/audit/search`.

use serde_json::{Value, json};

use super::settled;
use crate::support::{World, text};

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
