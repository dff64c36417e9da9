//! Server-sent events: what happens in an execution, as it happens, from the log that is kept of it.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use domain::execution::StreamEntry;
use futures::stream::{self, Stream, StreamExt};
use http::{HeaderName, HeaderValue, header};
use kernel::ExecutionId;
use store::{Store, Tenant};

use crate::app::App;

/// How many entries are read at once. A slow client holds no more than these in memory.
const READ_AHEAD: u32 = 100;
/// How soon the log is looked at again after something happened, and at the longest.
const SOONEST: Duration = Duration::from_millis(80);
const LATEST: Duration = Duration::from_millis(800);
const HEARTBEAT: Duration = Duration::from_secs(15);
/// How long one connection lasts. The caller is checked once for each: whoever loses their right is
/// out within a minute. The client reconnects with `Last-Event-ID` and misses nothing.
const CONNECTION_LIFETIME: Duration = Duration::from_secs(50);
/// How long a client waits before it reconnects.
const RECONNECT: Duration = Duration::from_secs(1);

/// The events of an execution after the one with the id `after`, as they happen. Whoever calls this
/// has seen to it that the caller may read the execution.
#[must_use]
pub fn events(app: &App, tenant: Tenant, execution: ExecutionId, after: u64) -> Response {
    let follower = Follower::new(app.store().clone(), tenant, execution, after);
    let mut response = Sse::new(follower.events())
        .keep_alive(KeepAlive::new().interval(HEARTBEAT).text("heartbeat"))
        .into_response();
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Proxies must hand each event on at once.
    let unbuffered = HeaderName::from_static("x-accel-buffering");
    headers.insert(unbuffered, HeaderValue::from_static("no"));
    response
}

/// Reads the stored log of an execution as it grows. The client's pace sets the reader's: the next
/// entries are read when those at hand are taken.
struct Follower {
    store: Store,
    tenant: Tenant,
    execution: ExecutionId,
    after: u64,
    wait: Duration,
    ends_at: Instant,
    ended: bool,
}

impl Follower {
    fn new(store: Store, tenant: Tenant, execution: ExecutionId, after: u64) -> Self {
        let ends_at = Instant::now() + CONNECTION_LIFETIME;
        Self {
            store,
            tenant,
            execution,
            after,
            wait: SOONEST,
            ends_at,
            ended: false,
        }
    }

    fn events(self) -> impl Stream<Item = Result<Event, Infallible>> {
        stream::unfold(self, |mut follower| async move {
            let entries = follower.next().await?;
            Some((entries, follower))
        })
        .flat_map(|entries| stream::iter(entries.into_iter().map(|entry| Ok(event(&entry)))))
    }

    /// The next entries, at least one; `None` at the end of the run, of the connection's time, or
    /// when the store does not answer, whereupon the client comes again.
    async fn next(&mut self) -> Option<Vec<StreamEntry>> {
        while !self.ended && Instant::now() < self.ends_at {
            let executions = self.store.executions(self.tenant);
            let entries = match executions
                .stream_after(self.execution, self.after, READ_AHEAD)
                .await
            {
                Ok(entries) => entries,
                Err(error) => {
                    tracing::warn!(%error, "a stream broke off");
                    return None;
                }
            };
            if let Some(last) = entries.last() {
                self.after = last.sequence;
                self.ended = last.kind.is_terminal();
                self.wait = SOONEST;
                return Some(entries);
            }
            tokio::time::sleep(self.wait).await;
            self.wait = (self.wait * 3 / 2).min(LATEST);
        }
        None
    }
}

fn event(entry: &StreamEntry) -> Event {
    let event = Event::default()
        .id(entry.sequence.to_string())
        .event(entry.kind.name())
        .retry(RECONNECT);
    let mut data = entry.data.clone();
    if let Some(fields) = data.as_object_mut() {
        fields.insert("type".to_owned(), entry.kind.name().into());
        fields.insert("timestamp".to_owned(), entry.at.to_string().into());
    }
    event.data(data.to_string())
}
