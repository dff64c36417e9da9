//! What wraps every function's routes.

use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use tower_http::catch_panic::CatchPanicLayer;
use tracing::Instrument;

use crate::app::App;
use crate::body::MAX_BODY_BYTES;
use crate::problem::Problem;
use crate::request::RequestContext;
use crate::{Routes, idempotency, request};

/// How long a request may take before it is given up: within the 15 seconds of the API functions,
/// so that a slow request still ends with a problem document.
const TIME_LIMIT: Duration = Duration::from_secs(12);

/// The service of one function, or of all of them on one host: its routes, wrapped.
pub fn service(routes: Routes, app: App) -> Router {
    service_of(routes.into_router(), app)
}

/// As [`service`], for routes without documentation.
pub fn service_of(routes: Router<App>, app: App) -> Router {
    routes
        .fallback(|| async { Problem::not_found("resource") })
        .method_not_allowed_fallback(|| async {
            Problem::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                "This resource does not take that method.",
            )
        })
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(from_fn_with_state(app.clone(), idempotency::repeat))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn(limit_time))
        .layer(from_fn(observe))
        .layer(from_fn(request::identify))
        .with_state(app)
}

fn panicked(cause: Box<dyn std::any::Any + Send + 'static>) -> Response {
    let message = cause
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| cause.downcast_ref::<&str>().copied())
        .unwrap_or("no message");
    Problem::internal(format!("a handler panicked: {message}")).into_response()
}

/// Gives a request up after a while. A response that has begun streams as long as it likes.
async fn limit_time(request: Request, next: Next) -> Response {
    match tokio::time::timeout(TIME_LIMIT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::unavailable("the request took too long").into_response(),
    }
}

/// One log line and the metrics of each request. Bodies and credentials are in neither.
async fn observe(request: Request, next: Next) -> Response {
    let method = request.method().clone();
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| "unmatched".to_owned(), |path| path.as_str().to_owned());
    let correlation_id = request
        .extensions()
        .get::<RequestContext>()
        .map(|context| context.request_id.clone())
        .unwrap_or_default();
    let span = tracing::info_span!(
        "request",
        %method,
        route,
        correlation_id,
        org = tracing::field::Empty,
    );
    let started = Instant::now();
    let response = next.run(request).instrument(span.clone()).await;
    let elapsed = started.elapsed();
    let status = response.status();
    let class = if status.is_server_error() {
        "5xx"
    } else if status.is_client_error() {
        "4xx"
    } else {
        "ok"
    };
    let operation = format!("{method} {route}");
    metrics::histogram!("request_latency_ms", "operation" => operation.clone())
        .record(elapsed.as_secs_f64() * 1000.0);
    metrics::counter!("requests", "operation" => operation, "outcome" => class).increment(1);
    span.in_scope(|| {
        tracing::info!(
            status = status.as_u16(),
            latency_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
            "request served"
        );
    });
    response
}
