//! What managers are told of the searches of their org.

use std::time::Duration;

use domain::event::Actor;
use domain::search::{Asked, SearchMode};
use futures::future::join_all;
use kernel::{ApiKeyId, Clock as _, Day, SystemClock};
use serde_json::{Value, json};

use super::log::{ask, click, greased};
use super::path;
use crate::support::instance::Instance;
use crate::support::{Api, World, tenant, text};

async fn analytics(api: &Api, query: &str) -> Value {
    api.get(&format!("{}/analytics{query}", path(api)))
        .await
        .ok()
}

fn queries<'a>(analytics: &'a Value, list: &str) -> Vec<(&'a str, u64)> {
    let all = analytics[list].as_array().expect("a list");
    all.iter()
        .map(|one| {
            let times = one["searches"].as_u64().expect("a number");
            (one["query"].as_str().expect("a text"), times)
        })
        .collect()
}

#[tokio::test]
async fn searches_are_counted_by_mode_with_clicks_and_without_hits() {
    let world = World::start().await;
    let admin = greased(&world, "ada", 4).await;
    let machine = world
        .machine(&admin, &["tasks:read", "knowledge:read"])
        .await
        .for_org(admin.org());
    let before = analytics(&admin, "").await;
    let counted_before = before["searches"].as_u64().expect("a number");
    let (first, answer) = ask(&machine, "grease").await;
    click(&machine, &first, &answer["hits"][0], 1).await.ok();
    click(&machine, &first, &answer["hits"][3], 4).await.ok();
    let (_, nothing) = ask(&machine, "Zeppelin  hangar").await;
    assert_eq!(nothing["hits"], json!([]));
    let hybrid = json!({ "query": "grease" });
    machine.post(&path(&machine), &hybrid).await.ok();
    let told = analytics(&admin, "").await;
    let today = Day::of(SystemClock.now()).to_string();
    let day = told["days"]
        .as_array()
        .expect("days")
        .last()
        .expect("today");
    assert_eq!(day["day"], json!(today));
    assert_eq!(told["days"].as_array().map(Vec::len), Some(30));
    assert_eq!(told["searches"], json!(counted_before + 3));
    assert_eq!(day["hybrid"], json!(1));
    assert_eq!((&told["clicked"], &told["clicks"]), (&json!(1), &json!(2)));
    assert_eq!(told["mean_clicked_position"], json!(2.5));
    let percent = told["click_through_percent"].as_f64().expect("a number");
    let all = (counted_before + 3) as f64;
    assert!((percent - 100.0 / all).abs() < 0.02, "{percent}");
    let without = &told["queries_without_hits"];
    assert_eq!(without[0]["query"], "zeppelin hangar");
    assert_eq!(without[0]["without_hits"], json!(1));
    assert_eq!(
        queries(&told, "top_queries"),
        [("grease", 2), ("zeppelin hangar", 1)]
    );
    let modes: Vec<&Value> = told["latency"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| &one["mode"])
        .collect();
    assert_eq!(modes, [&Value::Null, &json!("text"), &json!("hybrid")]);
    for one in told["latency"].as_array().expect("a list") {
        let (p50, p95) = (one["p50_ms"].as_u64(), one["p95_ms"].as_u64());
        assert!(p50 <= p95 && p95 < Some(60_000), "{one}");
    }
}

#[tokio::test]
async fn midnight_in_utc_parts_days_and_a_click_counts_for_the_day_of_its_search() {
    let world = World::start().await;
    let admin = greased(&world, "ada", 1).await;
    let machine = world
        .machine(&admin, &["tasks:read", "search-analytics:read"])
        .await;
    let secret = machine.credential();
    let first = Day::of(SystemClock.now()).plus_days(2);
    let second = first.plus_days(1);
    let instance = Instance::at(&world, second.start().minus(Duration::from_millis(1)));
    let body = json!({ "query": "grease", "mode": "text" });
    let late = instance.post(secret, &path(&admin), &body).await.ok();
    instance.clock.advance(Duration::from_millis(1));
    instance.post(secret, &path(&admin), &body).await.ok();
    instance.post(secret, &path(&admin), &body).await.ok();
    let clicks = format!("{}/{}/clicks", path(&admin), text(&late["search_id"]));
    let hit = json!({ "kind": "task", "id": late["hits"][0]["id"], "position": 1 });
    instance.post(secret, &clicks, &hit).await.ok();
    let told = async |from: Day, before: Day| {
        let query = format!("{}/analytics?from={from}&before={before}", path(&admin));
        instance.get(secret, &query).await.ok()
    };
    let both = told(first, second.plus_days(1)).await;
    let days: Vec<_> = both["days"]
        .as_array()
        .expect("days")
        .iter()
        .map(|day| {
            (
                day["day"].clone(),
                day["searches"].clone(),
                day["clicks"].clone(),
            )
        })
        .collect();
    assert_eq!(
        days,
        [
            (json!(first), json!(1), json!(1)),
            (json!(second), json!(2), json!(0)),
        ]
    );
    assert_eq!(both["top_queries"][0]["searches"], json!(3));
    let only_first = told(first, second).await;
    assert_eq!(only_first["top_queries"][0]["searches"], json!(1));
    let before = told(first.minus_days(1), first).await;
    assert_eq!(
        (&before["searches"], &before["top_queries"]),
        (&json!(0), &json!([]))
    );
    // By itself it looks at thirty days, the present one among them.
    let usual = instance
        .get(secret, &format!("{}/analytics", path(&admin)))
        .await
        .ok();
    assert_eq!(usual["before"], json!(second.plus_days(1)));
    assert_eq!(usual["from"], json!(second.minus_days(29)));
}

