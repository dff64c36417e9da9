//! Tools that are HTTP requests: what they send, what comes back, and where they never reach.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::Request;
use axum::response::{IntoResponse, Redirect, Response};
use http::StatusCode;
use llm::scripted::{Scripted, Turn};
use outbound::Policy;
use serde_json::{Value, json};

use super::{agent, results, run};
use crate::support::{Api, Setup, World, text};

/// A request that the service has seen.
#[derive(Debug, Clone)]
struct Received {
    line: String,
    idempotency_key: String,
    header: String,
    body: Value,
}

/// A service on this machine.
struct Service {
    port: u16,
    received: Arc<Mutex<Vec<Received>>>,
}

impl Service {
    async fn start() -> Self {
        let received: Arc<Mutex<Vec<Received>>> = Arc::default();
        let seen = Arc::clone(&received);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let router = Router::new().fallback(move |request: Request| {
            let seen = Arc::clone(&seen);
            async move { serve(request, port, &seen).await }
        });
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { port, received }
    }

    fn received(&self) -> Vec<Received> {
        self.received
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }
}

async fn serve(request: Request, port: u16, seen: &Mutex<Vec<Received>>) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20)
        .await
        .unwrap_or_else(|_| Bytes::new());
    let header = |name: &str| {
        parts
            .headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
            .to_owned()
    };
    seen.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(Received {
            line: format!("{} {}", parts.method, parts.uri),
            idempotency_key: header("idempotency-key"),
            header: header("x-shop"),
            body: serde_json::from_slice(&body).unwrap_or_default(),
        });
    match parts.uri.path() {
        "/missing" => (StatusCode::NOT_FOUND, "no such order").into_response(),
        "/away" => Redirect::temporary(&format!("http://localhost:{port}/inside")).into_response(),
        "/large" => "x".repeat(100_000).into_response(),
        "/slow" => {
            tokio::time::sleep(Duration::from_secs(30)).await;
            "late".into_response()
        }
        _ => axum::Json(json!({ "state": "shipped" })).into_response(),
    }
}

/// A tool of the org that sends these arguments to the service.
async fn tool(admin: &Api, name: &str, method: &str, url: &str) -> Value {
    let body = json!({
        "name": name,
        "description": "Asks the shop.",
        "parameters": {
            "type": "object",
            "properties": { "order": { "type": "string" }, "note": { "type": "string" } },
            "required": ["order"],
        },
        "action": {
            "kind": "http", "method": method, "url": url, "headers": { "X-Shop": "north" },
            "timeout_seconds": 1,
        },
    });
    admin.create("/v1/tools", &body).await
}

async fn world(model: &Scripted, outbound: Policy) -> World {
    World::with(Setup {
        model: model.clone(),
        outbound,
        data: None,
        ..Setup::default()
    })
    .await
}

#[tokio::test]
async fn arguments_travel_in_path_query_and_body_under_a_key_of_their_own() {
    let arguments = json!({ "order": "A/1 &x", "note": "hé" });
    let model = Scripted::new([
        Turn::calls([
            ("get_order", arguments.clone()),
            ("send_order", arguments.clone()),
        ]),
        Turn::calls([("get_order", arguments)]),
        Turn::text("Shipped."),
    ]);
    let service = Service::start().await;
    let world = world(
        &model,
        Policy::public().allow_loopback_ports([service.port]),
    )
    .await;
    let admin = world.founder("ada").await;
    let get = tool(
        &admin,
        "get_order",
        "GET",
        &service.url("/orders/{order}?v=1"),
    )
    .await;
    let send = tool(
        &admin,
        "send_order",
        "POST",
        &service.url("/orders/{order}"),
    )
    .await;
    let guide = agent(&admin, &[&text(&get["id"]), &text(&send["id"])]).await;
    let execution = run(&admin, &guide).await;
    assert_eq!(execution["state"], "completed", "{execution}");

    let received = service.received();
    let lines: Vec<&str> = received
        .iter()
        .map(|request| request.line.as_str())
        .collect();
    assert_eq!(
        lines,
        [
            "GET /orders/A%2F1%20%26x?v=1&note=h%C3%A9",
            "POST /orders/A%2F1%20%26x",
            "GET /orders/A%2F1%20%26x?v=1&note=h%C3%A9",
        ]
    );
    assert_eq!(received[1].body, json!({ "note": "hé" }));
    assert!(received.iter().all(|request| request.header == "north"));
    let id = text(&execution["id"]);
    let keys: Vec<&str> = received
        .iter()
        .map(|request| request.idempotency_key.as_str())
        .collect();
    assert_eq!(
        keys,
        [
            format!("{id}-1-1"),
            format!("{id}-1-2"),
            format!("{id}-2-1")
        ]
    );
    for (content, is_error) in results(&admin, &execution).await {
        let content: Value = serde_json::from_str(&content).expect("JSON");
        assert_eq!(
            content,
            json!({ "status": 200, "body": { "state": "shipped" } })
        );
        assert!(!is_error);
    }
}

