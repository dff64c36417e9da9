//! Tools of servers that speak the Model Context Protocol, as runs use them.

use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode};
use llm::scripted::{Scripted, Turn};
use llm::{ChatRequest, Message};
use outbound::Policy;
use serde_json::{Value, json};
use work::{Job, JobState, JobStore as _};

use crate::support::stream::{kinds, whole};
use crate::support::{Api, Setup, World, ended, eventually, tenant, text};

const SECRET: &str = "canary-mcp-91d2";

/// A message that a server has received.
#[derive(Debug, Clone)]
struct Seen {
    headers: HeaderMap,
    body: Value,
}

impl Seen {
    fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.map_or("", |value| value.to_str().expect("a text"))
    }
}

/// A server with two tools, one of which fails. It may want a credential for everything or for
/// calls only.
#[derive(Clone)]
struct Server {
    port: u16,
    seen: Arc<Mutex<Vec<Seen>>>,
}

/// What a server wants a credential for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wants {
    Nothing,
    ForCalls,
    ForAll,
}

impl Server {
    async fn start(wants: Wants) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let log = Arc::clone(&seen);
        let router = Router::new().fallback(move |request: Request| {
            let log = Arc::clone(&log);
            async move { serve(request, wants, &log).await }
        });
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { port, seen }
    }

    /// The messages of a method, in order.
    fn of(&self, method: &str) -> Vec<Seen> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let of_method = seen.iter().filter(|seen| seen.body["method"] == method);
        of_method.cloned().collect()
    }
}

async fn serve(request: Request, wants: Wants, log: &Mutex<Vec<Seen>>) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await;
    let body = body.unwrap_or_else(|_| Bytes::new());
    let seen = Seen {
        headers: parts.headers,
        body: serde_json::from_slice(&body).unwrap_or_default(),
    };
    log.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(seen.clone());
    let method = seen.body["method"].as_str().unwrap_or_default();
    let is_locked = match wants {
        Wants::Nothing => false,
        Wants::ForCalls => method == "tools/call",
        Wants::ForAll => true,
    };
    if is_locked && seen.header("authorization") != format!("Bearer {SECRET}") {
        let challenge = [("www-authenticate", "Bearer")];
        return (StatusCode::UNAUTHORIZED, challenge).into_response();
    }
    let result = match method {
        "initialize" => json!({
            "protocolVersion": "2025-11-25",
            "capabilities": { "tools": {} },
            "serverInfo": { "name": "scripted", "version": "1" },
        }),
        "tools/list" => json!({ "tools": [
            {
                "name": "Get.Order-v2", "description": "Looks up an order.",
                "inputSchema": {
                    "type": "object", "properties": { "id": { "type": "string" } },
                    "required": ["id"],
                },
            },
            { "name": "fail", "description": "Fails.", "inputSchema": { "type": "object" } },
        ] }),
        "tools/call" if seen.body["params"]["name"] == "fail" => json!({
            "content": [{ "type": "text", "text": "No such order." }], "isError": true,
        }),
        "tools/call" => json!({ "content": [{ "type": "text", "text": "It was shipped." }] }),
        _ if method.starts_with("notifications/") => return StatusCode::ACCEPTED.into_response(),
        _ => {
            let error = json!({ "code": -32601, "message": "No such method" });
            let message = json!({ "jsonrpc": "2.0", "id": seen.body["id"], "error": error });
            return (StatusCode::BAD_REQUEST, axum::Json(message)).into_response();
        }
    };
    let message = json!({ "jsonrpc": "2.0", "id": seen.body["id"], "result": result });
    axum::Json(message).into_response()
}

/// A model that looks up an order as soon as it can, and fails once if it is asked to.
fn asks_the_shop() -> Scripted {
    Scripted::computed(|request: &ChatRequest, _| {
        let turns = request.messages.iter();
        let turns = turns.filter(|message| matches!(message, Message::Assistant { .. }));
        let offered = |name: &str| request.tools.iter().any(|tool| tool.name == name);
        match turns.count() {
            0 if offered("shop__get_order_v2") => Turn::calls([
                ("shop__get_order_v2", json!({ "id": "7" })),
                ("shop__fail", json!({})),
                ("Get.Order-v2", json!({ "id": "7" })),
            ]),
            0 => Turn::text("I have no tools."),
            _ => Turn::text("It was shipped."),
        }
    })
}

/// A world whose tools may reach this server, an admin, the server as a tool, and an agent with it.
struct Shop {
    world: World,
    admin: Api,
    tool: String,
    agent: String,
}

