//! Text out of the files that people upload, for search and for citation.
//!
//! | step | function | file |
//! |---|---|---|
//! | what kind of file is it | [`Format::detect`] | `format.rs` |
//! | text with its page or headings | [`extract`] | `extract.rs`, one parser per format below it |
//! | a smaller picture of a picture | [`extract`] | `picture.rs` |
//! | pieces that fit an embedding model | [`Chunker`], or [`chunk()`] of a whole document | `chunk.rs` |
//! | the first two, shielded from the caller | [`process`], or [`read`] as the file comes | `isolate.rs` |
//!
//! Every file is taken to be hostile. What a parser would trust (a declared size, a depth, a page
//! count) is measured first against [`Limits`], and a file that is refused ends as a
//! [`Rejection`]: a stable code and a sentence for the person who uploaded it.
//!
//! All functions are synchronous and use the processor for as long as they run: an async caller
//! gives them a blocking thread. Use [`process`] or [`read`] for files from outside. [`extract`] alone stops
//! neither a panic nor a stack overflow in a parser.

mod chunk;
mod document;
mod extract;
mod format;
mod input;
mod isolate;
mod limits;
mod picture;
mod rejection;

pub use chunk::{Chunk, ChunkOptions, Chunker, chunk};
pub use document::{About, Document, Heading, Section};
pub use extract::extract;
pub use format::Format;
pub use isolate::{Isolation, abandoned_readers, process, read, serve_if_child};
pub use limits::Limits;
pub use picture::Picture;
pub use rejection::{Measure, Rejection};
