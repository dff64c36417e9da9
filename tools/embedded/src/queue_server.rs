//! SQS: the server of queues in memory.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::serve::ListenerExt;
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use winterbaume_core::{MockRequest, MockResponse, MockService};
use winterbaume_sqs::SqsService;

use crate::endpoints::REGION;

/// SQS takes 1 MiB in one request.
const MAX_REQUEST_BYTES: usize = 2 * 1024 * 1024;

/// How often a long poll looks for messages whose delay or visibility timeout
/// is over. One that is sent to be seen at once is seen at once.
const LOOK: Duration = Duration::from_millis(100);
/// The longest that SQS lets a poll wait.
const LONGEST_POLL: u64 = 20;

/// What each request to the server needs.
#[derive(Clone)]
struct Server {
    service: Arc<SqsService>,
    url: String,
    stop: CancellationToken,
    /// Wakes long polls when something was sent.
    sent: Arc<Notify>,
}

/// Serves SQS until told to stop.
pub(crate) fn serve(
    listener: TcpListener,
    url: String,
    stop: CancellationToken,
) -> impl Future<Output = ()> {
    let server = Server {
        service: Arc::new(SqsService::new()),
        url,
        stop: stop.clone(),
        sent: Arc::default(),
    };
    let app = Router::new().fallback(answer).with_state(server);
    let listener = listener.tap_io(|connection| {
        // Without this, small replies wait for an acknowledgement.
        let _ = connection.set_nodelay(true);
    });
    async move {
        let served = axum::serve(listener, app).with_graceful_shutdown(stop.cancelled_owned());
        if let Err(error) = served.await {
            tracing::error!(%error, "the embedded SQS stopped");
        }
    }
}

async fn answer(State(server): State<Server>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, MAX_REQUEST_BYTES).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let action = head.headers.get("x-amz-target").and_then(|target| {
        let target = target.to_str().ok()?;
        Some(target.strip_prefix("AmazonSQS.")?.to_owned())
    });
    let action = action.as_deref().unwrap_or_default();
    let request = MockRequest {
        method: head.method.to_string(),
        uri: head.uri.to_string(),
        headers: head.headers,
        body,
    };
    let reply = tokio::select! {
        // A long poll must not hold up the shutdown.
        () = server.stop.cancelled() => return StatusCode::SERVICE_UNAVAILABLE.into_response(),
        reply = server.reply(action, request) => reply,
    };
    let body = if matches!(action, "CreateQueue" | "GetQueueUrl" | "ListQueues") {
        local_urls(&reply.body, &server.url)
    } else {
        reply.body
    };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::BAD_GATEWAY);
    *response.headers_mut() = reply.headers;
    response
}

impl Server {
    async fn reply(&self, action: &str, request: MockRequest) -> MockResponse {
        match action {
            "ReceiveMessage" => self.receive(request).await,
            "SendMessage" | "SendMessageBatch" => {
                let reply = self.service.handle(request).await;
                self.sent.notify_waiters();
                reply
            }
            _ => self.service.handle(request).await,
        }
    }

    /// A long poll, which the engine would answer by looking at the queue over
    /// and over: here it looks again when something was sent.
    async fn receive(&self, request: MockRequest) -> MockResponse {
        let Some((wait, body)) = without_wait(&request.body) else {
            return self.service.handle(request).await;
        };
        let ends_at = Instant::now() + wait;
        loop {
            // From now on nothing is missed.
            let mut sent = std::pin::pin!(self.sent.notified());
            sent.as_mut().enable();
            let reply = self.service.handle(MockRequest {
                method: request.method.clone(),
                uri: request.uri.clone(),
                headers: request.headers.clone(),
                body: body.clone(),
            });
            let reply = reply.await;
            let now = Instant::now();
            if !is_empty(&reply) || now >= ends_at {
                return reply;
            }
            tokio::select! {
                () = sent => {}
                () = tokio::time::sleep_until(ends_at.min(now + LOOK)) => {}
            }
        }
    }
}

/// How long a poll waits, and the poll that does not; nothing where it does not
/// say how long.
fn without_wait(body: &Bytes) -> Option<(Duration, Bytes)> {
    let mut poll: Value = serde_json::from_slice(body).ok()?;
    let wait = poll.get_mut("WaitTimeSeconds")?;
    let seconds = wait.as_u64()?.min(LONGEST_POLL);
    *wait = json!(0);
    Some((Duration::from_secs(seconds), poll.to_string().into()))
}

/// Whether a poll found no messages, and no reason not to look again.
fn is_empty(reply: &MockResponse) -> bool {
    let found = serde_json::from_slice(&reply.body).is_ok_and(|body: Value| {
        body["Messages"]
            .as_array()
            .is_some_and(|all| !all.is_empty())
    });
    reply.status == 200 && !found
}

/// Points the queue URLs of a reply, which name hosts of AWS, at this server.
fn local_urls(body: &Bytes, url: &str) -> Bytes {
    let remote = format!("https://sqs.{REGION}.amazonaws.com");
    match std::str::from_utf8(body) {
        Ok(text) => Bytes::from(text.replace(&remote, url)),
        Err(_) => body.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queue_urls_are_local() {
        let body = Bytes::from_static(
            br#"{"QueueUrl":"https://sqs.us-east-1.amazonaws.com/123456789012/files"}"#,
        );
        assert_eq!(
            local_urls(&body, "http://127.0.0.1:9"),
            Bytes::from_static(br#"{"QueueUrl":"http://127.0.0.1:9/123456789012/files"}"#)
        );
    }
}
