//! Health and documentation, which anybody may read.

use serde_json::json;

use crate::support::World;
use crate::support::instance::Instance;
use crate::support::operations::document;

#[tokio::test]
async fn health_says_that_it_runs_and_what_it_stands_on() {
    let world = World::start().await;
    let anybody = world.anonymous();
    let live = anybody.get("/health").await;
    assert_eq!(live.ok()["status"], "ok");
    assert_eq!(live.header("cache-control"), Some("no-store"));
    let ready = anybody.get("/health/ready").await;
    assert_eq!(ready.header("cache-control"), Some("no-store"));
    let ready = ready.ok();
    assert_eq!(ready["status"], "ok", "{ready}");
    for dependency in ["database", "files", "queues"] {
        let answer = &ready["dependencies"][dependency];
        assert_eq!(answer["status"], "ok", "{ready}");
        assert!(answer["latency_ms"].is_u64(), "{ready}");
    }
    // It names no resource: nothing that anybody might aim at.
    let text = ready.to_string();
    for secret in ["127.0.0.1", "http", "overglass-files", "arn:"] {
        assert!(!text.contains(secret), "{text}");
    }
}

#[tokio::test]
async fn without_its_store_it_says_that_it_is_down_and_answers_nobody_wrongly() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    let cut_off = Instance::cut_off(&world);
    assert_eq!(cut_off.get("", "/health").await.ok()["status"], "ok");
    let ready = cut_off.get("", "/health/ready").await.expect(503);
    assert_eq!(ready["status"], "down");
    let problem = cut_off.get(admin.credential(), "/v1/agents").await;
    let problem = problem.problem(503, "unavailable");
    assert!(!problem.to_string().contains("127.0.0.1"), "{problem}");
}

#[tokio::test]
async fn the_document_that_is_served_is_the_one_that_the_handlers_generate() {
    let world = World::start().await;
    let served = world.anonymous().get("/openapi.json").await;
    assert_eq!(served.header("content-type"), Some("application/json"));
    let (served, generated) = (served.ok(), document());
    let paths = |document: &serde_json::Value| -> Vec<String> {
        document["paths"]
            .as_object()
            .expect("paths")
            .keys()
            .cloned()
            .collect()
    };
    assert_eq!(
        paths(&served),
        paths(&generated),
        "generate the document anew"
    );
    assert_eq!(served, generated, "generate the document anew");
}

#[tokio::test]
async fn the_pages_are_open_to_all_and_fenced_in() {
    let world = World::start().await;
    let start = world.anonymous().get("/docs").await;
    assert_eq!(start.status, 307);
    assert_eq!(start.header("location"), Some("/docs/index.html"));
    let page = world.anonymous().get("/docs/index.html").await;
    assert_eq!(page.status, 200);
    let policy = page.header("content-security-policy").expect("a policy");
    assert!(policy.contains("default-src 'none'"), "{policy}");
    world
        .anonymous()
        .get("/docs/none")
        .await
        .problem(404, "not_found");
}

#[tokio::test]
async fn the_local_issuer_signs_in_presets_and_nobody_else() {
    let world = World::start().await;
    let people = world.anonymous().get("/local/people").await.ok();
    assert!(
        people["people"]
            .as_array()
            .is_some_and(|people| people.len() > 2),
        "{people}"
    );
    let token = world
        .anonymous()
        .post("/local/token/ada", &json!({}))
        .await
        .ok();
    let ada = world.bearer(token["access_token"].as_str().expect("a token"));
    assert_eq!(
        ada.get("/v1/users/me").await.ok()["email"],
        "ada@example.com"
    );
    assert_eq!(
        world
            .anonymous()
            .post("/local/token/mallory", &json!({}))
            .await
            .status,
        404
    );
}
