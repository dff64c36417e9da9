//! Credentials of tools: how the requests of a tool authenticate. The secret itself is not here; it
//! is sealed before it is stored and never read back to anybody.

use kernel::{OrgId, Timestamp, ToolId};
use serde::{Deserialize, Serialize};
use url::{Host, Url};
use utoipa::ToSchema;

use crate::event::Actor;
use crate::tool::secret_header_problem;

/// The longest token, header value or password, in bytes.
pub const MAX_SECRET_BYTES: usize = 8 * 1024;
/// The longest user name, in bytes.
pub const MAX_USERNAME_BYTES: usize = 256;
/// The longest name of a header, in bytes.
pub const MAX_HEADER_NAME_BYTES: usize = 64;

/// How a secret is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CredentialKind {
    /// `Authorization: Bearer <token>`.
    Bearer,
    /// A header of a name of your choice, such as `X-Api-Key`.
    Header,
    /// `Authorization: Basic <username and password>`.
    Basic,
}

impl CredentialKind {
    /// The name of the kind.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bearer => "bearer",
            Self::Header => "header",
            Self::Basic => "basic",
        }
    }
}

/// The credential of a tool, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Credential {
    pub org: OrgId,
    pub tool: ToolId,
    pub kind: CredentialKind,
    /// The header that carries the secret, in lower case.
    #[schema(example = "authorization")]
    pub header: String,
    /// The only place that it is sent to: scheme, host and port of the tool's URL when it was set.
    /// If the URL comes to lead elsewhere, the credential has to be set again.
    #[schema(example = "https://api.example.com")]
    pub origin: String,
    /// Rises by one with every change; the ETag of the credential.
    pub version: u64,
    pub updated_at: Timestamp,
    pub updated_by: Actor,
}

/// Why an address can have no credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OriginError {
    #[error("the tool's address is no URL with a host")]
    NoHost,
    /// A secret would travel in the clear.
    #[error("the tool's address must begin with `https://`: a secret would be readable on its way")]
    NotEncrypted,
}

/// Scheme, host and port of a tool's address, as one text that is the same however it is spelt.
///
/// # Errors
/// [`OriginError`] if no secret may be sent there. Plain HTTP is good enough within one machine.
pub fn origin(url: &str) -> Result<String, OriginError> {
    let url = Url::parse(url).map_err(|_| OriginError::NoHost)?;
    let host = url.host().ok_or(OriginError::NoHost)?;
    let is_loopback = match host {
        Host::Domain(name) => name.eq_ignore_ascii_case("localhost"),
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    };
    match url.scheme() {
        "https" => {}
        "http" if is_loopback => {}
        "http" => return Err(OriginError::NotEncrypted),
        _ => return Err(OriginError::NoHost),
    }
    Ok(url.origin().ascii_serialization())
}

/// What the platform sets itself in a request, or a protocol that the request follows.
const SET_BY_THE_PLATFORM: &[&str] = &["content-type", "idempotency-key", "last-event-id"];

/// Why a credential may not be carried by this header, if so.
#[must_use]
pub fn header_name_problem(name: &str) -> Option<&'static str> {
    let lower = name.to_ascii_lowercase();
    if SET_BY_THE_PLATFORM.contains(&lower.as_str()) || lower.starts_with("mcp-") {
        return Some("is set by the platform");
    }
    secret_header_problem(name)
}

/// Why this cannot be a bearer token, if so.
#[must_use]
pub fn token_problem(token: &str) -> Option<&'static str> {
    let visible = |byte: u8| (b'!'..=b'~').contains(&byte);
    let fits = (1..=MAX_SECRET_BYTES).contains(&token.len());
    (!fits || !token.bytes().all(visible))
        .then_some("must have 1 to 8,192 visible ASCII characters and no space")
}