#[tokio::test]
async fn what_goes_wrong_outside_is_told_to_the_model() {
    let order = json!({ "order": "1" });
    let names = ["missing", "large", "slow", "closed"];
    let model = Scripted::new([
        Turn::calls(names.map(|name| (name, order.clone()))),
        Turn::text("I could not find out."),
    ]);
    let service = Service::start().await;
    let closed = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.local_addr().expect("an address").port()
    };
    let policy = Policy::public().allow_loopback_ports([service.port, closed]);
    let world = world(&model, policy).await;
    let admin = world.founder("ada").await;
    let mut tools = Vec::new();
    for name in names {
        let url = match name {
            "closed" => format!("http://127.0.0.1:{closed}/"),
            name => service.url(&format!("/{name}")),
        };
        tools.push(text(&tool(&admin, name, "GET", &url).await["id"]));
    }
    let tools: Vec<&str> = tools.iter().map(String::as_str).collect();
    let guide = agent(&admin, &tools).await;
    let execution = run(&admin, &guide).await;
    assert_eq!(execution["state"], "completed", "{execution}");
    let results = results(&admin, &execution).await;
    let [missing, large, slow, closed] = results.as_slice() else {
        panic!("{results:?}")
    };
    assert!(
        missing.1 && missing.0.contains("no such order"),
        "{missing:?}"
    );
    assert!(
        !large.1 && large.0.len() <= 32 * 1024 && large.0.contains("cut"),
        "{:?}",
        large.1
    );
    assert!(
        slow.1 && slow.0.contains("did not answer within 1 seconds"),
        "{slow:?}"
    );
    assert!(closed.1 && closed.0.contains("failed"), "{closed:?}");
}

#[tokio::test]
async fn no_tool_reaches_this_machine_or_its_network() {
    let service = Service::start().await;
    let port = service.port;
    let hosts = [
        "127.0.0.1",
        "localhost",
        "0.0.0.0",
        "[::1]",
        "169.254.169.254",
        "10.0.0.1",
        "192.168.0.1",
        "[fd00::1]",
        "localtest.me",
    ];
    let calls = (0..hosts.len()).map(|number| (format!("tool_{number}"), json!({ "order": "1" })));
    let model = Scripted::new([Turn::calls(calls), Turn::text("I cannot reach that.")]);
    let world = world(&model, Policy::public().allow_public_ports([port])).await;
    let admin = world.founder("ada").await;
    // Numbers that are an address in disguise are not even registered.
    for disguise in [
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "[::ffff:127.0.0.1]",
    ] {
        let mut body = crate::support::fixture::tool("disguised");
        body["action"]["url"] = json!(format!("http://{disguise}:{port}/"));
        admin.post("/v1/tools", &body).await.names("/action/url");
    }
    let mut tools = Vec::new();
    for (number, host) in hosts.iter().enumerate() {
        let url = format!("http://{host}:{port}/inside");
        tools.push(text(
            &tool(&admin, &format!("tool_{number}"), "GET", &url).await["id"],
        ));
    }
    let tools: Vec<&str> = tools.iter().map(String::as_str).collect();
    let guide = agent(&admin, &tools).await;
    let execution = run(&admin, &guide).await;
    assert_eq!(execution["state"], "completed", "{execution}");
    let results = results(&admin, &execution).await;
    assert_eq!(results.len(), hosts.len());
    for (host, (content, is_error)) in hosts.iter().zip(results) {
        assert!(is_error && content.contains("failed"), "{host}: {content}");
        assert!(!content.contains("shipped"), "{host}: {content}");
    }
    assert_eq!(service.received().len(), 0);
}

#[tokio::test]
async fn a_redirect_leads_nowhere_that_is_not_allowed() {
    let model = Scripted::new([
        Turn::calls([("away", json!({ "order": "1" }))]),
        Turn::text("It went elsewhere."),
    ]);
    let service = Service::start().await;
    let world = world(
        &model,
        Policy::public().allow_loopback_ports([service.port]),
    )
    .await;
    let admin = world.founder("ada").await;
    let away = tool(&admin, "away", "GET", &service.url("/away")).await;
    let guide = agent(&admin, &[&text(&away["id"])]).await;
    let execution = run(&admin, &guide).await;
    let results = results(&admin, &execution).await;
    assert!(results[0].1, "{results:?}");
    assert_eq!(service.received().len(), 1, "the redirect was followed");
}

#[tokio::test]
async fn a_tool_that_was_deleted_is_not_called_any_more() {
    let model = Scripted::new([
        Turn::calls([("get_order", json!({ "order": "1" }))]),
        Turn::text("I have no such tool."),
    ]);
    let service = Service::start().await;
    let world = world(
        &model,
        Policy::public().allow_loopback_ports([service.port]),
    )
    .await;
    let admin = world.founder("ada").await;
    let get = tool(&admin, "get_order", "GET", &service.url("/orders")).await;
    let guide = agent(&admin, &[&text(&get["id"])]).await;
    admin
        .delete(&format!("/v1/tools/{}", text(&get["id"])))
        .await
        .gone();
    let execution = run(&admin, &guide).await;
    assert!(results(&admin, &execution).await[0].1);
    assert_eq!(
        (service.received().len(), model.requests()[0].tools.len()),
        (0, 0)
    );
}