impl Shop {
    async fn open(model: &Scripted, port: u16) -> Self {
        let world = World::with(Setup {
            model: model.clone(),
            outbound: Policy::public().allow_loopback_ports([port]),
            ..Setup::default()
        })
        .await;
        let admin = world.founder("ada").await;
        let body = json!({
            "name": "shop", "description": "The shop.",
            "action": { "kind": "mcp", "url": format!("http://127.0.0.1:{port}/mcp") },
        });
        let tool = text(&admin.create("/v1/tools", &body).await["id"]);
        let body = json!({ "name": "Guide", "instructions": "Answer.", "tools": [tool] });
        let agent = text(&admin.create("/v1/agents", &body).await["id"]);
        Self {
            world,
            admin,
            tool,
            agent,
        }
    }

    async fn start(&self) -> String {
        let body = json!({ "agent_id": self.agent, "input": "Where is order 7?" });
        text(&self.admin.create("/v1/executions", &body).await["id"])
    }

    async fn run(&self) -> String {
        let execution = self.start().await;
        let done = ended(&self.admin, &execution).await;
        assert_eq!(done["state"], "completed", "{done}");
        execution
    }

    async fn get(&self, execution: &str) -> Value {
        let path = format!("/v1/executions/{execution}");
        self.admin.get(&path).await.ok()
    }

    async fn trace(&self, execution: &str) -> Vec<Value> {
        let path = format!("/v1/executions/{execution}/trace");
        self.admin.list(&path).await
    }

    /// What the calls of a run gave: content, and whether it is an error.
    async fn results(&self, execution: &str) -> Vec<(String, bool)> {
        let trace = self.trace(execution).await;
        let calls = trace.iter().filter(|one| one["request"]["kind"] == "tool");
        calls
            .map(|one| {
                let outcome = &one["outcome"];
                (text(&outcome["content"]), outcome["is_error"] == true)
            })
            .collect()
    }

    async fn awaiting_auth(&self, execution: &str) -> Value {
        eventually("the run waits for a credential", async || {
            let now = self.get(execution).await;
            (now["state"] == "awaiting_auth").then_some(now)
        })
        .await
    }

    async fn job(&self, execution: &str) -> Job {
        let (store, tenant) = (self.world.store(), tenant(&self.admin));
        let id = execution.parse().expect("an id");
        let execution = store.executions(tenant).get(id).await.expect("an answer");
        let job = execution.expect("an execution").job;
        let job = store.load(tenant.org(), job).await.expect("an answer");
        job.expect("a job")
    }

    /// Once the job of a run that waits is parked.
    async fn parked(&self, execution: &str) -> Job {
        eventually("the job is parked", async || {
            let job = self.job(execution).await;
            (job.state == JobState::Parked).then_some(job)
        })
        .await
    }

    async fn authorise(&self) {
        let path = format!("/v1/tools/{}/credential", self.tool);
        let body = json!({ "kind": "bearer", "token": SECRET });
        self.admin.put(&path, &body).await.ok();
    }

