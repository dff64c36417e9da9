//! Where it is sent: with the requests of its tool, to the origin that it was set for.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::Request;
use llm::scripted::{Scripted, Turn};
use outbound::Policy;
use serde_json::json;
use store::credentials::CredentialError;

use super::{CANARY, all_items, headers, registered};
use crate::support::fixture::tool;
use crate::support::{Setup, World, ended, text};

/// A service on this machine, and the `Authorization` of each request that it has seen.
async fn service() -> (u16, Arc<Mutex<Vec<String>>>) {
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let noted = Arc::clone(&seen);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let router = Router::new().fallback(move |request: Request| {
        let header = request.headers().get("authorization");
        let header = header.map(|value| value.to_str().expect("text").to_owned());
        noted
            .lock()
            .expect("no panic")
            .push(header.unwrap_or_default());
        async { axum::Json(json!({ "state": "shipped" })) }
    });
    tokio::spawn(async move { axum::serve(listener, router).await });
    (port, seen)
}

#[tokio::test]
async fn a_secret_is_sent_to_the_origin_it_was_set_for_and_no_other() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    let (path, credential) = registered(&admin, "get_order").await;
    let body = json!({ "kind": "bearer", "token": CANARY });
    admin.put(&credential, &body).await.ok();
    let moved = async |url: &str| {
        let mut action = tool("any")["action"].clone();
        action["url"] = json!(url);
        let body = json!({ "action": action });
        admin.patch(&path, &body).await.ok();
    };
    // Another path of the same service.
    moved("https://orders.example.com/v2/{order_id}").await;
    headers(&world, &admin, &path)
        .await
        .expect("the same origin");
    for url in [
        "https://evil.example.com/{order_id}",
        "https://orders.example.com:8443/{order_id}",
        "https://orders.example.com.evil.example/{order_id}",
    ] {
        moved(url).await;
        let refused = headers(&world, &admin, &path).await.expect_err(url);
        let is_named = matches!(refused, CredentialError::OtherOrigin { .. });
        assert!(is_named && !refused.is_transient(), "{url}: {refused:?}");
    }
    moved("http://orders.example.com/{order_id}").await;
    headers(&world, &admin, &path)
        .await
        .expect_err("in the clear");
    let refused = admin.put(&credential, &body).await;
    refused.problem(409, "no_place_for_secrets");
    // Whoever says so anew may send it there.
    moved("https://evil.example.com/{order_id}").await;
    let set = admin.put(&credential, &body).await.ok();
    assert_eq!(set["origin"], "https://evil.example.com");
    headers(&world, &admin, &path)
        .await
        .expect("the new origin");
}

#[tokio::test]
async fn the_request_of_a_run_carries_it_and_nothing_that_is_kept_or_shown_does() {
    let (port, seen) = service().await;
    let call = || Turn::calls([("get_order", json!({ "order_id": "7" }))]);
    let model = Scripted::new([
        call(),
        Turn::text("Shipped."),
        call(),
        Turn::text("Shipped."),
    ]);
    let world = World::with(Setup {
        model: model.clone(),
        outbound: Policy::public().allow_loopback_ports([port]),
        ..Setup::default()
    })
    .await;
    let admin = world.founder("ada").await;
    let mut body = tool("get_order");
    body["action"]["url"] = json!(format!("http://127.0.0.1:{port}/{{order_id}}"));
    let tool = admin.create("/v1/tools", &body).await;
    let agent = json!({ "name": "Guide", "instructions": "Answer.", "tools": [tool["id"]] });
    let agent = admin.create("/v1/agents", &agent).await;
    let run = async || {
        let body = json!({ "agent_id": agent["id"], "input": "Where is it?" });
        let execution = text(&admin.create("/v1/executions", &body).await["id"]);
        let ended = ended(&admin, &execution).await;
        assert_eq!(ended["state"], "completed", "{ended}");
        let trace = format!("/v1/executions/{execution}/trace");
        let shown = json!([ended, admin.list(&trace).await]).to_string();
        assert!(
            shown.contains("shipped") && !shown.contains("canary"),
            "{shown}"
        );
    };
    run().await;
    let path = format!("/v1/tools/{}/credential", text(&tool["id"]));
    let body = json!({ "kind": "bearer", "token": CANARY });
    admin.put(&path, &body).await.ok();
    run().await;
    let expected = [String::new(), format!("Bearer {CANARY}")];
    assert_eq!(*seen.lock().expect("no panic"), expected);
    let told = format!("{:?}", model.requests());
    assert!(
        told.contains("shipped") && !told.contains("canary"),
        "{told}"
    );
    for name in store::config::Table::ALL {
        let items = all_items(&world, world.store().config().table(*name)).await;
        assert!(!format!("{items:?}").contains("canary"), "{name:?}");
    }
}
