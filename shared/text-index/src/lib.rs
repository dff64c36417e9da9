//! Text search: one index for each org, of documents, chunks, agents, tasks, runs and messages.
//!
//! | module | holds |
//! |---|---|
//! | [`item`] | what is found |
//! | [`query`] | what is asked and answered; [`Scope`], without which nothing is |
//! | `read` | [`TextIndex`]: questions |
//! | `write` | [`Updater`], the job that keeps an index in step with the tables |
//! | `items` | what stands in the tables, as items; one implementation for each kind |
//! | `schema`, `analysis` | the fields, and how texts become terms |
//! | `files`, `bundles` | the search library's files: local copies of objects in S3 |
//!
//! An index is a set of immutable objects and one row that names them, the head, in the store. The
//! writer of an org is one job and replaces the head under its fence; readers read the head with
//! every question.

mod analysis;
mod bundles;
mod files;
pub mod item;
mod items;
pub mod query;
mod read;
mod schema;
mod suggest;
#[cfg(test)]
mod tests;
mod write;

pub use item::{Item, ItemKind, Span};
pub use query::{
    Correction, Facet, FacetCounts, Filter, Found, Highlight, HighlightedField, Hit, Matching,
    Period, Position, Query, Scope, Sort, Suggestion, plain_text, query_of,
};
pub use read::{ChunkPlace, Error, TextIndex, check_length};
pub use write::updater::Updater;
