//! One request of the protocol and its reply, over HTTP.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use outbound::{HeaderMap, Method, OutboundError, Request, Response};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

use crate::challenge::Challenge;
use crate::endpoint::Endpoint;
use crate::error::{ErrorKind, McpError, RpcMethod, is_rejection, is_rejection_code};
use crate::message::{self, Incoming, RpcError};
use crate::session::{ProtocolVersion, Session};
use crate::text::line;

/// How much is read of what comes with a status that is not a success.
const MAX_REFUSAL_BYTES: usize = 16 << 10;
const MAX_MESSAGE_CHARS: usize = 500;
const MAX_LOCATION_CHARS: usize = 200;
const MAX_RETRY_AFTER_SECONDS: u64 = 24 * 60 * 60;

/// The time by which an operation ends.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline {
    at: Instant,
    whole: Duration,
}

impl Deadline {
    pub(crate) fn after(whole: Duration) -> Self {
        Self {
            at: Instant::now() + whole,
            whole,
        }
    }

    /// This deadline, or an earlier one.
    pub(crate) fn at_most(self, whole: Duration) -> Self {
        let other = Self::after(whole);
        if other.at < self.at { other } else { self }
    }

    pub(crate) fn left(self) -> Duration {
        self.at.saturating_duration_since(Instant::now())
    }

    pub(crate) fn at(self) -> Instant {
        self.at
    }

    pub(crate) fn passed(self) -> ErrorKind {
        ErrorKind::TimedOut { after: self.whole }
    }
}

/// A request to be sent.
pub(crate) struct Outgoing<'a> {
    pub method: RpcMethod,
    /// An object.
    pub params: Value,
    /// What was agreed on, except while it is being agreed on.
    pub session: Option<&'a Session>,
    /// Headers beside those of the endpoint and the protocol.
    pub headers: Vec<(String, String)>,
    pub deadline: Deadline,
    /// The longest message that is read.
    pub max_bytes: usize,
}

impl Outgoing<'_> {
    /// The version that the request is made in; a handshake has none yet.
    pub(crate) fn version(&self) -> Option<ProtocolVersion> {
        match (self.session, self.method) {
            (Some(session), _) => Some(session.protocol_version),
            (None, RpcMethod::Discover) => Some(ProtocolVersion::V2026_07_28),
            (None, _) => None,
        }
    }

    pub(crate) fn is_stateless(&self) -> bool {
        self.version().is_some_and(ProtocolVersion::is_stateless)
    }

    pub(crate) fn failed(&self, kind: ErrorKind) -> McpError {
        McpError::after_sending(self.method, kind)
    }

    pub(crate) fn broken(&self, error: OutboundError) -> McpError {
        McpError::outbound(self.method, error, self.deadline.whole)
    }

    fn body(&self, id: u64) -> String {
        let mut params = self.params.clone();
        if let (Some(version), true) = (self.version(), self.is_stateless()) {
            let meta = &mut params["_meta"];
            meta["io.modelcontextprotocol/protocolVersion"] = json!(version.as_str());
            meta["io.modelcontextprotocol/clientInfo"] = client_info();
            meta["io.modelcontextprotocol/clientCapabilities"] = json!({});
        }
        message::request(id, self.method.as_str(), &params)
    }
}

/// A result, and the session that it opens.
pub(crate) struct Reply {
    pub result: Value,
    pub session_id: Option<String>,
}

/// Makes requests to one server.
pub(crate) struct Exchange<'a> {
    pub outbound: &'a outbound::Client,
    pub endpoint: &'a Endpoint,
    pub ids: &'a AtomicU64,
}

