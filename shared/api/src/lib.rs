//! The HTTP layer that every function of the API shares.
//!
//! A handler reads: extract, validate, authorise, act, respond. This crate has the extractors for
//! the first three and the answers for the last:
//!
//! | need | use |
//! |---|---|
//! | one resource, by the caller's org and permission | [`Owned<Agent, Write>`](Owned) |
//! | a collection, by the caller's permission | [`Granted<Agent, Read>`](Granted) |
//! | a person, whatever their orgs | [`Person`] |
//! | a body, strict and validated | [`Json`] |
//! | a page of a list | [`Paging`], [`Listing`] |
//! | "only if unchanged" | [`IfMatch`], [`Versioned`] |
//! | an answer with a secret in it | [`shown_once`] |
//! | an answer that streams | [`stream::events`], [`streamed`] after a POST |
//! | any error | [`Problem`] |
//!
//! [`service`] wraps a function's routes with what all of them need: request ids, limits, problem
//! documents for whatever goes wrong, `Idempotency-Key`, logs and metrics.

mod app;
mod approvals;
mod body;
mod cache;
mod caller;
mod etag;
mod idempotency;
pub mod openapi;
mod paging;
mod policy;
mod problem;
mod query;
mod request;
mod resource;
mod resources;
mod routes;
mod service;
pub mod stream;
mod strict;
pub mod text;
mod turns;

pub use app::{ApiConfig, App};
pub use body::{Json, MAX_BODY_BYTES, nullable};
pub use caller::{Caller, Person, Principal};
pub use etag::{IfMatch, Versioned, created};
pub use idempotency::{shown_once, streamed};
pub use openapi::Problems;
pub use paging::{Listing, MAX_CURSOR_CHARS, PageQuery, Paging, limit_in_range};
pub use policy::ApprovalPolicyBody;
pub use problem::{FieldProblem, Problem};
pub use query::Query;
pub use request::RequestContext;
pub use resource::{Granted, Owned, Read, Resource, Write};
pub use resources::{
    AgentAccount, DeletedFile, ExecutionAccount, FileContent, Membership, SwarmWork,
};
pub use routes::{Documentation, Line, Routes, Table, macros};
pub use service::{service, service_of};
