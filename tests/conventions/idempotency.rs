//! `Idempotency-Key`: a repeated POST is answered as the first was, and done once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use api::Problem;
use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::support::instance::{Instance, request};
use crate::support::world::upload_path;
use crate::support::{Answer, Api, World, send, text, within};

async fn post_once(api: &Api, path: &str, body: &Value, key: &str) -> Answer {
    let request = api
        .request(Method::POST, path)
        .header("idempotency-key", key);
    send(request.json(body)).await
}

fn agent(name: &str) -> Value {
    json!({ "name": name, "instructions": "Answer." })
}

#[tokio::test]
async fn a_repetition_gets_the_same_answer_and_creates_nothing_more() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    let first = post_once(&admin, "/v1/agents", &agent("Guide"), "k1").await;
    let made = first.created();
    assert_eq!(first.header("idempotency-replayed"), None);
    for _ in 0..3 {
        let again = post_once(&admin, "/v1/agents", &agent("Guide"), "k1").await;
        assert_eq!(again.header("idempotency-replayed"), Some("true"));
        assert_eq!((again.status, &again.body), (first.status, &first.body));
        for name in ["location", "etag", "content-type"] {
            assert_eq!(again.headers.get(name), first.headers.get(name), "{name}");
        }
        assert_ne!(again.header("x-request-id"), first.header("x-request-id"));
    }
    assert_eq!(admin.list("/v1/agents").await, [made]);
    post_once(&admin, "/v1/agents", &agent("Guide"), "k2")
        .await
        .created();
    assert_eq!(admin.list("/v1/agents").await.len(), 2);
}

#[tokio::test]
async fn a_refusal_is_repeated_too() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    let bad = json!({ "name": "", "instructions": "Answer." });
    let first = post_once(&admin, "/v1/agents", &bad, "k1").await;
    first.names("/name");
    let again = post_once(&admin, "/v1/agents", &bad, "k1").await;
    assert_eq!((again.status, &again.body), (first.status, &first.body));
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
}

#[tokio::test]
async fn the_same_key_for_another_body_path_or_org_is_422() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    let second = admin.create("/v1/orgs", &json!({ "name": "Second" })).await;
    post_once(&admin, "/v1/agents", &agent("Guide"), "k1")
        .await
        .created();
    let elsewhere = admin.for_org(text(&second["id"]));
    for answer in [
        post_once(&admin, "/v1/agents", &agent("Other"), "k1").await,
        post_once(&admin, "/v1/agents?x=1", &agent("Guide"), "k1").await,
        post_once(&admin, "/v1/knowledge-bases", &agent("Guide"), "k1").await,
        post_once(&elsewhere, "/v1/agents", &agent("Guide"), "k1").await,
    ] {
        answer.problem(422, "idempotency_key_reused");
    }
    assert_eq!(admin.list("/v1/agents").await.len(), 1);
}

#[tokio::test]
async fn keys_of_two_callers_never_meet() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    let manager = world.join(&admin, "mel", "manager").await;
    let machine = world
        .machine(&admin, &["agents:write", "agents:read"])
        .await;
    let mut made = Vec::new();
    for caller in [&admin, &manager, &machine] {
        let answer = post_once(caller, "/v1/agents", &agent("Guide"), "same").await;
        assert_eq!(answer.header("idempotency-replayed"), None);
        made.push(text(&answer.created()["id"]));
    }
    made.dedup();
    assert_eq!(made.len(), 3);
    // Nor is a reply given to somebody without a valid credential.
    let nobody = post_once(&world.bearer("x"), "/v1/agents", &agent("Guide"), "same").await;
    assert_eq!(nobody.status, 401);
}

#[tokio::test]
async fn whoever_has_left_the_org_gets_no_reply_again() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    let manager = world.join(&admin, "mel", "manager").await;
    let first = post_once(&manager, "/v1/agents", &agent("Guide"), "k1").await;
    first.created();
    let id = text(&manager.get("/v1/users/me").await.ok()["id"]);
    let member = format!("/v1/orgs/{}/members/{id}", admin.org());
    admin.delete(&member).await.gone();

    let again = post_once(&manager, "/v1/agents", &agent("Guide"), "k1").await;
    let another = post_once(&manager, "/v1/agents", &agent("Guide"), "k2").await;
    again.problem(404, "not_found");
    assert_eq!(again.header("idempotency-replayed"), None);
    assert_eq!(again.json()["detail"], another.json()["detail"]);
}

#[tokio::test]
async fn twenty_at_once_are_one() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    let body = agent("Guide");
    let at_once = (0..20).map(|_| post_once(&admin, "/v1/agents", &body, "race"));
    let answers = futures::future::join_all(at_once).await;
    let mut made = 0;
    for answer in &answers {
        match answer.status.as_u16() {
            201 if answer.header("idempotency-replayed").is_none() => made += 1,
            201 => {}
            _ => {
                answer.problem(409, "idempotency_in_flight");
                assert_eq!(answer.header("retry-after"), Some("1"));
            }
        }
    }
    assert_eq!(made, 1);
    assert_eq!(admin.list("/v1/agents").await.len(), 1);
}

