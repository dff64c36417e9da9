//! What went wrong, whether it can have had an effect, and whether waiting helps.

use std::fmt;
use std::time::Duration;

use outbound::{OutboundError, Phase};
use serde_json::Value;

use crate::challenge::Challenge;

/// The methods of the protocol that this client calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RpcMethod {
    /// `server/discover`: which versions a server speaks.
    Discover,
    /// `initialize`: the handshake of versions before 2026-07-28.
    Initialize,
    /// `tools/list`.
    ListTools,
    /// `tools/call`, the only one that acts on anything.
    CallTool,
}

impl RpcMethod {
    /// The name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Discover => "server/discover",
            Self::Initialize => "initialize",
            Self::ListTools => "tools/list",
            Self::CallTool => "tools/call",
        }
    }
}

impl fmt::Display for RpcMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What went wrong. Messages may be shown to the tenant who named the server and to a model: what
/// a server says in them is cleaned and shortened, and no header that was sent shows.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The address may not be called, could not be reached, or did not speak HTTP.
    #[error(transparent)]
    Outbound(OutboundError),
    /// The call was not put in a form that can be sent; nothing was.
    #[error("{reason}")]
    InvalidRequest {
        /// What to change.
        reason: String,
    },
    /// The server wants (other) credentials: 401.
    #[error("the server asks for authorization")]
    Unauthorized {
        /// What it asks for; empty if it does not say.
        challenge: Challenge,
    },
    /// The credentials are not enough: 403.
    #[error("the server does not allow this with these credentials")]
    Forbidden {
        /// What would be enough, if the server says so.
        challenge: Option<Challenge>,
    },
    /// The server answers at another address. Redirects are not followed.
    #[error("the server redirects with status {status}{}; enter its final address", to(.location))]
    Redirected {
        /// The status, 300 to 399.
        status: u16,
        /// Where to, without query, if it is a readable address.
        location: Option<String>,
    },
    /// Any other status that is not a success.
    #[error("the server answers with status {status}")]
    Status {
        /// The status.
        status: u16,
        /// How long the server asks to wait.
        retry_after: Option<Duration>,
    },
    /// A JSON-RPC error.
    #[error("the server refuses: {message} ({code})")]
    Rpc {
        /// The code of JSON-RPC or of the server.
        code: i64,
        /// The server's words, cleaned.
        message: String,
        /// What else it says. Not cleaned.
        data: Option<Value>,
        /// The HTTP status that it came with.
        status: u16,
    },
    /// The call needs input from a person or a model by a way that this client does not offer.
    #[error("the server asks for input in the middle of a call, which is not offered")]
    InputRequired,
    /// No version of the protocol that both sides speak.
    #[error("the server speaks only unknown versions of the protocol: {offered}")]
    UnsupportedVersion {
        /// What it speaks, cleaned.
        offered: String,
    },
    /// The reply is over a limit; reading stopped there.
    #[error("the server's reply is over the limit of {limit_bytes} bytes")]
    TooLarge {
        /// The limit.
        limit_bytes: usize,
    },
    /// The server sent more messages than a reply may have.
    #[error("the server sent more than {limit} messages without a reply")]
    TooManyMessages {
        /// The limit.
        limit: usize,
    },
    /// The stream ended before the reply and could not be resumed.
    #[error("the connection ended before the server's reply")]
    StreamEnded,
    /// The reply is not what the protocol says.
    #[error("the server's reply is not valid: {reason}")]
    Malformed {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Out of time.
    #[error("the server did not answer within {} ms", .after.as_millis())]
    TimedOut {
        /// The time that it had.
        after: Duration,
    },
}

fn to(location: &Option<String>) -> String {
    location
        .as_ref()
        .map(|location| format!(" to {location}"))
        .unwrap_or_default()
}

/// A call that failed, and in which request of the protocol.
#[derive(Debug)]
pub struct McpError {
    kind: Box<ErrorKind>,
    method: RpcMethod,
    rejected: bool,
    session_lost: bool,
}

impl McpError {
    /// An error of a request that the server may have acted on.
    pub(crate) fn after_sending(method: RpcMethod, kind: ErrorKind) -> Self {
        Self::new(method, kind, false)
    }

    /// An error of a request that was not sent, or that the server turned down.
    pub(crate) fn without_effect(method: RpcMethod, kind: ErrorKind) -> Self {
        Self::new(method, kind, true)
    }

    /// An error of the client for addresses, in a request that had `time`.
    pub(crate) fn outbound(method: RpcMethod, error: OutboundError, time: Duration) -> Self {
        let rejected = !error.may_have_been_sent();
        let kind = match error {
            OutboundError::TimedOut { phase, .. } if phase != Phase::Connect => {
                ErrorKind::TimedOut { after: time }
            }
            OutboundError::ResponseTooLarge { limit_bytes } => ErrorKind::TooLarge { limit_bytes },
            other => ErrorKind::Outbound(other),
        };
        Self::new(method, kind, rejected)
    }

    fn new(method: RpcMethod, kind: ErrorKind, rejected: bool) -> Self {
        Self {
            kind: Box::new(kind),
            method,
            rejected,
            session_lost: false,
        }
    }

