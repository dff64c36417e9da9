//! What is kept of searches, for whom, and for how long.

use std::time::Duration;

use domain::event::Actor;
use domain::search::{RETENTION, Search, SearchMode};
use futures::future::join_all;
use http_body_util::BodyExt as _;
use kernel::SearchId;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::path;
use crate::support::bare::Bare;
use crate::support::fixture::nobodys;
use crate::support::instance::{Instance, request};
use crate::support::search::found;
use crate::support::tables::Side;
use crate::support::{Answer, Api, World, eventually, tenant, text};

/// A search by words, with the id under which it is kept.
pub(super) async fn ask(api: &Api, query: &str) -> (String, Value) {
    let body = json!({ "query": query, "mode": "text" });
    let answer = api.post(&path(api), &body).await.ok();
    (text(&answer["search_id"]), answer)
}

pub(super) async fn click(api: &Api, search: &str, hit: &Value, position: u32) -> Answer {
    let body = json!({ "kind": hit["kind"], "id": hit["id"], "position": position });
    api.post(&format!("{}/{search}/clicks", path(api)), &body)
        .await
}

async fn myself(api: &Api) -> Actor {
    let me = api.get("/v1/users/me").await.ok();
    Actor::User {
        id: text(&me["id"]).parse().expect("a user's id"),
    }
}

async fn kept(world: &World, api: &Api, by: Actor, search: &str) -> Option<Search> {
    let id: SearchId = search.parse().expect("a search's id");
    let searches = world.store().searches(tenant(api));
    searches.get(by, id).await.expect("the store answers")
}

/// Waits until so many things of an org have a word, without a search that would be kept.
pub(super) async fn indexed(world: &World, api: &Api, word: &str, count: usize) {
    eventually(&format!("`{word}` is in {count} things"), async || {
        let found = found(world.store(), tenant(api), word).await;
        (found.len() == count).then_some(())
    })
    .await;
}

/// An org with tasks that `grease` finds, as soon as it does.
pub(super) async fn greased(world: &World, founder: &str, tasks: usize) -> Api {
    let admin = world.founder(founder).await;
    for number in 0..tasks {
        let title = format!("Grease bearing {number}");
        admin.create("/v1/tasks", &json!({ "title": title })).await;
    }
    indexed(world, &admin, "grease", tasks).await;
    admin
}

#[tokio::test]
async fn a_search_is_kept_as_it_was_asked_and_answered() {
    let world = World::start().await;
    let admin = greased(&world, "ada", 3).await;
    let body = json!({
        "query": "Grease  -winch", "mode": "text", "kinds": ["task", "agent"],
        "filters": { "status": ["todo"], "created_from": "2020-01-01T00:00:00Z" }, "limit": 2,
    });
    let answer = admin.post(&path(&admin), &body).await.ok();
    let by = myself(&admin).await;
    let search = kept(&world, &admin, by, &text(&answer["search_id"])).await;
    let search = search.expect("is kept");
    let asked = &search.asked;
    assert_eq!(
        (asked.mode, asked.text.as_str()),
        (SearchMode::Text, "Grease  -winch")
    );
    let mut kinds = asked.kinds.clone();
    kinds.sort();
    assert_eq!(kinds, ["agent", "task"]);
    assert_eq!(asked.filters, ["status", "created_from"]);
    assert_eq!((asked.total, asked.shown), (Some(3), 2));
    assert_eq!(json!(asked.took_ms), answer["took_ms"]);
    assert_eq!(
        (search.by, search.org.to_string()),
        (by, admin.org().to_owned())
    );
    assert_eq!(search.clicks, []);
    // Ninety days, by the attribute that the table removes rows by.
    let stored = serde_json::to_value(&search).expect("JSON");
    let expected = search
        .at
        .plus(Duration::from_secs(90 * 86_400))
        .as_seconds();
    assert_eq!(stored["expires_at"], json!(expected));
}

