//! A client of the Model Context Protocol over streamable HTTP, for servers that tenants name. It
//! lists tools and calls them; every address is reached through `outbound`.
//!
//! | question | answer | file |
//! |---|---|---|
//! | list tools, call one, end a session | [`Client`] | `client.rs` |
//! | where a server is, its credentials, times and sizes | [`Endpoint`], [`Timeouts`], [`Caps`] | `endpoint.rs` |
//! | what a tool is | [`ToolDescription`], [`ToolList`] | `tool.rs` |
//! | what a tool returns | [`CallResult`], [`Content`] | `result.rs` |
//! | what went wrong, and can it have had an effect | [`McpError`], [`ErrorKind`] | `error.rs` |
//! | what to authorize | [`Challenge`] | `challenge.rs` |
//! | what to keep from one call to the next | [`Session`] | `session.rs` |
//! | how a version is found | – | `connect.rs` |
//! | a request and its reply | – | `exchange.rs`, `stream.rs`, `sse.rs`, `message.rs` |
//! | an answer that is no result | – | `refusal.rs` |
//! | references and headers in schemas | [`ParameterHeader`] | `schema.rs` |
//!
//! # Versions
//!
//! 2026-07-28, which has neither handshake nor sessions, and those before it, which have both:
//! 2025-11-25, 2025-06-18, 2025-03-26 and 2024-11-05, the last only from servers that speak it over
//! streamable HTTP. Which one is found by asking, once for each [`Session`].
//!
//! # What a server cannot do
//!
//! - Lead a request elsewhere: redirects are errors.
//! - Keep a call: every operation has a time limit that no progress extends.
//! - Fill the memory: messages, streams, lists and schemas have limits in bytes and number.
//! - Ask for anything: of the requests that a server can make, a ping is answered and the others
//!   are refused.
//! - Hide text: what people and logs are shown of it is cleaned and cut. The text of a result is
//!   for a model, and passed on as it is.
//!
//! What a server says of its tools are claims. Annotations are hints, descriptions and results are
//! text of a stranger.

mod challenge;
mod client;
mod connect;
mod endpoint;
mod error;
mod exchange;
mod message;
mod refusal;
mod result;
mod schema;
mod session;
mod sse;
mod stream;
mod text;
mod tool;

pub use challenge::Challenge;
pub use client::{CallOptions, Client};
pub use endpoint::{Caps, Endpoint, Timeouts};
pub use error::{ErrorKind, McpError, RpcMethod};
pub use result::{CallResult, Content, ResourceBody};
pub use schema::ParameterHeader;
pub use session::{ProtocolVersion, ServerInfo, Session};
pub use tool::{Annotations, SkippedTool, ToolDescription, ToolList};
