//! Where a server is, how to be let in, and what it may take.

use std::fmt;
use std::time::Duration;

use outbound::{Limits, Method, OutboundError, Policy, Request};
use secrecy::{ExposeSecret as _, SecretString};

/// Headers that the protocol sets, so that nobody can make a client speak for another session.
const RESERVED: [&str; 5] = [
    "accept",
    "content-type",
    "idempotency-key",
    "last-event-id",
    "origin",
];
const RESERVED_PREFIX: &str = "mcp-";

/// A server.
#[derive(Clone)]
pub struct Endpoint {
    /// The address of its MCP endpoint.
    pub url: String,
    /// Headers of every request, such as `authorization`. Names that the protocol uses are refused.
    pub headers: Vec<(String, SecretString)>,
    /// How long it may take.
    pub timeouts: Timeouts,
    /// How much it may send.
    pub caps: Caps,
}

impl Endpoint {
    /// A server without credentials, with the default limits.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            headers: Vec::new(),
            timeouts: Timeouts::default(),
            caps: Caps::default(),
        }
    }

    /// Adds a header to every request.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<SecretString>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Whether requests can be made at all.
    pub(crate) fn check(&self, policy: &Policy) -> Result<(), Refusal> {
        policy.check_url(&self.url).map_err(Refusal::Outbound)?;
        for (name, _) in &self.headers {
            let name = name.to_ascii_lowercase();
            if RESERVED.contains(&name.as_str()) || name.starts_with(RESERVED_PREFIX) {
                return Err(Refusal::ReservedHeader(name));
            }
        }
        self.request(Method::POST)
            .map(drop)
            .map_err(Refusal::Outbound)
    }

    /// A request with the headers of this server.
    pub(crate) fn request(&self, method: Method) -> Result<Request, OutboundError> {
        let request = Request::new(method, self.url.clone());
        self.headers
            .iter()
            .try_fold(request, |request, (name, value)| {
                request.header(name, value.expose_secret())
            })
    }

    /// The limits of one request that may take `time` and be answered by `bytes`.
    pub(crate) fn limits(&self, time: Duration, bytes: usize) -> Limits {
        Limits {
            read: time,
            total: time,
            request_bytes: self.caps.request_bytes,
            response_bytes: bytes,
            ..Limits::default()
        }
    }
}

/// Why an endpoint cannot be used.
pub(crate) enum Refusal {
    Outbound(OutboundError),
    ReservedHeader(String),
}

impl fmt::Debug for Endpoint {
    /// Paths, queries and header values can hold secrets; none of them shows.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&String> = self.headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("Endpoint")
            .field("headers", &names)
            .field("timeouts", &self.timeouts)
            .field("caps", &self.caps)
            .finish_non_exhaustive()
    }
}

/// Limits in time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timeouts {
    /// Finding out which version a server speaks, and the handshake. Default 15 s.
    pub handshake: Duration,
    /// All pages of the list of tools, with a handshake if there is one. Default 30 s.
    pub list: Duration,
    /// A call of a tool, with a handshake if there is one, unless the call says otherwise.
    /// Default 60 s.
    pub call: Duration,
    /// A message that nobody waits for: a cancellation after a timeout, the end of a session, the
    /// answer to a ping. It comes on top of the time of a call. Default 2 s.
    pub aside: Duration,
    /// The pause before a broken stream is resumed, unless the server says otherwise. Default 1 s.
    pub resume: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(15),
            list: Duration::from_secs(30),
            call: Duration::from_secs(60),
            aside: Duration::from_secs(2),
            resume: Duration::from_secs(1),
        }
    }
}

/// Limits in size and number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caps {
    /// Bytes of a request. Default 1 MiB.
    pub request_bytes: usize,
    /// Bytes of a message with a page of tools. Default 2 MiB.
    pub list_bytes: usize,
    /// Bytes of a message with a result, unless the call says otherwise. Default 1 MiB.
    pub call_bytes: usize,
    /// Bytes of a stream of messages, over all times that it is resumed; most of it is progress
    /// that nobody reads. Default 8 MiB.
    pub stream_bytes: usize,
    /// Messages of a stream. Default 10,000.
    pub messages: usize,
    /// Requests of the server in a stream that are answered. Default 32.
    pub server_requests: usize,
    /// Times that a stream is resumed. Default 100: a server may let a client come back for a long
    /// call instead of keeping its connection.
    pub resumes: usize,
    /// Tools of a list; what follows is left out. Default 512.
    pub tools: usize,
    /// Pages of a list; what follows is left out. Default 64.
    pub pages: usize,
    /// Bytes of a schema. A tool with a larger one is left out. Default 64 KiB.
    pub schema_bytes: usize,
    /// Bytes of all schemas of a list; what follows is left out. Default 4 MiB.
    pub schemas_bytes: usize,
}

impl Default for Caps {
    fn default() -> Self {
        Self {
            request_bytes: 1 << 20,
            list_bytes: 2 << 20,
            call_bytes: 1 << 20,
            stream_bytes: 8 << 20,
            messages: 10_000,
            server_requests: 32,
            resumes: 100,
            tools: 512,
            pages: 64,
            schema_bytes: 64 << 10,
            schemas_bytes: 4 << 20,
        }
    }
}