#[tokio::test]
async fn a_bad_key_is_named_and_other_methods_do_without() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    for key in ["", "a b", &"x".repeat(256), "\u{1}"] {
        let Ok(key) = http::HeaderValue::from_str(key) else {
            continue;
        };
        let request = admin
            .request(Method::POST, "/v1/agents")
            .header("idempotency-key", key);
        send(request.json(&agent("Guide")))
            .await
            .names("Idempotency-Key");
    }
    let twice = admin
        .request(Method::POST, "/v1/agents")
        .header("idempotency-key", "a");
    let twice = twice.header("idempotency-key", "b").json(&agent("Guide"));
    send(twice).await.names("Idempotency-Key");

    let get = || {
        admin
            .request(Method::GET, "/v1/agents")
            .header("idempotency-key", "k")
    };
    let before = send(get()).await;
    admin.create("/v1/agents", &agent("Guide")).await;
    let after = send(get()).await;
    assert_ne!(before.body, after.body);
    assert_eq!(after.header("idempotency-replayed"), None);
}

#[tokio::test]
async fn a_reply_with_a_secret_is_not_kept() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    let body = json!({ "name": "Import", "scopes": ["agents:read"] });
    let first = post_once(&admin, "/v1/api-keys", &body, "k1").await;
    let secret = text(&first.created()["secret"]);
    assert_eq!(first.header("cache-control"), Some("no-store"));
    let again = post_once(&admin, "/v1/api-keys", &body, "k1").await;
    again.problem(409, "secret_shown_once");
    assert_eq!(again.header("location"), first.header("location"));
    assert!(!String::from_utf8_lossy(&again.body).contains(&secret));
    assert_eq!(admin.list("/v1/api-keys").await.len(), 1);
}

/// An instance whose one route answers as `service` says, after it has been let through.
struct Slow {
    instance: Instance,
    arrived: Arc<Notify>,
    opened: Arc<Notify>,
    calls: Arc<AtomicU32>,
}

impl Slow {
    fn serving(world: &World, answer: fn(u32) -> Response) -> Self {
        let (arrived, opened) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let calls = Arc::new(AtomicU32::new(0));
        let handler = {
            let (arrived, opened, calls) = (arrived.clone(), opened.clone(), calls.clone());
            move || async move {
                arrived.notify_one();
                opened.notified().await;
                answer(calls.fetch_add(1, Ordering::SeqCst))
            }
        };
        let router: Router<api::App> = Router::new().route("/slow", post(handler));
        let instance = Instance::serving(world, |app| api::service_of(router, app));
        Self {
            instance,
            arrived,
            opened,
            calls,
        }
    }

    fn send(&self, credential: &str) -> tokio::task::JoinHandle<Answer> {
        let instance = self.instance.clone();
        let body = json!({});
        let headers = [("idempotency-key", "k1")];
        let request = request(Method::POST, credential, "/slow", Some(&body), &headers);
        tokio::spawn(async move { instance.send(request).await })
    }
}

#[tokio::test]
async fn while_the_first_is_under_way_the_second_is_409_until_its_flight_has_timed_out() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    let machine = world.machine(&admin, &["agents:read"]).await;
    let slow = Slow::serving(&world, |call| format!("call {call}").into_response());
    let first = slow.send(machine.credential());
    within("the first request is under way", slow.arrived.notified()).await;
    let second = slow.send(machine.credential()).await.expect("no panic");
    second.problem(409, "idempotency_in_flight");

    // The first never ends: its key is not lost with it.
    slow.instance.clock.advance(Duration::from_secs(59));
    let third = slow.send(machine.credential()).await.expect("no panic");
    third.problem(409, "idempotency_in_flight");
    slow.instance.clock.advance(Duration::from_secs(1));
    let heir = slow.send(machine.credential());
    within("another takes the key over", slow.arrived.notified()).await;
    first.abort();
    assert!(first.await.is_err());
    slow.opened.notify_one();
    let heir = within("the heir ends", heir).await.expect("no panic");
    assert_eq!(heir.body, "call 0");
    let again = slow.send(machine.credential()).await.expect("no panic");
    assert_eq!(
        (again.body.clone(), slow.calls.load(Ordering::SeqCst)),
        (heir.body, 1)
    );
}

#[tokio::test]
async fn a_reply_is_given_again_for_a_day() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    let machine = world.machine(&admin, &["agents:write"]).await;
    let instance = Instance::beside(&world);
    let body = agent("Guide");
    let send = async || {
        instance
            .post_once(machine.credential(), "/v1/agents", &body, "k1")
            .await
    };
    let first = send().await;
    first.created();
    instance.clock.advance(Duration::from_secs(24 * 3600 - 1));
    assert_eq!(send().await.body, first.body);
    instance.clock.advance(Duration::from_secs(2));
    let anew = send().await;
    assert_ne!(anew.created()["id"], first.json()["id"]);
}

#[tokio::test]
async fn a_failure_of_ours_is_not_kept() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    let slow = Slow::serving(&world, |call| match call {
        0 => Problem::internal("broken").into_response(),
        1 => Problem::unavailable("away").into_response(),
        _ => (StatusCode::CREATED, "made").into_response(),
    });
    let mut statuses = Vec::new();
    for _ in 0..4 {
        slow.opened.notify_one();
        let answer = slow.send(admin.credential()).await.expect("no panic");
        statuses.push(answer.status.as_u16());
    }
    assert_eq!(statuses, [500, 503, 201, 201]);
    assert_eq!(slow.calls.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn an_upload_is_offered_once() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    let body = crate::support::world::announced("a.md", b"# A", None);
    let first = post_once(&admin, &upload_path(&admin), &body, "k1")
        .await
        .created();
    let again = post_once(&admin, &upload_path(&admin), &body, "k1")
        .await
        .created();
    assert_eq!(again, first);
    assert_eq!(admin.list("/v1/files").await.len(), 1);
}