#[tokio::test]
async fn a_further_page_is_no_other_search() {
    let world = World::start().await;
    let admin = greased(&world, "ada", 3).await;
    for mode in ["text", "hybrid"] {
        let mut body = json!({ "query": "grease", "mode": mode, "limit": 1 });
        let before = world.store().searches(tenant(&admin));
        let before = before.newest(myself(&admin).await, 100).await;
        let first = admin.post(&path(&admin), &body).await.ok();
        body["cursor"] = first["next_cursor"].clone();
        let second = admin.post(&path(&admin), &body).await.ok();
        body["cursor"] = second["next_cursor"].clone();
        let third = admin.post(&path(&admin), &body).await.ok();
        let id = text(&first["search_id"]);
        for page in [&second, &third] {
            assert_eq!(page["search_id"], first["search_id"], "{mode}");
        }
        let after = world.store().searches(tenant(&admin));
        let after = after
            .newest(myself(&admin).await, 100)
            .await
            .expect("an answer");
        let before = before.expect("an answer").len();
        assert_eq!(after.len(), before + 1, "{mode}");
        // Its hits are clicked under the one id.
        click(&admin, &id, &third["hits"][0], 3).await.ok();
    }
}

#[tokio::test]
async fn a_request_that_is_repeated_under_one_key_is_one_search() {
    let world = World::start().await;
    let admin = greased(&world, "ada", 1).await;
    let body = json!({ "query": "grease", "mode": "text" });
    let mut ids = Vec::new();
    for _ in 0..2 {
        let request = admin.request(http::Method::POST, &path(&admin));
        let request = request.header("idempotency-key", "once").json(&body);
        let answer = crate::support::send(request).await.ok();
        ids.push(answer["search_id"].clone());
    }
    assert_eq!(ids[0], ids[1]);
    assert!(ids[0].is_string());
}

#[tokio::test]
async fn a_hit_counts_once_however_often_it_is_clicked() {
    let world = World::start().await;
    let admin = greased(&world, "ada", 2).await;
    let by = myself(&admin).await;
    let (id, answer) = ask(&admin, "grease").await;
    let hits = &answer["hits"];
    let first = click(&admin, &id, &hits[1], 2).await.ok();
    assert_eq!(
        (&first["position"], &first["search_id"]),
        (&json!(2), &json!(id))
    );
    // Again, even from another place: what was noted first stands.
    let again = click(&admin, &id, &hits[1], 1).await.ok();
    assert_eq!(again, first);
    // Many at once.
    let at_once = join_all((0..10).map(|n| click(&admin, &id, &hits[n % 2], 1))).await;
    for answer in at_once {
        answer.ok();
    }
    let search = kept(&world, &admin, by, &id).await.expect("is kept");
    let mut clicked: Vec<&str> = search.clicks.iter().map(|one| one.id.as_str()).collect();
    clicked.sort_unstable();
    let mut expected = [text(&hits[0]["id"]), text(&hits[1]["id"])];
    expected.sort_unstable();
    assert_eq!(clicked, expected);
    let analytics = admin.get(&format!("{}/analytics", path(&admin))).await.ok();
    assert_eq!(
        (&analytics["clicks"], &analytics["clicked"]),
        (&json!(2), &json!(1))
    );
    assert_eq!(analytics["mean_clicked_position"], json!(1.5));
}

#[tokio::test]
async fn a_search_is_nobody_elses_whatever_their_role() {
    let world = World::start().await;
    let admin = greased(&world, "ada", 1).await;
    let member = world.join(&admin, "mia", "member").await;
    let others = [
        admin.clone(),
        world.join(&admin, "max", "manager").await,
        world.join(&admin, "moe", "member").await,
        world
            .machine(&admin, &["tasks:read", "agents:read"])
            .await
            .for_org(admin.org()),
    ];
    let (id, answer) = ask(&member, "grease").await;
    for other in &others {
        let theirs = click(other, &id, &answer["hits"][0], 1).await;
        theirs.problem(404, "not_found");
        let missing = click(other, &nobodys(&id), &answer["hits"][0], 1).await;
        assert_eq!(theirs.indistinguishable(), missing.indistinguishable());
    }
    // From another org, by its own path and by the path of the other.
    let eve = world.founder("eve").await;
    click(&eve, &id, &answer["hits"][0], 1)
        .await
        .problem(404, "not_found");
    let foreign = format!("{}/{id}/clicks", path(&member));
    let body = json!({ "kind": "task", "id": "x", "position": 1 });
    eve.post(&foreign, &body).await.problem(404, "not_found");
    click(&member, &id, &answer["hits"][0], 1).await.ok();
}

