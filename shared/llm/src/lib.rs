//! The model layer: one protocol for every language model, and a built-in model that is none.
//!
//! | module | holds |
//! |---|---|
//! | [`chat`], [`reply`] | requests, messages and tool calls; deltas, usage and stop reasons: the shapes that the trace stores |
//! | [`model`] | [`ChatModel`], [`ModelId`], and the assembly of a streamed reply |
//! | [`error`] | [`ModelError`]: typed, safe to show, and sure about what may be repeated |
//! | [`config`] | [`ModelConfig`] from the environment, and [`build`] |
//! | `openai`, `anthropic`, `gemini`, `mistral`, `bedrock` | the five wire formats; `completions` is what the first and the fourth share |
//! | `embeddings` | providers' embedding models, for [`embedders_from_env`] |
//! | `structured` | replies that are one JSON document: asked for, and checked |
//! | [`router`], [`failover`], [`retry`] | which provider a request means, who answers in its place, and when it is asked again |
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
//! objects. Five formats, each a page to write and a page to read, are a smaller promise to
//! keep than work around those.
//!
//! # What a caller can rely on
//!
//! - A client of a provider sends what it is given once. [`Retry`] sends it again and
//!   [`Failover`] and [`Router`] send it elsewhere only before the first piece of a reply, and,
//!   unless [`RetryPolicy::repeat_unknown`] allows more, only when the provider certainly did not
//!   work on it. [`ModelError::is_retry_safe`] says whether a caller may do more,
//!   [`ModelError::may_have_been_billed`] what to keep reserved.
//! - A stream begins with [`Delta::Started`], which names who answers, for price and trace.
//!   [`ChatModel::candidates`] names who may, and [`ChatRequest::input_tokens_at_most`] with
//!   [`ChatRequest::max_output_tokens`] bounds what it costs, before the call is made.
//! - A request with [`ChatRequest::response_format`] gets a document that follows the schema, or
//!   [`ModelError::SchemaMismatch`].
//! - A stream ends with [`Delta::Finished`] or with one error. A connection that closes early,
//!   however politely, is [`ModelError::ConnectionLost`].
//! - Tool calls come as the model wrote them. Arguments that are not a JSON object are kept as
//!   text ([`Arguments::Malformed`]); names may be invented; the caller checks both.
//! - No key appears in an error, in debug output or in a log line. Redirects are not followed.

mod anthropic;
mod bedrock;
pub mod chat;
mod completions;
pub mod config;
mod embeddings;
pub mod error;
pub mod failover;
mod fault;
mod gemini;
mod http;
mod mistral;
pub mod model;
pub mod offline;
mod openai;
pub mod reply;
pub mod retry;
pub mod router;
pub mod scripted;
mod sse;
mod stream;
mod structured;

pub use bedrock::BedrockCredentials;
pub use chat::{Arguments, ChatRequest, JsonSchema, Message, OpaquePart, ToolCall, ToolSpec};
pub use config::{ConfigError, ModelConfig, Provider, build, embedders_from_env};
pub use error::ModelError;
pub use failover::Failover;
pub use http::Timeouts;
pub use model::{Assembly, ChatModel, DeltaStream, ModelId, collect};
pub use offline::Offline;
pub use reply::{ChatResponse, Delta, PassedOver, StopReason, Usage};
pub use retry::{Retry, RetryPolicy};
pub use router::Router;
