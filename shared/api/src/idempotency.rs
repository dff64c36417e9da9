//! `Idempotency-Key` on every POST: the first request is carried out and its reply stored; the
//! same request with the same key gets that reply again.
//!
//! Of a reply that is [`streamed`], what is stored says where the stream is.
//!
//! A reply that is [`shown_once`] is never stored, because it holds a secret: whoever repeats that
//! request is told that it was carried out, and where, but not the secret. Whoever has left the
//! organization that the request acted in gets no reply again.

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use http_body_util::BodyExt as _;
use kernel::OrgId;
use serde_json::Value;
use store::idempotency::{Flight, MAX_REPLY_BYTES, StoredReply, Taken};

use crate::app::App;
use crate::body::{MAX_BODY_BYTES, too_large};
use crate::caller::{ActedIn, ORG_HEADER, Principal, require_still_admitted};
use crate::problem::{OutcomeUnknown, PROBLEM_TYPE, Problem};

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
    let body = to_bytes(body, MAX_BODY_BYTES)
        .await
        .map_err(|_| too_large())?;
    let org = parts
        .headers
        .get(ORG_HEADER)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("-");
    let scope = principal.scope();
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let mut identity = format!("{} {path}\n{org}\n", parts.method).into_bytes();
    identity.extend_from_slice(&body);

    let flight = match app
        .store()
        .take_idempotency_key(&scope, &key, &identity)
        .await?
    {
        Taken::First(flight) => flight,
        Taken::Again(reply) => {
            if let Some(org) = reply.org {
                require_still_admitted(&principal, org, app).await?;
            }
            return Ok(replay(reply));
        }
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
    let acted = ActedIn::default();
    parts.extensions.insert(acted.clone());
    let response = next.run(Request::from_parts(parts, Body::from(body))).await;
    keep(app, &flight, acted.org(), response).await
}

fn key_of(headers: &HeaderMap) -> Result<String, Problem> {
    let mut values = headers.get_all(KEY_HEADER).iter();
    let key = values
        .next()
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
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

/// Stores the reply, then sends it. After an answer that leaves open whether the work was done, the
/// key stays taken for the time of its flight. If it cannot be stored, the client still gets it: the work is
/// done, and the key comes free with its flight.
async fn keep(
    app: &App,
    flight: &Flight,
    org: Option<OrgId>,
    response: Response,
) -> Result<Response, Problem> {
    if response.extensions().get::<OutcomeUnknown>().is_some() {
        return Ok(response);
    }
    if response.status().is_server_error() {
        if let Err(error) = app.store().release_idempotency_key(flight).await {
            tracing::warn!(%error, "an idempotency key was not released");
        }
        return Ok(response);
    }
    let (response, reply) = with_reply(response, org).await?;
    if reply.body.len() <= MAX_REPLY_BYTES
        && let Err(error) = app.store().store_idempotent_reply(flight, &reply).await
    {
        tracing::warn!(%error, "an idempotent reply was not stored");
    }
    Ok(response)
}

/// The response as it is sent, and what a repetition of its request is answered.
async fn with_reply(
    response: Response,
    org: Option<OrgId>,
) -> Result<(Response, StoredReply), Problem> {
    if let Some(Streamed(body)) = response.extensions().get::<Streamed>().cloned() {
        let reply = StoredReply {
            status: response.status().as_u16(),
            content_type: Some("application/json".to_owned()),
            location: None,
            etag: None,
            body,
            org,
        };
        return Ok((response, reply));
    }
    let once = response.extensions().get::<ShownOnce>().is_some();
    let (sent, body) = response.into_parts();
    let body = body.collect().await.map_err(Problem::internal)?.to_bytes();
    let text = |name: HeaderName| {
        sent.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned)
    };
    let reply = StoredReply {
        status: sent.status.as_u16(),
        content_type: text(header::CONTENT_TYPE),
        location: text(header::LOCATION),
        etag: text(header::ETAG),
        body: String::from_utf8_lossy(&body).into_owned(),
        org,
    };
    let reply = if once { without_secret(reply) } else { reply };
    Ok((Response::from_parts(sent, Body::from(body)), reply))
}

