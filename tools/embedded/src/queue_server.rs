//! SQS: the server of queues in memory.

use std::future::Future;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::serve::ListenerExt;
use bytes::Bytes;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use winterbaume_core::{MockRequest, MockService};
use winterbaume_sqs::SqsService;

use crate::endpoints::REGION;

/// SQS takes 1 MiB in one request.
const MAX_REQUEST_BYTES: usize = 2 * 1024 * 1024;

/// What each request to the server needs.
#[derive(Clone)]
struct Server {
    service: Arc<SqsService>,
    url: String,
    stop: CancellationToken,
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
    let names_queues = head.headers.get("x-amz-target").is_some_and(|target| {
        [
            "AmazonSQS.CreateQueue",
            "AmazonSQS.GetQueueUrl",
            "AmazonSQS.ListQueues",
        ]
        .iter()
        .any(|action| target == action)
    });
    let request = MockRequest {
        method: head.method.to_string(),
        uri: head.uri.to_string(),
        headers: head.headers,
        body,
    };
    let reply = tokio::select! {
        // A long poll must not hold up the shutdown.
        () = server.stop.cancelled() => return StatusCode::SERVICE_UNAVAILABLE.into_response(),
        reply = server.service.handle(request) => reply,
    };
    let body = if names_queues {
        local_urls(&reply.body, &server.url)
    } else {
        reply.body
    };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::BAD_GATEWAY);
    *response.headers_mut() = reply.headers;
    response
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
