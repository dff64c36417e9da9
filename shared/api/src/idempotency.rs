//! `Idempotency-Key` on every POST: the first request is carried out and its reply stored; the
//! same request with the same key gets that reply again.

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use http_body_util::BodyExt as _;
use store::idempotency::{Flight, MAX_REPLY_BYTES, StoredReply, Taken};

use crate::app::App;
use crate::body::{MAX_BODY_BYTES, too_large};
use crate::caller::{ORG_HEADER, Principal};
use crate::problem::Problem;

const KEY_HEADER: &str = "idempotency-key";
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
const MAX_KEY_CHARS: usize = 255;

/// Repeats the stored reply of a POST whose key was used, or carries the request out and stores
/// its reply. Replies of 5xx are not stored: the same key may try again.
pub(crate) async fn repeat(State(app): State<App>, request: Request, next: Next) -> Response {
    if request.method() != Method::POST || !request.headers().contains_key(KEY_HEADER) {
        return next.run(request).await;
    }
    match carry_out_once(&app, request, next).await {
        Ok(response) => response,
        Err(problem) => problem.into_response(),
    }
}

async fn carry_out_once(app: &App, request: Request, next: Next) -> Result<Response, Problem> {
    let key = key_of(request.headers())?;
    let (mut parts, body) = request.into_parts();
    // Without valid credentials there is nobody whose key it could be.
    let principal = Principal::of(&mut parts, app).await?;
    let body = to_bytes(body, MAX_BODY_BYTES).await.map_err(|_| too_large())?;
    let org = parts.headers.get(ORG_HEADER).and_then(|value| value.to_str().ok()).unwrap_or("-");
    let scope = principal.scope();
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let mut identity = format!("{} {path}\n{org}\n", parts.method).into_bytes();
    identity.extend_from_slice(&body);

    let flight = match app.store().take_idempotency_key(&scope, &key, &identity).await? {
        Taken::First(flight) => flight,
        Taken::Again(reply) => return Ok(replay(reply)),
        Taken::InFlight => {
            return Err(Problem::conflict(
                "idempotency_in_flight",
                "A request with this Idempotency-Key is being carried out. Ask again in a moment.",
            )
            .retry_after(1));
        }
        Taken::DifferentRequest => {
            return Err(Problem::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "idempotency_key_reused",
                "This Idempotency-Key was used for another request.",
            ));
        }
    };
    let response = next.run(Request::from_parts(parts, Body::from(body))).await;
    keep(app, &flight, response).await
}

fn key_of(headers: &HeaderMap) -> Result<String, Problem> {
    let mut values = headers.get_all(KEY_HEADER).iter();
    let key = values.next().and_then(|value| value.to_str().ok()).unwrap_or_default();
    let valid = (1..=MAX_KEY_CHARS).contains(&key.len())
        && key.bytes().all(|byte| byte.is_ascii_graphic())
        && values.next().is_none();
    if !valid {
        return Err(Problem::invalid_field(
            "Idempotency-Key",
            "must be one value of 1 to 255 printable characters without spaces",
        ));
    }
    Ok(key.to_owned())
}

/// Stores the reply, then sends it. If it cannot be stored, the client still gets it: the work is
/// done, and the key comes free with its flight.
async fn keep(app: &App, flight: &Flight, response: Response) -> Result<Response, Problem> {
    if response.status().is_server_error() {
        if let Err(error) = app.store().release_idempotency_key(flight).await {
            tracing::warn!(%error, "an idempotency key was not released");
        }
        return Ok(response);
    }
    let (parts, body) = response.into_parts();
    let body = body.collect().await.map_err(Problem::internal)?.to_bytes();
    let text = |name: HeaderName| {
        parts.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
    };
    if body.len() <= MAX_REPLY_BYTES {
        let reply = StoredReply {
            status: parts.status.as_u16(),
            content_type: text(header::CONTENT_TYPE),
            location: text(header::LOCATION),
            etag: text(header::ETAG),
            body: String::from_utf8_lossy(&body).into_owned(),
        };
        if let Err(error) = app.store().store_idempotent_reply(flight, &reply).await {
            tracing::warn!(%error, "an idempotent reply was not stored");
        }
    }
    Ok(Response::from_parts(parts, Body::from(body)))
}

fn replay(reply: StoredReply) -> Response {
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::OK);
    let mut response = (status, reply.body).into_response();
    let headers = response.headers_mut();
    headers.remove(header::CONTENT_TYPE);
    for (name, value) in [
        (header::CONTENT_TYPE, reply.content_type),
        (header::LOCATION, reply.location),
        (header::ETAG, reply.etag),
    ] {
        if let Some(value) = value.and_then(|value| HeaderValue::from_str(&value).ok()) {
            headers.insert(name, value);
        }
    }
    headers.insert(REPLAYED, HeaderValue::from_static("true"));
    response
}