/// What stands in for a reply that was shown once. It keeps the place of what was made.
fn without_secret(reply: StoredReply) -> StoredReply {
    let problem = Problem::conflict(
        "secret_shown_once",
        "The request was carried out when this Idempotency-Key was first used. Its answer held a \
         secret, which was shown then and is not stored.",
    );
    StoredReply {
        status: problem.status().as_u16(),
        content_type: Some(PROBLEM_TYPE.to_owned()),
        location: reply.location,
        etag: None,
        body: problem.into_document(),
        org: reply.org,
    }
}

/// Marks a response whose body holds a secret. An extension, so that it never leaves the process.
#[derive(Debug, Clone, Copy)]
struct ShownOnce;

/// An answer that holds a secret which cannot be shown again: no cache may keep it, and it is not
/// stored under an `Idempotency-Key`. The same request with the same key is answered 409
/// `secret_shown_once`, with the `Location` of this answer.
pub fn shown_once(answer: impl IntoResponse) -> Response {
    let mut response = answer.into_response();
    response.extensions_mut().insert(ShownOnce);
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Marks a response whose body does not end soon, with what its request is answered when it comes
/// again.
#[derive(Debug, Clone)]
struct Streamed(String);

/// An answer to a POST that streams. The stream itself is not stored under an `Idempotency-Key`: the
/// same request with the same key is answered with `instead`, which says where the stream is.
pub fn streamed(mut answer: Response, instead: &Value) -> Response {
    answer
        .extensions_mut()
        .insert(Streamed(instead.to_string()));
    answer
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

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;
    use crate::etag::created;

    async fn body_of(response: Response) -> String {
        let bytes = to_bytes(response.into_body(), 10_000).await.unwrap();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[tokio::test]
    async fn a_reply_is_kept_as_it_was_sent() {
        let answer = created("/v1/things/1", axum::Json("made"));
        let (sent, reply) = with_reply(answer, None).await.unwrap();
        assert_eq!((reply.status, reply.body.as_str()), (201, "\"made\""));
        let again = replay(reply);
        assert_eq!(
            again.headers()[header::LOCATION],
            sent.headers()[header::LOCATION]
        );
        assert_eq!(again.headers()[header::CONTENT_TYPE], "application/json");
        assert_eq!(again.headers()[REPLAYED], "true");
        assert_eq!(body_of(again).await, body_of(sent).await);
    }

    #[tokio::test]
    async fn a_stream_is_sent_as_it_comes_and_what_is_kept_says_where_it_is() {
        let endless = Body::from_stream(futures::stream::pending::<Result<String, Infallible>>());
        let instead = serde_json::json!({ "stream_url": "/v1/executions/1/stream" });
        let answer = streamed(endless.into_response(), &instead);
        let (sent, reply) = with_reply(answer, None).await.unwrap();
        drop(sent);
        let again = replay(reply);
        assert_eq!(again.headers()[header::CONTENT_TYPE], "application/json");
        assert_eq!(body_of(again).await, instead.to_string());
    }

    #[tokio::test]
    async fn a_secret_is_sent_once_and_never_kept() {
        const SECRET: &str = "og_test_0123456789";
        let answer = shown_once(created("/v1/api-keys/1", axum::Json(SECRET)));
        let (sent, reply) = with_reply(answer, None).await.unwrap();
        assert!(!format!("{reply:?}").contains(SECRET));
        assert_eq!(sent.headers()[header::CACHE_CONTROL], "no-store");
        assert_eq!(sent.status(), StatusCode::CREATED);
        assert!(body_of(sent).await.contains(SECRET));

        let again = replay(reply);
        assert_eq!(again.status(), StatusCode::CONFLICT);
        assert_eq!(again.headers()[header::CONTENT_TYPE], PROBLEM_TYPE);
        assert_eq!(again.headers()[header::LOCATION], "/v1/api-keys/1");
        let document: serde_json::Value = serde_json::from_str(&body_of(again).await).unwrap();
        assert_eq!(document["code"], "secret_shown_once");
    }
}
