//! The model layer: one protocol for every language model, and a built-in model that is none.
//!
//! | module | holds |
//! |---|---|
//! | [`chat`], [`reply`] | requests, messages and tool calls; deltas, usage and stop reasons: the shapes that the trace stores |
//! | [`model`] | [`ChatModel`], [`ModelId`], and the assembly of a streamed reply |
//! | [`error`] | [`ModelError`]: typed, safe to show, and sure about what may be repeated |
//! | [`config`] | [`ModelConfig`] from the environment, and [`build`] |
//! | `openai`, `anthropic`, `bedrock` | the three wire formats |
//! | [`offline`] | the model that needs no key and no network |
//! | [`scripted`] | the model for tests and benchmarks |
//!
//! # Why the wire formats are spoken here
//!
//! A client library for many providers was read and weighed (`genai` 0.7), and it does a great
//! deal more than is needed here. What decided against it is what an execution must be able to
//! trust: a reply that ends without its end marker has to be an error rather than the end of the
//! stream; a refusal must not look like a filter, nor be dropped; the size of a frame and of a
//! reply must be bounded, since a provider may be anybody's server; replies must never be logged;
//! a model's name must reach its server as it was written, also when it ends in `-high`; and
//! the choice of a model client must not change how the whole workspace orders the keys of JSON
//! objects. Three formats, each a page to write and a page to read, are a smaller promise to
//! keep than work around those.
//!
//! # What a caller can rely on
//!
//! - Nothing is retried here, and nothing is sent twice. [`ModelError::is_retry_safe`] says
//!   whether a caller may, [`ModelError::may_have_been_billed`] what to keep reserved.
//! - A stream ends with [`Delta::Finished`] or with one error. A connection that closes early,
//!   however politely, is [`ModelError::ConnectionLost`].
//! - Tool calls come as the model wrote them. Arguments that are not a JSON object are kept as
//!   text ([`Arguments::Malformed`]); names may be invented; the caller checks both.
//! - No key appears in an error, in debug output or in a log line. Redirects are not followed.

mod anthropic;
mod bedrock;
pub mod chat;
pub mod config;
pub mod error;
mod fault;
mod http;
pub mod model;
pub mod offline;
mod openai;
pub mod reply;
pub mod scripted;
mod sse;
mod stream;

pub use bedrock::BedrockCredentials;
pub use chat::{Arguments, ChatRequest, JsonSchema, Message, OpaquePart, ToolCall, ToolSpec};
pub use config::{ConfigError, ModelConfig, Provider, build};
pub use error::ModelError;
pub use http::Timeouts;
pub use model::{Assembly, ChatModel, DeltaStream, ModelId, collect};
pub use offline::Offline;
pub use reply::{ChatResponse, Delta, StopReason, Usage};