#[tokio::test]
async fn a_click_that_cannot_be_is_refused_with_its_place() {
    let world = World::start().await;
    let admin = greased(&world, "ada", 1).await;
    let (id, answer) = ask(&admin, "grease").await;
    click(&admin, &id, &answer["hits"][0], 2)
        .await
        .names("/position");
    let clicks = format!("{}/{id}/clicks", path(&admin));
    for (body, place) in [
        (
            json!({ "kind": "task", "id": "x", "position": 0 }),
            "/position",
        ),
        (
            json!({ "kind": "task", "id": "x", "position": 10_001 }),
            "/position",
        ),
        (
            json!({ "kind": "planet", "id": "x", "position": 1 }),
            "/kind",
        ),
        (json!({ "kind": "task", "id": "", "position": 1 }), "/id"),
        (
            json!({ "kind": "task", "id": "x".repeat(201), "position": 1 }),
            "/id",
        ),
        (json!({ "kind": "task", "id": "x" }), "/position"),
    ] {
        admin.post(&clicks, &body).await.names(place);
    }
}

#[tokio::test]
async fn what_was_searched_for_is_gone_after_ninety_days() {
    let world = World::start().await;
    let admin = greased(&world, "ada", 1).await;
    let machine = world
        .machine(&admin, &["tasks:read"])
        .await
        .for_org(admin.org());
    let (id, answer) = ask(&machine, "grease").await;
    let later = Instance::beside(&world);
    let secret = machine.credential();
    let click = json!({ "kind": "task", "id": answer["hits"][0]["id"], "position": 1 });
    let (clicks, suggest) = (
        format!("{}/{id}/clicks", path(&admin)),
        format!("{}/suggest?q=grease", path(&admin)),
    );
    later.clock.advance(RETENTION - Duration::from_secs(3_600));
    later.post(secret, &clicks, &click).await.ok();
    let empty = format!("{}/suggest", path(&admin));
    let suggested = later.get(secret, &empty).await.ok();
    assert_eq!(suggested["items"][0]["text"], "grease");
    later.clock.advance(Duration::from_secs(3_600));
    later
        .post(secret, &clicks, &click)
        .await
        .problem(404, "not_found");
    assert_eq!(later.get(secret, &empty).await.ok()["items"], json!([]));
    // Its word is a title's still.
    later.get(secret, &suggest).await.ok();
}

#[tokio::test]
async fn a_search_that_cannot_be_noted_is_answered_all_the_same() {
    let world = World::start().await;
    let admin = greased(&world, "ada", 1).await;
    let instance = Instance::with_config(&world, |config| {
        config.metrics = "nowhere".to_owned();
    });
    let body = json!({ "query": "grease", "mode": "text" });
    let answer = instance
        .post(admin.credential(), &path(&admin), &body)
        .await;
    let answer = answer.ok();
    assert_eq!(answer["hits"].as_array().map(Vec::len), Some(1));
    assert_eq!(answer.get("search_id"), None);
}

#[tokio::test]
async fn an_answer_does_not_wait_for_a_store_that_does_not_note_it() {
    let bare = Bare::start().await;
    let admin = bare.founder("ada").await;
    let (tables, store) = bare.watched().await;
    let service = bare.serving(crate::support::instance::routes(), store);
    let held = tables.hold("#SEARCH#", Side::Before);
    let body = json!({ "query": "grease", "mode": "text" });
    let asking = request(
        http::Method::POST,
        admin.credential(),
        &path(&admin),
        Some(&body),
        &[],
    );
    let answer = service.oneshot(asking).await.expect("infallible");
    assert_eq!(answer.status(), 200);
    let body = answer.into_body().collect().await.expect("an answer");
    let body: Value = serde_json::from_slice(&body.to_bytes()).expect("JSON");
    assert_eq!((&body["hits"], body.get("search_id")), (&json!([]), None));
    // It was under way until it was given up.
    held.arrived().await;
    held.open();
}
