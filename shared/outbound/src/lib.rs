//! The HTTP client for addresses that a tenant names: `http` tools, webhooks, remote MCP servers,
//! crawled pages. Nothing else in the product may be pointed at such an address.
//!
//! | question | answer | file |
//! |---|---|---|
//! | which URLs, ports and sizes are allowed | [`Policy`], [`Limits`], [`Reach`] | `policy.rs` |
//! | is this text a URL that may be called | [`Policy::check_url`] gives a [`Target`] | `target.rs` |
//! | is this IP address on the public internet | [`is_public`], [`address_class`] | `address.rs` |
//! | which headers may a caller set | [`Request::header`] | `headers.rs` |
//! | what does a host name resolve to | [`Lookup`], [`SystemLookup`] | `resolver.rs` |
//! | make the call | [`Client::send`] gives a [`Response`] | `client.rs` |
//! | what went wrong | [`OutboundError`] | `error.rs` |
//!
//! # What is enforced, and where
//!
//! 1. Every request has its URL checked: scheme, port, credentials, spelling of the host. An IP
//!    literal is judged here, because a connector never resolves a literal.
//! 2. Every other host is resolved once per connection by a filtering resolver. If any address in
//!    the answer is not public the whole answer is refused; otherwise the connection goes to one of
//!    exactly those addresses. A second answer, as in DNS rebinding, is never asked for.
//! 3. A connection serves one request, so the check in step 2 is never older than the request.
//! 4. Redirects are returned to the caller, not followed. Proxies in the environment are ignored.
//! 5. Connecting, silence between bytes and the whole exchange have limits in time; request and
//!    response bodies have limits in bytes. Responses are never decompressed: a compressed one is
//!    an error, so that the bytes counted are the bytes delivered.

mod address;
mod client;
mod error;
mod headers;
mod policy;
mod resolver;
mod target;

pub use address::{AddressClass, address_class, is_public};
pub use client::{BuildError, Client, Reply, Request, Response};
pub use error::{OutboundError, Phase};
pub use http::{HeaderMap, Method, StatusCode};
pub use policy::{Limits, Policy, Reach};
pub use resolver::{Lookup, SystemLookup};
pub use target::Target;