    /// Asserts that the secret stands nowhere that anybody can read.
    async fn assert_secret_is_kept(&self, execution: &str) {
        let mut shown = vec![
            self.get(execution).await,
            Value::Array(self.trace(execution).await),
        ];
        let events = whole(&self.admin, execution).await;
        shown.extend(events.into_iter().map(|event| event.data));
        for path in ["/v1/audit", "/v1/tools", "/v1/executions"] {
            shown.push(Value::Array(self.admin.list(path).await));
        }
        for value in shown {
            assert!(!value.to_string().contains(SECRET), "{value}");
        }
        let store = self.world.store();
        for table in store::config::Table::ALL {
            let name = store.config().table(*table);
            let scan = store.clients().dynamo.scan().table_name(name);
            let items = scan.into_paginator().items().send();
            let items = items.collect::<Result<Vec<_>, _>>().await;
            for item in items.expect("the table answers") {
                assert!(!format!("{item:?}").contains(SECRET), "{table:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_servers_tools_are_listed_once_and_called_under_a_key_of_their_own() {
    let server = Server::start(Wants::Nothing).await;
    let model = asks_the_shop();
    let shop = Shop::open(&model, server.port).await;
    let execution = shop.run().await;
    let offered: Vec<String> = model.requests()[0]
        .tools
        .iter()
        .map(|tool| tool.name.clone())
        .collect();
    assert_eq!(offered, ["shop__fail", "shop__get_order_v2"]);
    let results = shop.results(&execution).await;
    assert_eq!(results[0], ("It was shipped.".to_owned(), false));
    assert_eq!(results[1], ("No such order.".to_owned(), true));
    // A tool has one name, and that is not the server's.
    assert!(
        results[2].1 && results[2].0.contains("no tool"),
        "{results:?}"
    );
    let calls = server.of("tools/call");
    let names: Vec<&Value> = calls
        .iter()
        .map(|call| &call.body["params"]["name"])
        .collect();
    assert_eq!(names, ["Get.Order-v2", "fail"]);
    assert_eq!(calls[0].body["params"]["arguments"], json!({ "id": "7" }));
    for (number, call) in (1..).zip(&calls) {
        let key = format!("{execution}-1-{number}");
        assert_eq!(call.header("idempotency-key"), key);
        assert_eq!(call.body["params"]["_meta"]["idempotency-key"], key);
    }

    // The next run knows the tools.
    shop.run().await;
    assert_eq!(
        (server.of("tools/list").len(), server.of("tools/call").len()),
        (1, 4)
    );
    // Whoever changes the tool has it listed anew.
    let path = format!("/v1/tools/{}", shop.tool);
    let body = json!({ "description": "The other shop." });
    shop.admin.patch(&path, &body).await.ok();
    shop.run().await;
    assert_eq!(server.of("tools/list").len(), 2);
}

#[tokio::test]
async fn a_server_that_is_down_takes_its_tools_with_it_and_nothing_else() {
    let port = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.local_addr().expect("an address").port()
    };
    let model = asks_the_shop();
    let shop = Shop::open(&model, port).await;
    let execution = shop.run().await;
    assert_eq!(shop.get(&execution).await["answer"], "I have no tools.");
    assert!(model.requests()[0].tools.is_empty());
}

#[tokio::test]
async fn a_call_that_wants_a_credential_waits_for_it_at_no_cost() {
    let server = Server::start(Wants::ForCalls).await;
    let model = asks_the_shop();
    let shop = Shop::open(&model, server.port).await;
    let execution = shop.start().await;
    let waiting = shop.awaiting_auth(&execution).await;
    assert_eq!(waiting["waiting"]["tool"], json!(shop.tool));
    let parked = shop.parked(&execution).await;
    assert_eq!((model.calls(), server.of("tools/call").len()), (1, 1));

    // Resumed by hand, and no wiser: it is asked for again.
    let resume = format!("/v1/executions/{execution}/resume");
    let answer = shop.admin.post(&resume, &json!({})).await;
    assert!(answer.status.is_success(), "{answer}");
    eventually("the call is tried again", async || {
        (server.of("tools/call").len() == 2).then_some(())
    })
    .await;
    shop.awaiting_auth(&execution).await;
    let again = shop.parked(&execution).await;
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    let still = shop.job(&execution).await;
    assert_eq!(
        (still.state, still.version),
        (JobState::Parked, again.version)
    );
    assert!(again.version > parked.version);
    assert_eq!((model.calls(), still.attempts), (1, parked.attempts));

    // The credential alone has it go on.
    shop.authorise().await;
    let done = ended(&shop.admin, &execution).await;
    assert_eq!(done["state"], "completed", "{done}");
    let results = shop.results(&execution).await;
    assert_eq!(results[0], ("It was shipped.".to_owned(), false));
    let calls = server.of("tools/call");
    assert_eq!(calls.len(), 4);
    // The same call, under the same key.
    let key = format!("{execution}-1-1");
    assert!(
        calls[..3]
            .iter()
            .all(|call| call.header("idempotency-key") == key)
    );
    let bearer = format!("Bearer {SECRET}");
    let sent: Vec<bool> = calls
        .iter()
        .map(|call| call.header("authorization") == bearer)
        .collect();
    assert_eq!(sent, [false, false, true, true]);
    assert_eq!((model.calls(), server.of("tools/list").len()), (2, 1));
    let events = whole(&shop.admin, &execution).await;
    let results = kinds(&events)
        .iter()
        .filter(|kind| **kind == "TOOL_CALL_RESULT")
        .count();
    assert_eq!(results, 3);
    shop.assert_secret_is_kept(&execution).await;
}

#[tokio::test]
async fn a_server_that_lists_nothing_without_a_credential_is_asked_before_the_model_is() {
    let server = Server::start(Wants::ForAll).await;
    let model = asks_the_shop();
    let shop = Shop::open(&model, server.port).await;
    let execution = shop.start().await;
    let waiting = shop.awaiting_auth(&execution).await;
    assert_eq!(waiting["waiting"]["tool"], json!(shop.tool));
    shop.parked(&execution).await;
    assert_eq!(model.calls(), 0);
    shop.authorise().await;
    let done = ended(&shop.admin, &execution).await;
    assert_eq!(
        (&done["state"], &done["answer"]),
        (&json!("completed"), &json!("It was shipped."))
    );
    assert_eq!(shop.results(&execution).await[0].0, "It was shipped.");
    shop.assert_secret_is_kept(&execution).await;
}