    /// The same failure, which says that what was agreed on with the server holds no longer.
    pub(crate) fn of_lost_session(self) -> Self {
        Self {
            rejected: true,
            session_lost: true,
            ..self
        }
    }

    /// The same failure, once the server is known to have taken the request.
    pub(crate) fn may_have_acted(self) -> Self {
        Self {
            rejected: false,
            ..self
        }
    }

    /// The same failure, as one of a call that has begun.
    pub(crate) fn into_call(self) -> Self {
        Self {
            method: RpcMethod::CallTool,
            rejected: false,
            ..self
        }
    }

    /// What went wrong.
    #[must_use]
    pub fn kind(&self) -> &ErrorKind {
        &self.kind
    }

    /// In which request. An error of [`Client::call_tool`](crate::Client::call_tool) can come from
    /// the handshake before it.
    #[must_use]
    pub fn method(&self) -> RpcMethod {
        self.method
    }

    /// A stable, machine-readable name.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match &*self.kind {
            ErrorKind::Outbound(error) => error.code(),
            ErrorKind::InvalidRequest { .. } => "invalid_request",
            ErrorKind::Unauthorized { .. } => "unauthorized",
            ErrorKind::Forbidden { .. } => "forbidden",
            ErrorKind::Redirected { .. } => "redirected",
            ErrorKind::Status { status: 429, .. } => "rate_limited",
            ErrorKind::Status { status: 500.., .. } => "server_error",
            ErrorKind::Status { .. } => "refused",
            ErrorKind::Rpc { .. } => "rpc_error",
            ErrorKind::InputRequired => "input_required",
            ErrorKind::UnsupportedVersion { .. } => "unsupported_version",
            ErrorKind::TooLarge { .. } => "response_too_large",
            ErrorKind::TooManyMessages { .. } => "too_many_messages",
            ErrorKind::StreamEnded => "stream_ended",
            ErrorKind::Malformed { .. } => "invalid_response",
            ErrorKind::TimedOut { .. } => "timed_out",
        }
    }

    /// Whether the call certainly had no effect, so that making it again cannot repeat one: it was
    /// not sent, it was turned down before it was carried out, or it only reads.
    #[must_use]
    pub fn is_retry_safe(&self) -> bool {
        self.rejected || self.method != RpcMethod::CallTool
    }

    /// Whether the same call may succeed later without anyone changing it.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match &*self.kind {
            ErrorKind::Outbound(error) => error.is_transient(),
            ErrorKind::Status { status, .. } => matches!(status, 408 | 429 | 500..),
            ErrorKind::StreamEnded | ErrorKind::TimedOut { .. } => true,
            _ => false,
        }
    }

    /// How long the server asks to wait before the next call.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match &*self.kind {
            ErrorKind::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// What somebody has to authorize before this can succeed: the challenge of a 401, or of a 403
    /// that asks for more scopes.
    #[must_use]
    pub fn needs_authorization(&self) -> Option<&Challenge> {
        match &*self.kind {
            ErrorKind::Unauthorized { challenge } => Some(challenge),
            ErrorKind::Forbidden {
                challenge: Some(challenge),
            } if challenge.error.as_deref() == Some("insufficient_scope") => Some(challenge),
            _ => None,
        }
    }

    /// The same failure, with what its response says about waiting.
    pub(crate) fn or_retry_after(mut self, time: Option<Duration>) -> Self {
        if let ErrorKind::Status { retry_after, .. } = &mut *self.kind {
            *retry_after = time;
        }
        self
    }

    /// Whether the client stopped waiting while the server may still be at work.
    pub(crate) fn is_given_up(&self) -> bool {
        let stopped = matches!(
            *self.kind,
            ErrorKind::TimedOut { .. }
                | ErrorKind::TooLarge { .. }
                | ErrorKind::TooManyMessages { .. }
        );
        stopped && !self.rejected
    }

    pub(crate) fn is_session_lost(&self) -> bool {
        self.session_lost
    }
}

impl fmt::Display for McpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.method, self.kind)
    }
}

impl std::error::Error for McpError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &*self.kind {
            ErrorKind::Outbound(error) => error.source(),
            _ => None,
        }
    }
}

/// Whether a status says that a request was turned down before anything was done. This holds for
/// what HTTP says; a server that answers the request itself sets the status by its error. A 303 answers a
/// request that was carried out; 408, 409 and 424 can, and so can whatever a gateway says in the
/// name of a server behind it.
pub(crate) fn is_rejection(status: u16) -> bool {
    matches!(
        status,
        307 | 308 | 400..=407 | 410..=423 | 426..=431 | 451 | 501 | 505
    )
}

/// Errors that come before a tool is looked at, even in answer to the request itself: its headers do
/// not fit, its version is unknown. No other code says so. When a tool fails, some servers pass on
/// whatever code the failure has, and "invalid request" or "no such method" may come from inside it.
pub(crate) fn is_rejection_code(code: i64) -> bool {
    matches!(code, -32020 | -32022)
}
