//! Server-sent events, as a browser reads them.

use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use http::Method;
use serde_json::Value;

use super::client::Api;
use super::world::within;

/// One event of an execution's stream.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    pub id: u64,
    pub kind: String,
    pub data: Value,
}

/// A connection to the stream of an execution.
pub struct Connection {
    bytes: BoxStream<'static, reqwest::Result<Bytes>>,
    buffer: String,
}

impl Connection {
    /// Connects, after the event with the id `last`, if any.
    pub async fn open(api: &Api, execution: &str, last: Option<u64>) -> Self {
        let mut request = api.request(Method::GET, &format!("/v1/executions/{execution}/stream"));
        if let Some(last) = last {
            request = request.header("last-event-id", last.to_string());
        }
        Self::of(request.send().await.expect("the host answers"))
    }

    /// The connection over which this answer comes.
    pub fn of(response: reqwest::Response) -> Self {
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self {
            bytes: response.bytes_stream().boxed(),
            buffer: String::new(),
        }
    }

    /// The next event; none where the server has ended the connection.
    pub async fn next(&mut self) -> Option<Seen> {
        loop {
            while let Some((frame, rest)) = self.buffer.split_once("\n\n") {
                let seen = parse(frame);
                self.buffer = rest.to_owned();
                if seen.is_some() {
                    return seen;
                }
            }
            let chunk = within("the stream goes on", self.bytes.next()).await?;
            let chunk = chunk.expect("the stream is not cut");
            self.buffer
                .push_str(std::str::from_utf8(&chunk).expect("events are whole texts"));
        }
    }

    /// Everything up to the end of the connection.
    pub async fn rest(mut self) -> Vec<Seen> {
        let mut all = Vec::new();
        while let Some(seen) = self.next().await {
            all.push(seen);
        }
        all
    }
}

/// The stream of an execution from its first event to its last.
pub async fn whole(api: &Api, execution: &str) -> Vec<Seen> {
    Connection::open(api, execution, None).await.rest().await
}

/// The kinds of events, in order.
pub fn kinds(events: &[Seen]) -> Vec<&str> {
    events.iter().map(|event| event.kind.as_str()).collect()
}

fn parse(frame: &str) -> Option<Seen> {
    let field = |name: &str| {
        frame
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
            .map(str::trim)
    };
    let seen = Seen {
        id: field("id")?.parse().expect("ids are whole numbers"),
        kind: field("event")?.to_owned(),
        data: serde_json::from_str(field("data")?).expect("data is JSON"),
    };
    assert_eq!(seen.data["type"], seen.kind, "{seen:?}");
    assert!(seen.data["timestamp"].is_string(), "{seen:?}");
    Some(seen)
}
