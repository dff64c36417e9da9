//! From an upload to passages that can be found, and back to nothing.
//!
//! | job | what it does | file |
//! |---|---|---|
//! | `file.process` | reads a file, keeps its text, chunks and preview, has them indexed | `process.rs` |
//! | `document.index` | embeds the chunks into one knowledge base | `index.rs`, `fill.rs` |
//! | `knowledge_base.reembed` | gives a knowledge base vectors of another model | `reembed.rs` |
//! | `document.unindex` | removes the chunks of a document that was taken out | `unindex.rs` |
//! | `file.expire` | gives up an upload that nobody confirmed | `expire.rs` |
//! | `file.purge` | removes what a deleted file has left behind, once it cannot be restored | `purge.rs` |
//!
//! A file flows: from storage through the reader's process into parts of text and chunks, and back
//! into storage, with a few of them in memory at any time.
//!
//! Every job may be delivered again, and taken over when its worker died: each looks first at what
//! stands, and says what it did in one commit under its fence. A file or document that changed
//! meanwhile ends the job without effect.
//!
//! A file that cannot be read is the file's failure and not the job's: the file ends as `failed`
//! with a reason for people, and the job is done. Trouble of ours is tried again, for so long as
//! `attempts.rs` says; then it becomes a failure that people see as well, so that nothing is
//! "processing" for ever.

mod attempts;
mod expire;
mod extracted;
mod fill;
mod incoming;
mod index;
mod parts;
mod process;
mod purge;
mod read;
mod reembed;
mod trouble;
mod unindex;

use std::sync::Arc;

use documents::{Isolation, Limits};
use domain::price::PriceMap;
use embedding::Embedders;
use kernel::env::process_environment;
use store::Store;
use work::Handler;

/// How often a change that meets others is tried.
const TRIES: u32 = 5;

/// How files are read.
#[derive(Debug, Clone)]
pub struct Reader {
    /// Where the parsers run.
    pub isolation: Isolation,
    /// How much of the machine one file may use.
    pub limits: Limits,
}

impl Reader {
    /// On threads of this process, with the limits of the platform: stops a parser that panics or
    /// is slow, and not one that overflows its stack.
    #[must_use]
    pub fn on_threads() -> Self {
        Self {
            isolation: Isolation::Thread,
            limits: Limits::default(),
        }
    }

    /// In processes of the program that is running, with the limits of the platform. Its `main`
    /// has to call [`documents::serve_if_child`] before anything else; in a program that does not,
    /// each file would start that program anew.
    ///
    /// # Errors
    /// When the system does not tell where that program is.
    pub fn of_this_program() -> std::io::Result<Self> {
        Ok(Self {
            isolation: Isolation::this_program()?,
            ..Self::on_threads()
        })
    }
}

/// What chunks are embedded with.
#[derive(Debug, Clone)]
pub struct Embedding {
    /// The models that knowledge bases may have.
    pub embedders: Embedders,
    /// What they cost.
    pub prices: Arc<PriceMap>,
}

/// The static model alone.
impl Default for Embedding {
    fn default() -> Self {
        Self {
            embedders: Embedders::default(),
            prices: Arc::new(PriceMap::built_in()),
        }
    }
}

impl Embedding {
    /// As the environment says.
    ///
    /// # Errors
    /// Names what is wrong with it.
    pub fn from_environment() -> Result<Self, lambda::Error> {
        Ok(Self {
            embedders: llm::embedders_from_env(&process_environment)?,
            prices: Arc::new(PriceMap::from_env(&process_environment)?),
        })
    }
}

/// Runs this worker on Lambda, or, in a process that it started for that, reads one file.
///
/// # Errors
/// An unusable environment, or a runtime that cannot go on.
pub async fn serve() -> Result<(), lambda::Error> {
    documents::serve_if_child();
    let reader = Reader::of_this_program()?;
    let embedding = Embedding::from_environment()?;
    lambda::worker(|store| Ok(handlers_with(store, reader, embedding))).await
}

/// The handlers of this worker, for a host that mounts them beside others. Files are read on
/// threads, and embedded with the static model.
#[must_use]
pub fn handlers(store: &Store) -> Vec<Arc<dyn Handler>> {
    handlers_with(store, Reader::on_threads(), Embedding::default())
}

/// The handlers of this worker.
#[must_use]
pub fn handlers_with(store: &Store, reader: Reader, embedding: Embedding) -> Vec<Arc<dyn Handler>> {
    vec![
        Arc::new(process::ProcessFile {
            store: store.clone(),
            reader,
        }),
        Arc::new(index::IndexDocument {
            store: store.clone(),
            embedding,
        }),
        Arc::new(reembed::ReembedKnowledgeBase {
            store: store.clone(),
        }),
        Arc::new(unindex::UnindexDocument {
            store: store.clone(),
        }),
        Arc::new(expire::ExpireUpload {
            store: store.clone(),
        }),
        Arc::new(purge::PurgeFile {
            store: store.clone(),
        }),
    ]
}
