//! One request of the protocol and its reply, over HTTP.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use outbound::{HeaderMap, Method, OutboundError, Request, Response};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::endpoint::Endpoint;
use crate::error::{ErrorKind, McpError, RpcMethod};
use crate::message::{self, Incoming, RpcError};
use crate::refusal;
use crate::session::{ProtocolVersion, Session};

/// The limit of an answer that is not read.
const MAX_ASIDE_BYTES: usize = 16 << 10;

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
        refusal::of_reply(outgoing.method, outgoing.session, error)
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
            .limits(self.endpoint.timeouts.aside, MAX_ASIDE_BYTES);
        drop(self.outbound.with_limits(limits).send(request).await);
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

pub(crate) fn text_header<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name).and_then(|value| value.to_str().ok())
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
