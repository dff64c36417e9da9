//! Reads a file where it can do no harm.
//!
//! A thread stops a panic and a slow parser. Only a process stops the rest: a stack that overflows,
//! memory that runs out, a parser that must be killed.

mod child;
mod thread;
mod told;

use std::io::Read;
use std::ops::ControlFlow;
use std::path::PathBuf;

use crate::document::{About, Document, Section};
use crate::extract::{Sink, extract_from};
use crate::format::Format;
use crate::input::Input;
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

/// Finds out what kind of file `source` gives and takes the text out, shielded from the caller.
/// Each section is handed to `take` as it is done. A file of a format that is read as it comes is
/// never held whole, by nobody; one that fails has handed on a part of its text by then.
///
/// Blocks for at most [`Limits::wall_clock`], a few seconds, and the time that `take` needs. When
/// `take` breaks off, the rest of the file is not read.
///
/// # Errors
///
/// Any [`Rejection`]. All but `reader_unavailable` are a verdict on the file and final; that one is
/// also the answer when `source` fails, and when `take` broke off.
pub fn read(
    source: impl Read + Send + 'static,
    file_name: &str,
    limits: &Limits,
    isolation: &Isolation,
    take: &mut dyn FnMut(Section) -> ControlFlow<()>,
) -> Result<About, Rejection> {
    match isolation {
        Isolation::Thread => thread::run(source, file_name.to_owned(), limits.clone(), take),
        Isolation::Process { program, arguments } => {
            child::run(source, file_name, limits, program, arguments, take)
        }
    }
}

/// As [`read`], of a file that is there whole, into a document that is there whole.
///
/// # Errors
///
/// As [`read`].
pub fn process(
    bytes: Vec<u8>,
    file_name: &str,
    limits: &Limits,
    isolation: &Isolation,
) -> Result<Document, Rejection> {
    let mut sections = Vec::new();
    let source = std::io::Cursor::new(bytes);
    let about = read(source, file_name, limits, isolation, &mut |section| {
        sections.push(section);
        ControlFlow::Continue(())
    })?;
    Ok(Document { about, sections })
}

fn read_here(
    source: impl Read + 'static,
    file_name: &str,
    limits: &Limits,
    sink: &mut Sink<'_>,
) -> Result<About, Rejection> {
    let mut input = Input::open(source)?;
    let format = Format::of_input(&mut input, file_name, limits)?;
    extract_from(input, format, file_name, limits, sink)
}
