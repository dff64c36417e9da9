//! How what was typed can go on.

use serde_json::{Value, json};

use super::log::{ask, indexed};
use super::path;
use crate::support::{Api, World};

async fn suggested(api: &Api, typed: &str) -> Vec<Value> {
    let typed = typed.replace(' ', "+");
    let at = format!("{}/suggest?q={typed}", path(api));
    let answer = api.get(&at).await.ok();
    answer["items"].as_array().expect("a list").clone()
}

fn texts<'a>(items: &'a [Value], from: &str) -> Vec<&'a str> {
    let of_kind = items.iter().filter(|one| one["from"] == from);
    of_kind
        .map(|one| one["text"].as_str().expect("a text"))
        .collect()
}

async fn library(world: &World) -> Api {
    let admin = world.founder("ada").await;
    for title in ["Gearbox inspection", "Gearwheel order", "Winch"] {
        let task = json!({ "title": title, "description": "By the gearsmith." });
        admin.create("/v1/tasks", &task).await;
    }
    indexed(world, &admin, "gearsmith", 3).await;
    admin
}

#[tokio::test]
async fn own_queries_come_first_then_titles_then_words() {
    let world = World::start().await;
    let admin = library(&world).await;
    let member = world.join(&admin, "mia", "member").await;
    for query in [
        "Gearwheel  order",
        "gearbox",
        "gearbox",
        "gear zeppelin hangar",
    ] {
        ask(&member, query).await;
    }
    let items = suggested(&member, "gear").await;
    let own = texts(&items, "query");
    assert_eq!(own, ["gearbox", "Gearwheel  order"]);
    let titles = texts(&items, "title");
    assert_eq!(
        titles,
        ["Gearbox inspection"],
        "what a query says already is not said again"
    );
    assert!(texts(&items, "word").contains(&"gearsmith"), "{items:?}");
    let order: Vec<&str> = items
        .iter()
        .filter_map(|one| one["from"].as_str())
        .collect();
    let mut sorted = order.clone();
    sorted.sort_by_key(|from| {
        ["query", "title", "word"]
            .iter()
            .position(|one| one == from)
    });
    assert_eq!(order, sorted);
    let title = items
        .iter()
        .find(|one| one["from"] == "title")
        .expect("a title");
    assert_eq!(title["kind"], "task");
    assert!(
        title["id"]
            .as_str()
            .is_some_and(|id| id.starts_with("tsk_"))
    );
}

#[tokio::test]
async fn what_was_typed_before_stays_in_front_of_a_word() {
    let world = World::start().await;
    let admin = library(&world).await;
    let items = suggested(&admin, "by gearsm").await;
    assert!(texts(&items, "word").contains(&"by gearsmith"), "{items:?}");
}

#[tokio::test]
async fn nobody_is_told_what_others_have_searched_for() {
    let world = World::start().await;
    let admin = library(&world).await;
    let mut people = vec![admin.clone()];
    for name in ["mia", "moe", "max"] {
        people.push(world.join(&admin, name, "manager").await);
    }
    // Enough of them for managers to be told the text, and yet no suggestion.
    for person in &people[..3] {
        ask(person, "gearbox takeover rumours").await;
    }
    let others = [
        people[3].clone(),
        world
            .machine(&admin, &["tasks:read"])
            .await
            .for_org(admin.org()),
    ];
    for other in &others {
        for typed in ["", "gear", "gearbox", "gearbox take", "rumours"] {
            let items = json!(suggested(other, typed).await).to_string();
            assert!(
                !items.contains("rumours") && !items.contains("takeover"),
                "{items}"
            );
        }
    }
    assert_eq!(
        texts(&suggested(&people[0], "gearbox t").await, "query"),
        ["gearbox takeover rumours"]
    );
}

#[tokio::test]
async fn only_what_may_be_seen_is_suggested() {
    let world = World::start().await;
    let admin = library(&world).await;
    let agent = json!({ "name": "Gearing adviser", "instructions": "Advise about gearmotors." });
    admin.create("/v1/agents", &agent).await;
    indexed(&world, &admin, "gearmotors", 1).await;
    let all = suggested(&admin, "gear").await;
    assert!(texts(&all, "title").contains(&"Gearing adviser"));
    let machine = world
        .machine(&admin, &["tasks:read"])
        .await
        .for_org(admin.org());
    let seen = suggested(&machine, "gear").await;
    assert!(texts(&seen, "title").contains(&"Gearbox inspection"));
    let seen = json!(seen).to_string();
    assert!(
        !seen.contains("adviser") && !seen.contains("gearmotors"),
        "{seen}"
    );
    let blind = world
        .machine(&admin, &["tools:read"])
        .await
        .for_org(admin.org());
    let at = format!("{}/suggest?q=gear", path(&admin));
    blind.get(&at).await.problem(403, "forbidden");
    let eve = world.founder("eve").await;
    eve.get(&at).await.problem(404, "not_found");
    assert_eq!(suggested(&eve, "gear").await, Vec::<Value>::new());
}

#[tokio::test]
async fn a_query_that_found_nothing_is_not_suggested() {
    let world = World::start().await;
    let admin = library(&world).await;
    ask(&admin, "zeppelin").await;
    ask(&admin, "winch").await;
    assert_eq!(texts(&suggested(&admin, "").await, "query"), ["winch"]);
}

#[tokio::test]
async fn what_cannot_be_suggested_for_is_named() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    let long = format!("q={}", "x".repeat(201));
    for (query, field) in [
        (long.as_str(), "q"),
        ("q=x&limit=0", "limit"),
        ("q=x&limit=21", "limit"),
        ("q=x&q=y", "q"),
        ("prefix=x", "prefix"),
    ] {
        let at = format!("{}/suggest?{query}", path(&admin));
        admin.get(&at).await.names(field);
    }
    let at = format!("{}/suggest?q=%22-*%00&limit=20", path(&admin));
    admin.get(&at).await.ok();
}
