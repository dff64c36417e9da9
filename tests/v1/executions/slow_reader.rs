//! `GET /v1/executions/{execution_id}/stream`, for somebody who does not read.

use std::time::Duration;

use axum::Router;
use axum::body::{Body, BodyDataStream};
use axum::routing::any;
use futures::StreamExt as _;
use http::Method;
use llm::Message;
use llm::scripted::{Scripted, Turn};
use outbound::Policy;
use serde_json::json;
use tower::ServiceExt as _;

use super::{agent, start};
use crate::support::bare::Bare;
use crate::support::{Api, tenant, text, within};

/// What a connection holds at most of what its reader has not taken: a page of the log, of 3 MiB, and
/// the reply that it ended with, of 1 MiB. `docs/GUARANTEES.md` promises it.
const AHEAD_ENTRIES: usize = 100;
const AHEAD_BYTES: usize = 4 * 1024 * 1024;

const STEPS: usize = 16;
const CALLS_OF_A_STEP: usize = 16;
const BYTES_OF_A_RESULT: usize = 30_000;

/// A service that answers much, and the port that it is at.
async fn talkative() -> u16 {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let router = Router::new().route("/", any(async || "x".repeat(BYTES_OF_A_RESULT)));
    tokio::spawn(async move { axum::serve(listener, router).await });
    port
}

async fn tool(admin: &Api, port: u16) -> String {
    let body = json!({
        "name": "read_all", "description": "Reads.", "parameters": { "type": "object" },
        "idempotent": true,
        "action": { "kind": "http", "method": "GET", "url": format!("http://127.0.0.1:{port}/") },
    });
    text(&admin.create("/v1/tools", &body).await["id"])
}

/// Asks for it again and again, and then answers.
fn insatiable() -> Scripted {
    Scripted::computed(|request, _| {
        let turns = request.messages.iter();
        let turns = turns.filter(|one| matches!(one, Message::Assistant { .. }));
        match turns.count() {
            STEPS => Turn::text("Enough."),
            _ => Turn::calls((0..CALLS_OF_A_STEP).map(|_| ("read_all", json!({})))),
        }
    })
}

/// A stream whose bytes come when they are asked for, and no sooner.
struct Reader {
    body: BodyDataStream,
    buffer: String,
}

impl Reader {
    async fn open(streams: Router, admin: &Api, execution: &str) -> Self {
        let path = format!("/v1/executions/{execution}/stream");
        let request = admin.request(Method::GET, &path);
        let request = request.build().expect("a request");
        let request = http::Request::try_from(request).expect("a request");
        let request = request.map(|_| Body::empty());
        let response = streams.oneshot(request).await.expect("an answer");
        assert_eq!(response.status(), 200);
        Self {
            body: response.into_body().into_data_stream(),
            buffer: String::new(),
        }
    }

    /// The number of the next event; none at the end.
    async fn next(&mut self) -> Option<u64> {
        loop {
            if let Some((frame, rest)) = self.buffer.split_once("\n\n") {
                let id = frame.lines().find_map(|line| line.strip_prefix("id: "));
                let id = id.map(|id| id.parse().expect("a number"));
                self.buffer = rest.to_owned();
                if id.is_some() {
                    return id;
                }
                continue;
            }
            let chunk = within("the stream goes on", self.body.next()).await?;
            let chunk = chunk.expect("the stream is not cut");
            let chunk = std::str::from_utf8(&chunk).expect("events are whole texts");
            self.buffer.push_str(chunk);
        }
    }
}

#[tokio::test]
async fn who_does_not_read_is_not_read_for() {
    let (bare, port) = (Bare::start().await, talkative().await);
    let admin = bare.founder("ada").await;
    let tool = tool(&admin, port).await;
    let guide = agent(&admin, &[&tool]).await;
    let execution = start(&admin, &guide).await;
    let policy = Policy::public().allow_loopback_ports([port]);
    let runner = bare.agents(&insatiable(), policy);
    let job = bare.job_of(tenant(&admin).org()).await;
    let (tables, store) = bare.watched().await;
    let streams = bare.serving(streams::routes(), store);
    let mut reader = Reader::open(streams, &admin, &execution).await;

    // The reader takes one event and stops; the run goes on to its end.
    let (first, ()) = tokio::join!(
        reader.next(),
        bare.ring(&runner, &job, Duration::from_secs(900))
    );
    let mut taken = first.expect("an event");
    let ended = admin.get(&format!("/v1/executions/{execution}")).await.ok();
    assert_eq!(ended["state"], "completed", "{ended}");
    let results = STEPS * CALLS_OF_A_STEP;
    assert!(results * BYTES_OF_A_RESULT > AHEAD_BYTES + AHEAD_BYTES / 2);

    // Then it reads on, one event at a time.
    let (mut most_entries, mut most_bytes) = tables.read_beyond(taken);
    while let Some(next) = reader.next().await {
        assert_eq!(next, taken + 1);
        taken = next;
        let (entries, bytes) = tables.read_beyond(taken);
        (most_entries, most_bytes) = (most_entries.max(entries), most_bytes.max(bytes));
    }
    assert_eq!(ended["last_sequence"], taken);
    assert!(most_entries <= AHEAD_ENTRIES, "{most_entries} entries");
    assert!(most_bytes <= AHEAD_BYTES, "{most_bytes} bytes");
    // What is not read at all shows nothing.
    assert!(most_entries > 1 && most_bytes > BYTES_OF_A_RESULT);
}
