//! Answers that are no results: what they mean for the call and for the session.

use std::time::Duration;

use outbound::{HeaderMap, Response};
use tokio::time::timeout;

use crate::challenge::Challenge;
use crate::error::{ErrorKind, McpError, RpcMethod, is_rejection, is_rejection_code};
use crate::exchange::{Exchange, malformed, text_header};
use crate::message::{self, Incoming, RpcError};
use crate::session::Session;
use crate::text::line;

/// How much is read of what comes with a status that is not a success.
const MAX_REFUSAL_BYTES: usize = 16 << 10;
const MAX_MESSAGE_CHARS: usize = 500;
const MAX_LOCATION_CHARS: usize = 200;
const MAX_RETRY_AFTER_SECONDS: u64 = 24 * 60 * 60;

impl Exchange<'_> {
    /// What a response that is not a success says about request `id`.
    pub(crate) async fn refusal(
        &self,
        method: RpcMethod,
        session: Option<&Session>,
        id: Option<u64>,
        mut response: Response,
    ) -> McpError {
        let status = response.status().as_u16();
        let kind = match status {
            200..=299 => {
                let kind = malformed("it accepts the request and gives no reply");
                return McpError::after_sending(method, kind);
            }
            300..=399 => ErrorKind::Redirected {
                status,
                location: location(response.headers()),
            },
            401 => ErrorKind::Unauthorized {
                challenge: Challenge::of(response.headers()).unwrap_or_default(),
            },
            403 => ErrorKind::Forbidden {
                challenge: Challenge::of(response.headers()),
            },
            _ => {
                let retry_after = retry_after(response.headers());
                // What is said beside the status helps, and is not worth waiting for.
                let reading = start_of_body(&mut response);
                let body = timeout(self.endpoint.timeouts.aside, reading).await;
                let body = body.unwrap_or_default();
                let error = message::read(&body)
                    .and_then(|messages| messages.into_iter().find_map(|m| m.into_error(id)));
                let refused = refused(method, session, status, error);
                return refused.or_retry_after(retry_after);
            }
        };
        if is_rejection(status) {
            McpError::without_effect(method, kind)
        } else {
            McpError::after_sending(method, kind)
        }
    }
}

/// The error that a request was answered with.
pub(crate) fn of_reply(method: RpcMethod, session: Option<&Session>, error: RpcError) -> McpError {
    refused(method, session, 200, Some((true, error)))
}

impl Incoming {
    /// An error, and whether it answers request `id` itself. One that names no request, or none
    /// that was made, comes from what stands before the server's handling of requests.
    fn into_error(self, ours: Option<u64>) -> Option<(bool, RpcError)> {
        match self {
            Self::Reply {
                id: Some(id),
                outcome: Err(error),
            } => {
                let is_answer = ours.is_some_and(|ours| message::answers(Some(&id), ours));
                Some((is_answer, error))
            }
            Self::Reply {
                id: None,
                outcome: Err(error),
            } => Some((false, error)),
            _ => None,
        }
    }
}

/// An error of JSON-RPC, with whether it answers the request itself, or else a status.
fn refused(
    method: RpcMethod,
    session: Option<&Session>,
    status: u16,
    error: Option<(bool, RpcError)>,
) -> McpError {
    let is_lost = session.is_some_and(|session| is_lost(session, status, error.as_ref()));
    let rejected = match &error {
        Some((true, error)) => is_rejection_code(error.code),
        Some((false, _)) | None => is_rejection(status),
    };
    let kind = match error {
        Some((_, error)) => ErrorKind::Rpc {
            code: error.code,
            message: line(&error.message, MAX_MESSAGE_CHARS),
            data: error.data,
            status,
        },
        None => ErrorKind::Status {
            status,
            retry_after: None,
        },
    };
    if is_lost {
        McpError::without_effect(method, kind).of_lost_session()
    } else if rejected {
        McpError::without_effect(method, kind)
    } else {
        McpError::after_sending(method, kind)
    }
}

/// Whether a refusal says that what was agreed on holds no longer. The protocol has 404 for a
/// session that has ended; many servers answer 400 and say so in words. A server that was replaced
/// by one of another era answers with that era's codes, or does not understand at all. An answer to
/// the request itself counts only by its code: a tool may speak of sessions, too.
fn is_lost(session: &Session, status: u16, error: Option<&(bool, RpcError)>) -> bool {
    let says_session = |error: &RpcError| error.message.to_ascii_lowercase().contains("session");
    let is_stateless = session.protocol_version.is_stateless();
    match error {
        Some((_, error)) if error.code == -32022 => true,
        Some((_, error)) if error.code == -32020 && !is_stateless => true,
        Some((true, _)) => session.id.is_some() && status == 404,
        Some((false, error)) if is_stateless => status == 400 && says_session(error),
        Some((false, error)) => {
            session.id.is_some() && (status == 404 || (status == 400 && says_session(error)))
        }
        None if is_stateless => matches!(status, 400 | 404 | 405),
        None => session.id.is_some() && matches!(status, 400 | 404),
    }
}

/// Where a redirect leads, without its query, which may hold more than an address.
fn location(headers: &HeaderMap) -> Option<String> {
    let value = text_header(headers, "location")?;
    let address = value.split(['?', '#']).next().unwrap_or_default();
    Some(line(address, MAX_LOCATION_CHARS)).filter(|address| !address.is_empty())
}

/// Seconds to wait. A date is not read: it would need a clock that agrees with the server's.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds: u64 = text_header(headers, "retry-after")?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds.min(MAX_RETRY_AFTER_SECONDS)))
}

async fn start_of_body(response: &mut Response) -> Vec<u8> {
    let mut body = Vec::new();
    while let Ok(Some(bytes)) = response.chunk().await {
        let room = MAX_REFUSAL_BYTES - body.len();
        body.extend_from_slice(&bytes[..bytes.len().min(room)]);
        if body.len() == MAX_REFUSAL_BYTES {
            break;
        }
    }
    body
}
