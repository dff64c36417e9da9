//! From text to a URL that may be called.
//!
//! The text is judged twice: as written, and as the URL parser reads it. A spelling on which two
//! parsers could disagree (backslashes, missing slashes, numbers for dots, escapes in the host) is
//! refused even when what it spells is harmless, since another component may read it otherwise.

use std::net::IpAddr;

use url::{Host, Url};

use crate::address::{AddressClass, address_class};
use crate::error::{OutboundError, shorten};
use crate::policy::{Policy, Reach};

const MAX_URL_BYTES: usize = 8 * 1024;
const MAX_HOST_BYTES: usize = 253;
const MAX_LABEL_BYTES: usize = 63;

/// The one host name that may resolve to this machine, where a policy reaches it at all.
pub(crate) const LOCALHOST: &str = "localhost";

/// Last labels that belong to local networks, whatever a resolver says about them.
const LOCAL_SUFFIXES: &[&str] = &[
    "localhost",
    "localdomain",
    "local",
    "internal",
    "intranet",
    "private",
    "corp",
    "home",
    "lan",
    "arpa",
    "onion",
];

/// A URL that passed a policy. It has a scheme, host and port that may be called; what the host
/// resolves to is judged when the connection is made.
#[derive(Clone, PartialEq, Eq)]
pub struct Target {
    url: Url,
}

impl Target {
    /// The host in lower case; IPv6 in brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        self.url.host_str().unwrap_or_default()
    }

    /// The URL in its normal form, without fragment.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.url.as_str()
    }

    pub(crate) fn into_url(self) -> Url {
        self.url
    }
}

impl std::fmt::Debug for Target {
    /// Paths and queries can hold secrets, so only the origin is shown.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Target({})", self.url.origin().ascii_serialization())
    }
}

impl Policy {
    /// Checks a URL without any I/O. Use it when a tenant saves a URL; [`Client::send`] does it again
    /// for every request.
    ///
    /// # Errors
    /// One of the refusals of [`OutboundError`]: the URL, its scheme, credentials, host, address or
    /// port.
    ///
    /// [`Client::send`]: crate::Client::send
    pub fn check_url(&self, text: &str) -> Result<Target, OutboundError> {
        let written_host = check_spelling(text)?;
        let mut url = Url::parse(text).map_err(|_| invalid("it does not parse"))?;
        url.set_fragment(None);
        let port = url
            .port_or_known_default()
            .ok_or_else(|| invalid("it has no port"))?;

        let is_this_machine = match url.host() {
            None => return Err(invalid("it has no host")),
            Some(Host::Domain(name)) => self.check_name(name)?,
            Some(Host::Ipv4(address)) => {
                let is_this_machine = self.check_address(address.into())?;
                if written_host != address.to_string() {
                    return Err(invalid("write an IPv4 address as four decimal numbers"));
                }
                is_this_machine
            }
            Some(Host::Ipv6(address)) => self.check_address(address.into())?,
        };
        self.check_port(port, is_this_machine)?;
        Ok(Target { url })
    }

    /// Judges a host name. True if it is this machine and the policy reaches it.
    fn check_name(&self, name: &str) -> Result<bool, OutboundError> {
        if name == LOCALHOST && self.reaches_loopback() {
            return Ok(true);
        }
        let bare = name.trim_end_matches('.');
        let is_local = bare
            .rsplit_once('.')
            .is_none_or(|(_, last)| LOCAL_SUFFIXES.contains(&last));
        if is_local {
            return Err(OutboundError::HostNotAllowed {
                host: shorten(name),
            });
        }
        if bare.len() != name.len() {
            return Err(invalid("leave out the dot at the end of the host"));
        }
        let is_label = |label: &str| {
            (1..=MAX_LABEL_BYTES).contains(&label.len())
                && label
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        };
        if name.len() > MAX_HOST_BYTES || !name.split('.').all(is_label) {
            return Err(invalid("the host is not a domain name"));
        }
        Ok(false)
    }

    /// Judges an IP literal. True if it is this machine and the policy reaches it.
    fn check_address(&self, address: IpAddr) -> Result<bool, OutboundError> {
        match address_class(address) {
            AddressClass::Public => Ok(false),
            AddressClass::Loopback if self.reaches_loopback() => Ok(true),
            class => Err(OutboundError::AddressNotAllowed { address, class }),
        }
    }

    fn check_port(&self, port: u16, is_this_machine: bool) -> Result<(), OutboundError> {
        let allowed = match (&self.reach, is_this_machine) {
            (Reach::PublicAndLoopback { ports }, true) => ports,
            _ => &self.ports,
        };
        if allowed.contains(&port) {
            Ok(())
        } else {
            Err(OutboundError::PortNotAllowed { port })
        }
    }
}

/// Judges the text before any parser mends it. Returns the host as written, in lower case.
fn check_spelling(text: &str) -> Result<String, OutboundError> {
    if text.len() > MAX_URL_BYTES {
        return Err(invalid("it is over 8 KiB"));
    }
    if text
        .chars()
        .any(|c| c.is_control() || c.is_whitespace() || c == '\\')
    {
        return Err(invalid(
            "it has white space, control characters or backslashes",
        ));
    }
    let (scheme, rest) = text
        .split_once(':')
        .ok_or_else(|| invalid("it must start with http:// or https://"))?;
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return Err(OutboundError::SchemeNotAllowed {
            scheme: shorten(scheme),
        });
    }
    let rest = rest
        .strip_prefix("//")
        .ok_or_else(|| invalid("it must start with http:// or https://"))?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.is_empty() {
        return Err(invalid("it has no host"));
    }
    if authority.contains('@') {
        return Err(OutboundError::CredentialsInUrl);
    }
    if authority.contains('%') {
        return Err(invalid("the host has percent escapes"));
    }
    let end_of_host = match authority.find(']') {
        Some(bracket) => bracket + 1,
        None => authority.find(':').unwrap_or(authority.len()),
    };
    Ok(authority[..end_of_host].to_lowercase())
}

fn invalid(reason: &'static str) -> OutboundError {
    OutboundError::InvalidUrl { reason }
}