/// Why this cannot be the value of a header, if so.
#[must_use]
pub fn header_value_problem(value: &str) -> Option<&'static str> {
    let printable = |byte: u8| (b' '..=b'~').contains(&byte);
    let fits = (1..=MAX_SECRET_BYTES).contains(&value.len());
    (!fits || value.trim() != value || !value.bytes().all(printable))
        .then_some("must have 1 to 8,192 printable ASCII characters, with no space at its ends")
}

/// Why this cannot be a user name, if so.
#[must_use]
pub fn username_problem(name: &str) -> Option<&'static str> {
    let fits = (1..=MAX_USERNAME_BYTES).contains(&name.len());
    (!fits || name.contains(':') || name.chars().any(char::is_control))
        .then_some("must have 1 to 256 bytes, no `:` and no control characters")
}

/// Why this cannot be a password, if so. An empty one is what some services expect beside a key.
#[must_use]
pub fn password_problem(password: &str) -> Option<&'static str> {
    let most = MAX_SECRET_BYTES / 2;
    (password.len() > most || password.chars().any(char::is_control))
        .then_some("must have at most 4,096 bytes and no control characters")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_the_same_however_it_is_spelt() {
        for url in [
            "https://api.example.com/orders/{order_id}",
            "https://API.Example.com:443?x={y}",
            "HTTPS://api.example.com",
        ] {
            assert_eq!(
                origin(url).as_deref(),
                Ok("https://api.example.com"),
                "{url}"
            );
        }
        for (url, expected) in [
            (
                "https://api.example.com:8443/",
                "https://api.example.com:8443",
            ),
            ("http://127.0.0.1:8080/x", "http://127.0.0.1:8080"),
            ("http://localhost/x", "http://localhost"),
            ("http://[::1]:9/x", "http://[::1]:9"),
            ("https://bücher.example/", "https://xn--bcher-kva.example"),
        ] {
            assert_eq!(origin(url).as_deref(), Ok(expected), "{url}");
        }
    }

    #[test]
    fn a_secret_never_travels_in_the_clear() {
        for url in [
            "http://api.example.com/",
            "http://localhost.example.com/",
            "http://127.0.0.1.example.com/",
            "http://10.0.0.1/",
        ] {
            assert_eq!(origin(url), Err(OriginError::NotEncrypted), "{url}");
        }
        for url in ["ftp://a.example", "file:///etc/passwd", "nowhere", ""] {
            assert_eq!(origin(url), Err(OriginError::NoHost), "{url}");
        }
    }

    #[test]
    fn nothing_can_begin_another_header() {
        for bad in ["", "a b", "a\r\nHost: b", "a\n", "é", " a"] {
            assert!(token_problem(bad).is_some(), "{bad:?}");
        }
        for bad in ["", "a\r\nHost: b", "a\n", "é", " a", "a "] {
            assert!(header_value_problem(bad).is_some(), "{bad:?}");
        }
        for bad in ["", "a:b", "a\nb", "a\0"] {
            assert!(username_problem(bad).is_some(), "{bad:?}");
        }
        assert!(password_problem("a\nb").is_some());
        assert!(token_problem(&"x".repeat(MAX_SECRET_BYTES + 1)).is_some());
        assert_eq!(token_problem(&"x".repeat(MAX_SECRET_BYTES)), None);
        assert_eq!(header_value_problem("Token a b"), None);
        assert_eq!(username_problem("ada@example.com"), None);
        assert_eq!(password_problem("pässword: yes"), None);
        assert_eq!(password_problem(""), None);
    }

    #[test]
    fn a_credential_may_use_the_headers_that_are_for_secrets_and_none_that_steer() {
        for name in ["Authorization", "Cookie", "X-Api-Key", "x-auth-token"] {
            assert_eq!(header_name_problem(name), None, "{name}");
        }
        for name in [
            "Host",
            "Content-Length",
            "Content-Type",
            "Idempotency-Key",
            "Mcp-Session-Id",
            "Proxy-Authorization",
            "Metadata-Flavor",
            "a b",
            "",
        ] {
            assert!(header_name_problem(name).is_some(), "{name}");
        }
    }
}