#[tokio::test]
async fn a_text_is_told_once_three_people_have_asked_it() {
    let world = World::start().await;
    let admin = greased(&world, "ada", 1).await;
    let mut people = Vec::new();
    for name in ["mia", "moe", "max"] {
        people.push(world.join(&admin, name, "member").await);
    }
    let named = async || {
        let told = analytics(&admin, "").await;
        let all = queries(&told, "top_queries");
        all.into_iter()
            .find(|(query, _)| *query == "raise my salary grease")
            .map(|(_, times)| times)
    };
    // However often one asks, and two.
    for person in [&people[0], &people[0], &people[0], &people[1]] {
        ask(person, "Raise my SALARY grease").await;
    }
    assert_eq!(named().await, None);
    let withheld = analytics(&admin, "").await["withheld"].clone();
    assert!(withheld["searches"].as_u64() >= Some(4), "{withheld}");
    // Nor does it help that a machine asks the same: that one alone is told.
    let machine = world
        .machine(&admin, &["tasks:read"])
        .await
        .for_org(admin.org());
    ask(&machine, "raise my salary grease").await;
    assert_eq!(named().await, Some(1));
    ask(&people[2], "raise my salary  grease").await;
    assert_eq!(named().await, Some(6));
}

#[tokio::test]
async fn managers_are_told_and_members_are_not() {
    let world = World::start().await;
    let admin = greased(&world, "ada", 1).await;
    let manager = world.join(&admin, "max", "manager").await;
    let member = world.join(&admin, "mia", "member").await;
    let at = format!("{}/analytics", path(&admin));
    manager.get(&at).await.ok();
    let refused = member.get(&at).await.problem(403, "forbidden");
    assert!(text(&refused["detail"]).contains("search-analytics:read"));
    let without = world
        .machine(&admin, &["knowledge:read", "audit:read"])
        .await;
    without.get(&at).await.problem(403, "forbidden");
    let with = world.machine(&admin, &["search-analytics:read"]).await;
    with.get(&at).await.ok();
    let eve = world.founder("eve").await;
    eve.get(&at).await.problem(404, "not_found");
    let own = eve.get(&format!("{}/analytics", path(&eve))).await.ok();
    assert_eq!((&own["searches"], &own["latency"]), (&json!(0), &json!([])));
    assert_eq!(own.get("click_through_percent"), None);
}

#[tokio::test]
async fn days_and_limits_that_cannot_be_are_named() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    for (query, field) in [
        ("from=2026-03-02&before=2026-03-02", "before"),
        ("from=2026-03-02&before=2026-03-01", "before"),
        ("from=2026-01-01&before=2026-02-02", "before"),
        ("from=2026-02-30", "from"),
        ("from=yesterday", "from"),
        ("before=2026-03-02T00:00:00Z", "before"),
        ("limit=0", "limit"),
        ("limit=51", "limit"),
        ("limit=x", "limit"),
        ("day=2026-03-02", "day"),
        ("from=2026-03-02&from=2026-03-02", "from"),
    ] {
        admin
            .get(&format!("{}/analytics?{query}", path(&admin)))
            .await
            .names(field);
    }
    let told = analytics(&admin, "?from=2026-01-01&before=2026-02-01&limit=1").await;
    assert_eq!(told["days"].as_array().map(Vec::len), Some(31));
}

#[tokio::test]
async fn of_too_many_different_queries_all_are_counted_and_not_all_are_named() {
    const ALL: usize = 640;
    let world = World::start().await;
    let admin = world.founder("ada").await;
    let searches = world.store().searches(tenant(&admin));
    let by = Actor::ApiKey {
        id: ApiKeyId::generate(SystemClock.now()),
    };
    let numbers: Vec<usize> = (0..ALL).collect();
    for some in numbers.chunks(32) {
        let noting = some.iter().map(|number| {
            let asked = Asked {
                mode: SearchMode::Text,
                text: format!("query number {number}"),
                kinds: Vec::new(),
                filters: Vec::new(),
                total: Some(1),
                shown: 1,
                took_ms: 5,
            };
            searches.note(by, asked)
        });
        for noted in join_all(noting).await {
            noted.expect("is noted");
        }
    }
    let told = analytics(&admin, "?limit=50").await;
    assert_eq!(told["searches"], json!(ALL));
    assert_eq!(told["top_queries"].as_array().map(Vec::len), Some(50));
    let beyond = told["untracked_searches"].as_u64().expect("a number") as usize;
    // Those that came at one moment may all have found a place.
    assert!((ALL - 512 - 64..ALL / 2).contains(&beyond), "{beyond}");
}
