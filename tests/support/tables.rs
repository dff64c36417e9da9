//! What stands before the tables in a journey that must know what is read, or must act in the middle
//! of a write.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use serde_json::Value;
use tokio::sync::{Notify, Semaphore};

use super::client::http_client;

/// Passes requests on to the tables, and watches.
#[derive(Clone)]
pub struct Tables {
    target: String,
    url: String,
    http: reqwest::Client,
    entries: Arc<Mutex<BTreeMap<u64, usize>>>,
    held: Arc<Mutex<Option<Held>>>,
}

/// Which side of a transaction a journey acts on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// It is on its way and not carried out.
    Before,
    /// It is carried out and its reply is on its way.
    After,
}

/// A transaction that waits until it is let go.
#[derive(Clone)]
pub struct Held {
    word: &'static str,
    side: Side,
    arrived: Arc<Notify>,
    opened: Arc<Semaphore>,
}

impl Held {
    /// Waits until the transaction has come.
    pub async fn arrived(&self) {
        self.arrived.notified().await;
    }

    /// Lets it go.
    pub fn open(&self) {
        self.opened.add_permits(1);
    }

    async fn pass(&self) {
        self.arrived.notify_one();
        let opened = self.opened.acquire().await.expect("nobody closes it");
        opened.forget();
    }
}

impl Tables {
    /// Tables before those at `target`.
    pub async fn before(target: &str) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let tables = Self {
            target: target.to_owned(),
            url: format!("http://{}", listener.local_addr().expect("an address")),
            http: http_client(),
            entries: Arc::default(),
            held: Arc::default(),
        };
        let router = Router::new().fallback(pass).with_state(tables.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        tables
    }

    /// Where they answer.
    pub fn url(&self) -> String {
        self.url.clone()
    }

    /// Holds the next transaction that has this word in it.
    pub fn hold(&self, word: &'static str, side: Side) -> Held {
        let held = Held {
            word,
            side,
            arrived: Arc::default(),
            opened: Arc::new(Semaphore::new(0)),
        };
        *self.held.lock().expect("not poisoned") = Some(held.clone());
        held
    }

    /// How many entries of a stream were read beyond this one, and their bytes.
    pub fn read_beyond(&self, sequence: u64) -> (usize, usize) {
        let entries = self.entries.lock().expect("not poisoned");
        let beyond = entries.range(sequence + 1..);
        (beyond.clone().count(), beyond.map(|(_, bytes)| bytes).sum())
    }

    fn held(&self, target: &str, body: &[u8]) -> Option<Held> {
        let mut held = self.held.lock().expect("not poisoned");
        let body = String::from_utf8_lossy(body);
        held.take_if(|held| target.ends_with(".TransactWriteItems") && body.contains(held.word))
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
        self.count(&body);
        let mut response = (status, body).into_response();
        for (name, value) in &headers {
            if name.as_str().starts_with("x-amz") || name == "content-type" {
                response.headers_mut().insert(name, value.clone());
            }
        }
        response
    }

    fn count(&self, reply: &[u8]) {
        let reply: Value = serde_json::from_slice(reply).unwrap_or_default();
        let mut entries = self.entries.lock().expect("not poisoned");
        for item in reply["Items"].as_array().into_iter().flatten() {
            let sequence = item["sequence"]["N"].as_str();
            if let Some(sequence) = sequence.and_then(|sequence| sequence.parse().ok()) {
                entries.insert(sequence, item.to_string().len());
            }
        }
    }
}

async fn pass(State(tables): State<Tables>, headers: HeaderMap, body: Bytes) -> Response {
    let target = headers.get("x-amz-target");
    let target = target.and_then(|target| target.to_str().ok());
    let held = tables.held(target.unwrap_or_default(), &body);
    if let Some(held) = held.as_ref().filter(|held| held.side == Side::Before) {
        held.pass().await;
    }
    let response = tables.forward(&headers, body).await;
    if let Some(held) = held.as_ref().filter(|held| held.side == Side::After) {
        held.pass().await;
    }
    response
}
