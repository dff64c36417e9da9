//! `/v1/agents/{agent_id}/memory`: what agents remember, are told of, and never learn of each other.

mod canaries;
mod consolidation;
mod recall;
mod sharing;

use std::collections::BTreeSet;

use llm::ChatRequest;
use llm::scripted::{Scripted, Turn};
use serde_json::{Value, json};

use crate::support::fixture::agent;
use crate::support::{Api, World, ended, send, text};

fn path(agent: &Value) -> String {
    format!("/v1/agents/{}/memory", text(&agent["id"]))
}

async fn ask(admin: &Api, agent: &Value, input: &str) -> Value {
    let body = json!({ "agent_id": agent["id"], "input": input });
    let execution = admin.create("/v1/executions", &body).await;
    ended(admin, &text(&execution["id"])).await
}

/// A model that answers at once.
fn curt() -> Scripted {
    Scripted::computed(|_, _| Turn::text("Yes."))
}

/// The memories that a model was told of: the lines after the introduction, as JSON.
fn told(request: &ChatRequest) -> Vec<Value> {
    let system = request.system.as_deref().unwrap_or_default();
    let Some((_, section)) = system.split_once("What you remember from earlier executions") else {
        return Vec::new();
    };
    let lines = section.lines().skip(1);
    lines
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

fn texts(memories: &[Value]) -> Vec<String> {
    memories
        .iter()
        .map(|memory| text(&memory["text"]))
        .collect()
}

#[tokio::test]
async fn a_memory_is_written_read_changed_listed_by_kind_and_forgotten() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    let me = text(&admin.get("/v1/users/me").await.ok()["id"]);
    let guide = admin.create("/v1/agents", &agent("Guide")).await;
    let memory = path(&guide);
    let answer = admin
        .post(
            &memory,
            &json!({ "text": "Oil is changed every 500 hours." }),
        )
        .await;
    let fact = answer.created();
    let at = format!("{memory}/{}", text(&fact["id"]));
    assert_eq!(answer.header("location"), Some(at.as_str()));
    assert_eq!(
        (&fact["kind"], &fact["importance"], &fact["recalls"]),
        (&json!("fact"), &json!(5), &json!(0))
    );
    let source = json!({ "kind": "person", "by": { "kind": "user", "id": me } });
    assert_eq!(fact["source"], source);
    assert!(fact.get("embedding").is_none() && fact.get("last_recalled_at").is_none());
    assert_eq!(admin.get(&at).await.ok(), fact);
    for (kind, importance) in [
        ("term", 1),
        ("preference", 10),
        ("tool_note", 3),
        ("fallback", 2),
    ] {
        let body = json!({ "text": format!("A {kind}."), "kind": kind, "importance": importance });
        let made = admin.create(&memory, &body).await;
        assert_eq!(
            (&made["kind"], &made["importance"]),
            (&json!(kind), &json!(importance))
        );
    }
    for kind in ["fact", "term", "preference", "tool_note", "fallback"] {
        let listed = admin.list(&format!("{memory}?kind={kind}")).await;
        let kinds: Vec<&Value> = listed.iter().map(|one| &one["kind"]).collect();
        assert_eq!(kinds, [kind]);
    }
    assert_eq!(
        texts(&admin.list(&memory).await),
        [
            "A fallback.",
            "A tool_note.",
            "A preference.",
            "A term.",
            "Oil is changed every 500 hours."
        ]
    );

    let changes = json!({ "text": "Every 600 hours.", "kind": "term", "importance": 9 });
    let stale = admin
        .request(http::Method::PATCH, &at)
        .header("if-match", "\"7\"");
    send(stale.json(&changes))
        .await
        .problem(412, "precondition_failed");
    let changed = admin.patch(&at, &changes).await.ok();
    assert_eq!(
        (
            &changed["text"],
            &changed["kind"],
            &changed["importance"],
            &changed["version"]
        ),
        (
            &json!("Every 600 hours."),
            &json!("term"),
            &json!(9),
            &json!(2)
        )
    );
    assert_eq!(changed["source"], source);
    let kept = admin.patch(&at, &json!({})).await.ok();
    assert_eq!(
        (&kept["text"], &kept["version"]),
        (&changed["text"], &json!(3))
    );

    admin.delete(&at).await.gone();
    for answer in [
        admin.get(&at).await,
        admin.delete(&at).await,
        admin.patch(&at, &changes).await,
    ] {
        answer.problem(404, "not_found");
    }
    assert_eq!(admin.list(&memory).await.len(), 4);
}

#[tokio::test]
async fn pages_of_one_kind_are_the_whole_list_of_it() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    let guide = admin.create("/v1/agents", &agent("Guide")).await;
    let memory = path(&guide);
    for number in 0..12 {
        let kind = if number % 3 == 0 { "term" } else { "fact" };
        let body = json!({ "text": format!("Number {number}"), "kind": kind });
        admin.create(&memory, &body).await;
    }
    for (kind, count) in [("term", 4), ("fact", 8), ("preference", 0)] {
        for limit in [1, 2, 3, 4, 8] {
            let mut walked = Vec::new();
            let mut cursor = String::new();
            loop {
                let query = format!("{memory}?kind={kind}&limit={limit}{cursor}");
                let page = admin.get(&query).await.ok();
                let items = page["items"].as_array().expect("a list").clone();
                assert!(items.len() <= limit);
                walked.extend(items);
                match page["next_cursor"].as_str() {
                    Some(next) => cursor = format!("&cursor={next}"),
                    None => break,
                }
            }
            assert_eq!(walked.len(), count, "{kind} {limit}");
            assert!(walked.iter().all(|one| one["kind"] == kind));
            let ids: BTreeSet<String> = walked.iter().map(|one| text(&one["id"])).collect();
            assert_eq!(ids.len(), count);
        }
    }
    let page = admin.get(&format!("{memory}?kind=fact&limit=1")).await.ok();
    let cursor = text(&page["next_cursor"]);
    for other in ["", "kind=term&"] {
        let query = format!("{memory}?{other}cursor={cursor}");
        admin.get(&query).await.names("cursor");
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_memory_is_named() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    let guide = admin.create("/v1/agents", &agent("Guide")).await;
    let memory = path(&guide);
    let made = admin.create(&memory, &json!({ "text": "Oil." })).await;
    let at = format!("{memory}/{}", text(&made["id"]));
    let long = "x".repeat(2_001);
    for (field, value) in [
        ("text", json!(" \n")),
        ("text", json!(long)),
        ("kind", json!("secret")),
        ("importance", json!(0)),
        ("importance", json!(11)),
        ("importance", json!(5.5)),
        ("importance", json!("5")),
        ("recalls", json!(9)),
        ("source", json!({ "kind": "person" })),
    ] {
        let mut body = json!({ "text": "Oil." });
        body[field] = value;
        let pointer = format!("/{field}");
        admin.post(&memory, &body).await.names(&pointer);
        admin.patch(&at, &body).await.names(&pointer);
    }
    for (query, field) in [
        ("limit=0", "limit"),
        ("limit=51", "limit"),
        ("limit=x", "limit"),
        ("colour=red", "colour"),
        (&format!("query={}", "x".repeat(2_001)), "query"),
    ] {
        admin
            .get(&format!("{memory}/recall?{query}"))
            .await
            .names(field);
    }
    admin
        .get(&format!("{memory}?kind=secret"))
        .await
        .names("kind");
    assert_eq!(admin.get(&at).await.ok(), made);
}
