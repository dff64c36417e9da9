//! A server that follows a script, and remembers what it was sent.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use futures::future::BoxFuture;
use mcp::{CallOptions, CallResult, Client, Endpoint, McpError, Timeouts};
use outbound::Policy;
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// A request that a server has seen.
#[derive(Debug, Clone)]
pub struct Seen {
    pub http: Method,
    pub headers: HeaderMap,
    /// The message; null if there was none.
    pub body: Value,
}

impl Seen {
    /// The method of JSON-RPC; empty if the message has none.
    pub fn rpc(&self) -> &str {
        self.body["method"].as_str().unwrap_or_default()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let value = self.headers.get(name)?;
        Some(value.to_str().expect("a readable header"))
    }

    /// A line about the request: what came, and in which session.
    pub fn line(&self) -> String {
        let what = match (self.rpc(), self.body.is_null()) {
            ("", true) => self.http.to_string(),
            ("", false) => "answer".to_owned(),
            (method, _) => method.to_owned(),
        };
        match self.header("mcp-session-id") {
            Some(id) => format!("{what} in {id}"),
            None => what,
        }
    }
}

type Script = dyn Fn(Seen) -> BoxFuture<'static, Response> + Send + Sync;
type Log = Arc<Mutex<Vec<Seen>>>;

/// A listening server. It stops when the test's runtime does.
pub struct Server {
    pub address: SocketAddr,
    seen: Log,
}

impl Server {
    pub async fn start<F>(script: F) -> Self
    where
        F: Fn(Seen) -> BoxFuture<'static, Response> + Send + Sync + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let seen = Log::default();
        let script: Arc<Script> = Arc::new(script);
        let router = Router::new()
            .fallback(serve)
            .with_state((script, Arc::clone(&seen)));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, seen }
    }

    /// A server of versions before 2026-07-28 that does without sessions, by its answers to
    /// everything after the handshake.
    pub async fn plain(script: impl Fn(&Seen) -> Response + Send + Sync + 'static) -> Self {
        Self::with_handshake(None, script).await
    }

    /// The same, with a session.
    pub async fn with_handshake(
        session: Option<&'static str>,
        script: impl Fn(&Seen) -> Response + Send + Sync + 'static,
    ) -> Self {
        Self::start(move |seen| {
            let response = handshake(&seen, "2025-11-25", session).unwrap_or_else(|| script(&seen));
            async move { response }.boxed()
        })
        .await
    }

    /// A server of version 2026-07-28, by its answers to everything after the discovery.
    pub async fn stateless(script: impl Fn(&Seen) -> Response + Send + Sync + 'static) -> Self {
        Self::start(move |seen| {
            let response = match seen.rpc() {
                "server/discover" => result(&seen, &discovery()),
                _ => script(&seen),
            };
            async move { response }.boxed()
        })
        .await
    }

    pub fn url(&self) -> String {
        format!("http://{}/mcp", self.address)
    }

    pub fn endpoint(&self) -> Endpoint {
        let mut endpoint = Endpoint::new(self.url());
        endpoint.timeouts = Timeouts {
            handshake: Duration::from_secs(10),
            list: Duration::from_secs(10),
            call: Duration::from_secs(10),
            aside: Duration::from_secs(2),
            resume: Duration::from_millis(10),
        };
        endpoint
    }

    pub fn client(&self) -> Client {
        Client::new(outbound_to(self.address.port()), self.endpoint()).expect("a client")
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("the log").clone()
    }

    /// What came, one line for each request.
    pub fn lines(&self) -> Vec<String> {
        self.seen().iter().map(Seen::line).collect()
    }

    /// The requests of a method.
    pub fn of(&self, method: &str) -> Vec<Seen> {
        let mut seen = self.seen();
        seen.retain(|seen| seen.rpc() == method);
        seen
    }
}

async fn serve(
    State((script, seen)): State<(Arc<Script>, Log)>,
    http: Method,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let body = if body.is_empty() {
        Value::Null
    } else {
        serde_json::from_slice(&body).expect("a message")
    };
    let request = Seen {
        http,
        headers,
        body,
    };
    seen.lock().expect("the log").push(request.clone());
    script(request).await
}

/// The answers of a server with a handshake up to its end.
pub fn handshake(seen: &Seen, version: &str, session: Option<&str>) -> Option<Response> {
    match seen.rpc() {
        "server/discover" => Some(refusal(400, &Value::Null, -32600, "No such method")),
        "initialize" => {
            let mut response = result(
                seen,
                &json!({
                    "protocolVersion": version,
                    "capabilities": { "tools": {} },
                    "serverInfo": { "name": "scripted", "version": "1" },
                }),
            );
            if let Some(session) = session {
                let value = session.parse().expect("a header");
                response.headers_mut().insert("mcp-session-id", value);
            }
            Some(response)
        }
        method if method.starts_with("notifications/") => Some(status(202)),
        _ => None,
    }
}

/// The result of `server/discover`.
pub fn discovery() -> Value {
    json!({
        "resultType": "complete",
        "supportedVersions": ["2026-07-28"],
        "capabilities": { "tools": {} },
        "_meta": { "io.modelcontextprotocol/serverInfo": { "name": "scripted", "version": "2" } },
    })
}

pub fn outbound_to(port: u16) -> outbound::Client {
    outbound::Client::new(Policy::public().allow_loopback_ports([port])).expect("a client")
}

/// A message as a body of JSON.
pub fn message(status: u16, message: &Value) -> Response {
    let status = StatusCode::from_u16(status).expect("a status");
    let headers = [("content-type", "application/json; charset=utf-8")];
    (status, headers, message.to_string()).into_response()
}

/// A result for a request.
pub fn result(seen: &Seen, result: &Value) -> Response {
    message(200, &reply(seen, result))
}

/// The message with a result for a request.
pub fn reply(seen: &Seen, result: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": seen.body["id"], "result": result })
}

/// An error.
pub fn refusal(status: u16, id: &Value, code: i64, text: &str) -> Response {
    let error = json!({ "code": code, "message": text });
    message(
        status,
        &json!({ "jsonrpc": "2.0", "id": id, "error": error }),
    )
}

pub fn status(status: u16) -> Response {
    StatusCode::from_u16(status)
        .expect("a status")
        .into_response()
}

pub fn events(body: impl Into<Body>) -> Response {
    let headers = [("content-type", "text/event-stream")];
    (headers, body.into()).into_response()
}

/// An event with a message.
pub fn event(message: &Value) -> String {
    format!("event: message\ndata: {message}\n\n")
}

/// The result of a tool that says something.
pub fn says(text: &str) -> Value {
    json!({ "content": [{ "type": "text", "text": text }] })
}

/// Calls a tool without arguments.
pub async fn call(client: &Client) -> Result<CallResult, McpError> {
    client
        .call_tool("tool", &json!({}), CallOptions::default())
        .await
}

/// Calls a tool of a new client.
pub async fn call_of(server: &Server) -> Result<CallResult, McpError> {
    call(&server.client()).await
}