impl Exchange<'_> {
    /// Sends a request and waits for its reply. A request that is given up is cancelled.
    pub(crate) async fn request(&self, outgoing: &Outgoing<'_>) -> Result<Reply, McpError> {
        let id = self.ids.fetch_add(1, Ordering::Relaxed);
        let outcome = self.attempt(outgoing, id).await;
        if let (Err(error), Some(session)) = (&outcome, outgoing.session)
            && error.is_given_up()
            // Elsewhere closing the connection says so.
            && !outgoing.is_stateless()
        {
            let params = json!({ "requestId": id, "reason": "the client stopped waiting" });
            let cancelled = message::notification("notifications/cancelled", Some(params));
            let id = session.id.as_ref();
            self.aside(cancelled, Some(session.protocol_version), id)
                .await;
        }
        outcome
    }

    async fn attempt(&self, outgoing: &Outgoing<'_>, id: u64) -> Result<Reply, McpError> {
        let left = outgoing.deadline.left();
        if left.is_zero() {
            let kind = outgoing.deadline.passed();
            return Err(McpError::without_effect(outgoing.method, kind));
        }
        let session_id = outgoing.session.and_then(|session| session.id.as_ref());
        let mut request = self
            .post(outgoing.version(), session_id, outgoing.body(id))
            .map_err(|error| outgoing.broken(error))?;
        for (name, value) in &outgoing.headers {
            request = request
                .header(name, value)
                .map_err(|error| outgoing.broken(error))?;
        }
        let bytes = self.endpoint.caps.stream_bytes.max(outgoing.max_bytes);
        let mut response = self
            .outbound
            .with_limits(self.endpoint.limits(left, bytes))
            .send(request)
            .await
            .map_err(|error| outgoing.broken(error))?;
        if response.status().as_u16() != 200 {
            return Err(self
                .refusal(outgoing.method, outgoing.session, Some(id), response)
                .await);
        }
        let session_id = text_header(response.headers(), "mcp-session-id").map(str::to_owned);
        let result = match content_type(response.headers()).as_str() {
            "application/json" => {
                let body = whole_body(outgoing, &mut response).await?;
                self.pick(outgoing, id, &body)?
            }
            "text/event-stream" => {
                self.follow(outgoing, id, response, session_id.as_deref())
                    .await?
            }
            _ => return Err(outgoing.failed(malformed("it is neither JSON nor an event stream"))),
        };
        Ok(Reply { result, session_id })
    }

    /// The reply among the messages of a JSON body.
    fn pick(&self, outgoing: &Outgoing<'_>, id: u64, body: &[u8]) -> Result<Value, McpError> {
        let messages = message::read(body)
            .ok_or_else(|| outgoing.failed(malformed("it is not a message of JSON-RPC")))?;
        for message in messages {
            if let Incoming::Reply {
                id: answered,
                outcome,
            } = message
                && message::answers(answered.as_ref(), id)
            {
                return outcome.map_err(|error| self.rpc_error(outgoing, error));
            }
        }
        Err(outgoing.failed(malformed("it answers another request")))
    }

    /// An error that came as a reply of its own.
    pub(crate) fn rpc_error(&self, outgoing: &Outgoing<'_>, error: RpcError) -> McpError {
        refused(outgoing.method, outgoing.session, 200, Some((true, error)))
    }

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

    /// A POST with the headers of the endpoint and the protocol.
    pub(crate) fn post(
        &self,
        version: Option<ProtocolVersion>,
        session_id: Option<&SecretString>,
        body: String,
    ) -> Result<Request, OutboundError> {
        self.bare(Method::POST, version, session_id)?
            .header("accept", "application/json, text/event-stream")?
            .header("content-type", "application/json")
            .map(|request| request.body(body))
    }

    /// A request with the headers of the endpoint, the version and the session.
    pub(crate) fn bare(
        &self,
        method: Method,
        version: Option<ProtocolVersion>,
        session_id: Option<&SecretString>,
    ) -> Result<Request, OutboundError> {
        let mut request = self.endpoint.request(method)?;
        if let Some(version) = version {
            request = request.header("mcp-protocol-version", version.as_str())?;
        }
        if let Some(id) = session_id {
            request = request.header("mcp-session-id", id.expose_secret())?;
        }
        Ok(request)
    }

    /// Sends a message that nobody waits for.
    pub(crate) async fn aside(
        &self,
        body: String,
        version: Option<ProtocolVersion>,
        session_id: Option<&SecretString>,
    ) {
        if let Ok(request) = self.post(version, session_id, body) {
            self.send_aside(request).await;
        }
    }

    /// Sends a request whose outcome changes nothing for the caller: what it is about, the server
    /// finds out in time.
    pub(crate) async fn send_aside(&self, request: Request) {
        let limits = self
            .endpoint
            .limits(self.endpoint.timeouts.aside, MAX_REFUSAL_BYTES);
        drop(self.outbound.with_limits(limits).send(request).await);
    }
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

pub(crate) fn malformed(reason: &'static str) -> ErrorKind {
    ErrorKind::Malformed { reason }
}

/// Who the client says it is.
pub(crate) fn client_info() -> Value {
    json!({ "name": "Overglass", "version": env!("CARGO_PKG_VERSION") })
}

pub(crate) fn content_type(headers: &HeaderMap) -> String {
    let value = text_header(headers, "content-type").unwrap_or_default();
    let kind = value.split(';').next().unwrap_or_default();
    kind.trim().to_ascii_lowercase()
}

fn text_header<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name).and_then(|value| value.to_str().ok())
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

async fn whole_body(outgoing: &Outgoing<'_>, response: &mut Response) -> Result<Vec<u8>, McpError> {
    let mut body = Vec::new();
    while let Some(bytes) = response
        .chunk()
        .await
        .map_err(|error| outgoing.broken(error))?
    {
        if body.len() + bytes.len() > outgoing.max_bytes {
            let limit_bytes = outgoing.max_bytes;
            return Err(outgoing.failed(ErrorKind::TooLarge { limit_bytes }));
        }
        body.extend_from_slice(&bytes);
    }
    Ok(body)
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
