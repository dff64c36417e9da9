//! The nouns of the product and their rules: what may be, and what may follow what.
//!
//! A type here is what the product talks about; how it is stored is `store`'s business and how it
//! travels is `api`'s. The serde form of an entity is nevertheless one shape for both: golden
//! tests in `store` pin it, so that renaming a field is a visible decision.

pub mod agent;
pub mod api_key;
pub mod approval;
pub mod audit;
pub mod budget;
pub mod conversation;
pub mod credential;
pub mod event;
pub mod execution;
pub mod file;
pub mod knowledge;
pub mod memory;
pub mod org;
pub mod permission;
pub mod price;
pub mod search;
pub mod source;
pub mod swarm;
pub mod task;
pub mod tool;
pub mod user;
pub mod viewer;
