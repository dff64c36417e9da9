//! What stands between the store and the embedded DynamoDB: transactions that touch one item at the
//! same time conflict, as they do on AWS and not in the embedded engine, and replies get lost.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// How long a transaction holds its items. AWS takes about as long.
const HELD: Duration = Duration::from_millis(8);

/// A running proxy.
#[derive(Clone)]
pub struct Proxy {
    target: String,
    http: reqwest::Client,
    held: Arc<Mutex<HashSet<String>>>,
    /// Of how many replies to transactions one is lost; 0 for none. No transaction loses two: the
    /// SDK asks three times, and then nobody knows.
    lose_one_of: u64,
    lost_once: Arc<Mutex<HashSet<String>>>,
    transactions: Arc<AtomicU64>,
    conflicts: Arc<AtomicU64>,
    lost: Arc<AtomicU64>,
}

impl Proxy {
    /// A proxy before `target`, and its address.
    pub async fn start(target: &str, lose_one_of: u64) -> (Self, String) {
        let proxy = Self {
            target: target.to_owned(),
            http: http_client(),
            held: Arc::default(),
            lose_one_of,
            lost_once: Arc::default(),
            transactions: Arc::default(),
            conflicts: Arc::default(),
            lost: Arc::default(),
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        let router = Router::new().fallback(pass).with_state(proxy.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (proxy, address)
    }

    pub fn conflicts(&self) -> u64 {
        self.conflicts.load(Ordering::Relaxed)
    }

    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    async fn forward(&self, headers: &HeaderMap, body: Bytes) -> Response {
        let mut request = self.http.post(&self.target).body(body);
        for (name, value) in headers {
            if !["host", "content-length", "connection"].contains(&name.as_str()) {
                request = request.header(name, value);
            }
        }
        let reply = request.send().await.expect("the engine answers");
        let (status, headers) = (reply.status(), reply.headers().clone());
        let body = reply.bytes().await.expect("a whole reply");
        let mut response = (status, body).into_response();
        for (name, value) in &headers {
            if name.as_str().starts_with("x-amz") || name == "content-type" {
                response.headers_mut().insert(name, value.clone());
            }
        }
        response
    }

    /// Takes the items of a transaction, or says which of them are taken.
    fn take(&self, keys: &[String]) -> Result<(), Vec<bool>> {
        let mut held = self.held.lock().expect("not poisoned");
        let taken: Vec<bool> = keys.iter().map(|key| held.contains(key)).collect();
        if taken.contains(&true) {
            return Err(taken);
        }
        held.extend(keys.iter().cloned());
        Ok(())
    }

    fn give_back(&self, keys: &[String]) {
        let mut held = self.held.lock().expect("not poisoned");
        for key in keys {
            held.remove(key);
        }
    }
}

async fn pass(State(proxy): State<Proxy>, headers: HeaderMap, body: Bytes) -> Response {
    let target = headers.get(HeaderName::from_static("x-amz-target"));
    let is_transaction =
        target.is_some_and(|target| target.as_bytes().ends_with(b".TransactWriteItems"));
    if !is_transaction {
        return proxy.forward(&headers, body).await;
    }
    let request: Value = serde_json::from_slice(&body).expect("JSON");
    let keys = keys(&request);
    if let Err(taken) = proxy.take(&keys) {
        proxy.conflicts.fetch_add(1, Ordering::Relaxed);
        return conflict(&taken);
    }
    tokio::time::sleep(HELD).await;
    let response = proxy.forward(&headers, body).await;
    proxy.give_back(&keys);
    let number = proxy.transactions.fetch_add(1, Ordering::Relaxed) + 1;
    let token = request["ClientRequestToken"].to_string();
    if proxy.lose_one_of > 0
        && number.is_multiple_of(proxy.lose_one_of)
        && proxy.lost_once.lock().expect("not poisoned").insert(token)
    {
        proxy.lost.fetch_add(1, Ordering::Relaxed);
        let body = json!({ "__type": "com.amazonaws.dynamodb.v20120810#InternalServerError" });
        return (StatusCode::INTERNAL_SERVER_ERROR, body.to_string()).into_response();
    }
    response
}

fn keys(request: &Value) -> Vec<String> {
    let items = request["TransactItems"].as_array().expect("items");
    items
        .iter()
        .map(|item| {
            let operation = item
                .as_object()
                .and_then(|item| item.values().next())
                .expect("an operation");
            let key = operation.get("Key").unwrap_or(&operation["Item"]);
            format!("{} {} {}", operation["TableName"], key["pk"], key["sk"])
        })
        .collect()
}

fn conflict(taken: &[bool]) -> Response {
    let reasons: Vec<Value> = taken
        .iter()
        .map(|taken| match taken {
            true => json!({ "Code": "TransactionConflict", "Message": "in use" }),
            false => json!({ "Code": "None" }),
        })
        .collect();
    let body = json!({
        "__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
        "Message": "Transaction cancelled",
        "CancellationReasons": reasons,
    });
    (StatusCode::BAD_REQUEST, body.to_string()).into_response()
}

/// A client that trusts nobody: the engine is reached over loopback.
fn http_client() -> reqwest::Client {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("protocol versions")
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    reqwest::Client::builder()
        .no_proxy()
        .tls_backend_preconfigured(tls)
        .build()
        .expect("a client")
}
