//! What is refused, and where it is said to be wrong.

use serde_json::json;

use super::*;

#[tokio::test]
async fn every_wrong_field_is_named() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    let (many, at) = (vec!["x"; 51], "2026-01-01T00:00:00Z");
    for (body, field) in [
        (json!({ "query": "x".repeat(1_001) }), "/query"),
        (json!({ "query": "a ".repeat(65) }), "/query"),
        (json!({ "query": 7 }), "/query"),
        (json!({ "mode": "fuzzy" }), "/mode"),
        (json!({ "kinds": ["task", "node"] }), "/kinds/1"),
        (json!({ "kinds": "task" }), "/kinds"),
        (json!({ "facets": ["colour"] }), "/facets/0"),
        (json!({ "sort": "title" }), "/sort"),
        (json!({ "matching": "none" }), "/matching"),
        (json!({ "limit": 0 }), "/limit"),
        (json!({ "limit": 101 }), "/limit"),
        (json!({ "cursor": "x".repeat(1_001) }), "/cursor"),
        (json!({ "offset": 10 }), "/offset"),
        (
            json!({ "filters": { "colour": ["red"] } }),
            "/filters/colour",
        ),
        (json!({ "filters": { "status": many } }), "/filters/status"),
        (json!({ "filters": { "type": many } }), "/filters/type"),
        (
            json!({ "filters": { "status": "todo" } }),
            "/filters/status",
        ),
        (
            json!({ "filters": { "author": ["x", ""] } }),
            "/filters/author/1",
        ),
        (
            json!({ "filters": { "author": ["x".repeat(101)] } }),
            "/filters/author/0",
        ),
        (json!({ "filters": { "agent": ["x"] } }), "/filters/agent/0"),
        (
            json!({ "filters": { "created_from": "yesterday" } }),
            "/filters/created_from",
        ),
        (
            json!({ "filters": { "created_from": at, "created_before": at } }),
            "/filters/created_before",
        ),
        (
            json!({ "filters": { "updated_from": at, "updated_before": "2025-01-01T00:00:00Z" } }),
            "/filters/updated_before",
        ),
    ] {
        let answer = admin.post(&path(&admin), &body).await;
        answer.names(field);
        assert!(
            answer.body.len() < 4_096,
            "{field} repeats what it was sent"
        );
    }
}

#[tokio::test]
async fn what_meaning_alone_cannot_answer_is_refused_and_not_passed_over() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    for (more, field) in [
        (json!({ "query": "" }), "/query"),
        (json!({ "query": "-oil" }), "/query"),
        (json!({ "kinds": ["chunk", "task"] }), "/kinds/1"),
        (
            json!({ "filters": { "status": ["todo"] } }),
            "/filters/status",
        ),
        (json!({ "facets": ["kind"] }), "/facets"),
        (json!({ "sort": "-created_at" }), "/sort"),
    ] {
        let mut body = json!({ "query": "oil", "mode": "semantic" });
        for (name, value) in more.as_object().expect("fields") {
            body[name] = value.clone();
        }
        admin.post(&path(&admin), &body).await.names(field);
        body["mode"] = json!("hybrid");
        let both = search(&admin, &body).await;
        let words_alone = !["/facets", "/kinds/1"].contains(&field);
        assert_eq!(
            both["rankings"] == json!(["text"]),
            words_alone,
            "{body}: {both}"
        );
    }
}

#[tokio::test]
async fn a_search_of_nothing_is_an_empty_answer() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    for mode in ["text", "semantic", "hybrid"] {
        let answer = search(&admin, &json!({ "query": "anything", "mode": mode })).await;
        assert_eq!(
            (&answer["hits"], &answer["next_cursor"]),
            (&json!([]), &json!(null))
        );
    }
    // Text that would be an error in a language of queries is words here.
    for query in ["title:(oil AND", "\"", "* - --", "a^2~", "[x TO y]", "\\"] {
        search(&admin, &json!({ "query": query })).await;
    }
}

#[tokio::test]
async fn more_knowledge_bases_than_are_searched_at_once_are_to_be_named() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    let mut bases = Vec::new();
    for number in 0..51 {
        bases.push(base(&admin, &format!("Base {number}")).await);
    }
    let near = json!({ "query": "oil", "mode": "semantic" });
    admin
        .post(&path(&admin), &near)
        .await
        .names("/filters/knowledge_base");
    let named = json!({
        "query": "oil", "mode": "semantic", "filters": { "knowledge_base": bases[..50] },
    });
    assert_eq!(search(&admin, &named).await["hits"], json!([]));
    let both = search(&admin, &json!({ "query": "oil" })).await;
    assert_eq!(both["rankings"], json!(["text"]));
    assert!(
        text(&both["notes"][0]).contains("knowledge bases"),
        "{both}"
    );
}
