//! Why a call was refused or failed.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use crate::address::AddressClass;

/// The part of a call that ran out of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Resolving the name, opening the connection, the TLS handshake.
    Connect,
    /// Silence in the middle of the response body.
    Read,
    /// The call as a whole.
    Total,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "connecting",
            Self::Read => "waiting for more of the response",
            Self::Total => "the whole call",
        })
    }
}

/// Why a call was refused or failed. Messages are safe to show to the tenant who named the URL: they
/// repeat only what that tenant wrote, never an address that a name resolved to. The `source` of an
/// error may hold such addresses and is for the log.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OutboundError {
    /// The text is not a URL that two parsers would read alike.
    #[error("the URL is not usable: {reason}")]
    InvalidUrl {
        /// What to change.
        reason: &'static str,
    },
    /// Not `http` or `https`.
    #[error("the scheme `{scheme}` is not allowed: use http or https")]
    SchemeNotAllowed {
        /// The scheme as written, shortened.
        scheme: String,
    },
    /// `user:password@` in the URL.
    #[error("credentials in a URL are not allowed: send them in a header")]
    CredentialsInUrl,
    /// A host name that belongs to a machine or a local network.
    #[error("the host `{host}` is not allowed: it names a machine on a local network")]
    HostNotAllowed {
        /// The host in lower case.
        host: String,
    },
    /// An IP literal that is not public.
    #[error("the address {address} is not allowed: it is {class}")]
    AddressNotAllowed {
        /// The address that the URL spells.
        address: IpAddr,
        /// Why it is refused.
        class: AddressClass,
    },
    /// The name resolves to an address that is not public.
    #[error("the host `{host}` is not allowed: it resolves to an address that is not public")]
    ResolvedAddressNotAllowed {
        /// The host in lower case.
        host: String,
    },
    /// A port outside the policy.
    #[error("port {port} is not allowed")]
    PortNotAllowed {
        /// The port of the URL, explicit or implied by the scheme.
        port: u16,
    },
    /// A method other than GET, HEAD, POST, PUT, PATCH, DELETE or OPTIONS.
    #[error("the method `{method}` is not allowed")]
    MethodNotAllowed {
        /// The method as written, shortened.
        method: String,
    },
    /// A header that the client owns, or one that is not valid HTTP.
    #[error("the header `{name}` is not allowed: {reason}")]
    HeaderNotAllowed {
        /// The name as written, shortened and made printable.
        name: String,
        /// Why.
        reason: &'static str,
    },
    /// The request body is over the limit; nothing was sent.
    #[error("the request body is over the limit of {limit_bytes} bytes")]
    RequestTooLarge {
        /// The limit.
        limit_bytes: usize,
    },
    /// The response body is over the limit; reading stopped there.
    #[error("the response body is over the limit of {limit_bytes} bytes")]
    ResponseTooLarge {
        /// The limit.
        limit_bytes: usize,
    },
    /// The server compressed the body although it was asked not to.
    #[error("the response has a content encoding, which was not asked for and is not read")]
    EncodedResponse,
    /// The name does not resolve.
    #[error("the host `{host}` could not be resolved")]
    NameNotResolved {
        /// The host in lower case.
        host: String,
    },
    /// No connection.
    #[error("no connection to `{host}` could be made")]
    ConnectFailed {
        /// The host in lower case.
        host: String,
        /// For the log.
        source: reqwest::Error,
    },
    /// The TLS handshake failed, or the certificate is not trusted for this host.
    #[error("no secure connection to `{host}` could be made: {reason}")]
    TlsFailed {
        /// The host in lower case.
        host: String,
        /// What was wrong with the handshake or certificate.
        reason: String,
    },
    /// Out of time.
    #[error("timed out after {} ms: {phase}", .limit.as_millis())]
    TimedOut {
        /// Which limit was met.
        phase: Phase,
        /// That limit.
        limit: Duration,
    },
    /// The connection broke, or what came over it was not HTTP.
    #[error("the server `{host}` did not send a complete, valid response")]
    Protocol {
        /// The host in lower case.
        host: String,
        /// For the log.
        source: reqwest::Error,
    },
}

impl OutboundError {
    /// A stable, machine-readable name.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::InvalidUrl { .. } => "invalid_url",
            Self::SchemeNotAllowed { .. } => "scheme_not_allowed",
            Self::CredentialsInUrl => "credentials_in_url",
            Self::HostNotAllowed { .. } => "host_not_allowed",
            Self::AddressNotAllowed { .. } | Self::ResolvedAddressNotAllowed { .. } => {
                "address_not_allowed"
            }
            Self::PortNotAllowed { .. } => "port_not_allowed",
            Self::MethodNotAllowed { .. } => "method_not_allowed",
            Self::HeaderNotAllowed { .. } => "header_not_allowed",
            Self::RequestTooLarge { .. } => "request_too_large",
            Self::ResponseTooLarge { .. } => "response_too_large",
            Self::EncodedResponse => "encoded_response",
            Self::NameNotResolved { .. } => "name_not_resolved",
            Self::ConnectFailed { .. } => "connect_failed",
            Self::TlsFailed { .. } => "tls_failed",
            Self::TimedOut { .. } => "timed_out",
            Self::Protocol { .. } => "invalid_response",
        }
    }

    /// Whether the same call may succeed later without anyone changing it.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::NameNotResolved { .. }
                | Self::ConnectFailed { .. }
                | Self::TimedOut { .. }
                | Self::Protocol { .. }
        )
    }

    /// Whether the server may have received the request, and acted on it, before this error. When
    /// this is false the call had no effect outside.
    #[must_use]
    pub fn may_have_been_sent(&self) -> bool {
        match self {
            Self::TimedOut { phase, .. } => *phase != Phase::Connect,
            Self::Protocol { .. } | Self::ResponseTooLarge { .. } | Self::EncodedResponse => true,
            _ => false,
        }
    }
}

/// Text from a tenant, fit for one line of a message: printable ASCII, at most 64 characters.
pub(crate) fn shorten(text: &str) -> String {
    const LONGEST: usize = 64;
    let mut short: String = text
        .chars()
        .take(LONGEST)
        .map(|c| if c.is_ascii_graphic() { c } else { '?' })
        .collect();
    if text.chars().nth(LONGEST).is_some() {
        short.push('…');
    }
    short
}
