//! Reads a file where it can do no harm.
//!
//! A thread stops a panic and a slow parser. Only a process stops the rest: a stack that overflows,
//! memory that runs out, a parser that must be killed.

mod child;
mod thread;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::document::Document;
use crate::extract::{check_size, extract};
use crate::format::Format;
use crate::limits::Limits;
use crate::rejection::Rejection;

pub use child::serve_if_child;
pub use thread::abandoned_readers;

/// Where the parser runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Isolation {
    /// On a thread of its own, with the stack of [`Limits::stack_bytes`].
    ///
    /// A panic ends as `parser_panicked`. After [`Limits::wall_clock`] the thread is abandoned: it
    /// goes on until it ends by itself, with its memory, and [`abandoned_readers`] counts it. A
    /// host that sees the count stay above zero should end and be started again. A stack overflow
    /// ends the host.
    Thread,
    /// In a process of its own, for one file, on a thread there. It gets the file, and no
    /// environment variables or open files of the host. It is killed when time is over, and on
    /// Linux cannot pass [`Limits::memory_bytes`]. However it dies, the host sees
    /// `parser_panicked`.
    Process {
        /// A program whose `main` calls [`serve_if_child`] before anything else.
        program: PathBuf,
        /// Its arguments, before that call looks at them.
        arguments: Vec<String>,
    },
}

impl Isolation {
    /// A process of the program that is running, whose `main` calls [`serve_if_child`].
    ///
    /// # Errors
    ///
    /// When the system does not tell where that program is.
    pub fn this_program() -> std::io::Result<Self> {
        // The link leads to the program that runs, also when its file was replaced since.
        let program = if cfg!(target_os = "linux") {
            PathBuf::from("/proc/self/exe")
        } else {
            std::env::current_exe()?
        };
        Ok(Self::Process {
            program,
            arguments: Vec::new(),
        })
    }
}

/// What [`process`] made of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Processed {
    /// What kind of file it turned out to be.
    pub format: Format,
    /// Its text.
    pub document: Document,
}

/// Finds out what kind of file `bytes` are and takes the text out, shielded from the caller.
///
/// Blocks for at most [`Limits::wall_clock`] and a few seconds.
///
/// # Errors
///
/// Any [`Rejection`]. All but `reader_unavailable` are a verdict on the file and final.
pub fn process(
    bytes: Vec<u8>,
    file_name: &str,
    limits: &Limits,
    isolation: &Isolation,
) -> Result<Processed, Rejection> {
    // Before anything is copied or started.
    check_size(&bytes, limits)?;
    match isolation {
        Isolation::Thread => thread::run(bytes, file_name.to_owned(), limits.clone()),
        Isolation::Process { program, arguments } => {
            child::run(&bytes, file_name, limits, program, arguments)
        }
    }
}

fn read(bytes: &[u8], file_name: &str, limits: &Limits) -> Result<Processed, Rejection> {
    let format = Format::detect(bytes, file_name)?;
    let document = extract(bytes, format, limits)?;
    Ok(Processed { format, document })
}
