//! What a client may reach, and how much it may move.

use std::collections::BTreeSet;
use std::time::Duration;

/// Ports that [`Policy::public`] allows: the two of HTTP and their usual alternatives. The list is
/// short on purpose. An HTTP request can be made to read as a command to a mail server, a cache or a
/// database, and a tenant must not be able to aim such a request at anybody from our addresses.
const PUBLIC_PORTS: [u16; 4] = [80, 443, 8080, 8443];

/// Limits in time and size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Resolving the name, opening the connection and the TLS handshake. Default 5 s.
    pub connect: Duration,
    /// The longest silence inside a response body. Default 10 s.
    pub read: Duration,
    /// The whole call, from the URL check to the last byte of the body. Default 30 s.
    pub total: Duration,
    /// Bytes of request body. Default 1 MiB.
    pub request_bytes: usize,
    /// Bytes of response body. Default 4 MiB.
    pub response_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            read: Duration::from_secs(10),
            total: Duration::from_secs(30),
            request_bytes: 1 << 20,
            response_bytes: 4 << 20,
        }
    }
}

/// How far a client reaches.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reach {
    /// The public internet only.
    Public,
    /// The public internet, and the listed ports of this machine, addressed as `localhost`, `127.x.x.x`
    /// or `[::1]`. For local development and tests: on a server this reaches its own internals.
    PublicAndLoopback {
        /// Ports of this machine that may be called.
        ports: BTreeSet<u16>,
    },
}

/// What a [`Client`](crate::Client) may reach, and how much it may move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    pub(crate) reach: Reach,
    pub(crate) ports: BTreeSet<u16>,
    pub(crate) limits: Limits,
}

impl Policy {
    /// The public internet on ports 80, 443, 8080 and 8443, with default [`Limits`].
    #[must_use]
    pub fn public() -> Self {
        Self {
            reach: Reach::Public,
            ports: BTreeSet::from(PUBLIC_PORTS),
            limits: Limits::default(),
        }
    }

    /// Also allows these ports of the machine itself. For local development and tests only: check
    /// [`Policy::reach`] where a deployment starts.
    ///
    /// A public name that resolves to loopback stays refused, so a page on the internet cannot use a
    /// developer's client to reach that developer's machine.
    #[must_use]
    pub fn allow_loopback_ports(mut self, ports: impl IntoIterator<Item = u16>) -> Self {
        let mut allowed: BTreeSet<u16> = ports.into_iter().collect();
        if let Reach::PublicAndLoopback { ports } = self.reach {
            allowed.extend(ports);
        }
        self.reach = Reach::PublicAndLoopback { ports: allowed };
        self
    }

    /// Also allows these ports of public hosts.
    #[must_use]
    pub fn allow_public_ports(mut self, ports: impl IntoIterator<Item = u16>) -> Self {
        self.ports.extend(ports);
        self
    }

    /// Replaces the limits.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// How far this policy reaches.
    #[must_use]
    pub fn reach(&self) -> &Reach {
        &self.reach
    }

    /// The limits in force.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(crate) fn reaches_loopback(&self) -> bool {
        matches!(self.reach, Reach::PublicAndLoopback { .. })
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self::public()
    }
}
