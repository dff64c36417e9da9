//! Files made to harm the reader. Each ends as a definite rejection or as clean text.
//!
//! Those that a thread survives are read in both kinds of isolation; those that only a process
//! survives say so.

mod archives;
mod mail_files;
mod neighbours;
mod office_files;
mod pdf_files;
#[path = "../support/reader.rs"]
mod reader;
#[path = "../support/mod.rs"]
mod support;
mod text_files;
mod word_files;

use std::time::Duration;

use documents::{Document, Isolation, Limits, Rejection, process};

use reader::a_process;

const MIB: u64 = 1024 * 1024;

fn limits() -> Limits {
    Limits {
        inflated_bytes: 32 * MIB,
        text_bytes: 4 * MIB,
        streamed_text_bytes: 4 * MIB,
        wall_clock: Duration::from_secs(30),
        ..Limits::default()
    }
}

/// The same outcome on a thread and in a process.
fn read_with(bytes: &[u8], name: &str, limits: &Limits) -> Result<Document, Rejection> {
    let on_thread = process(bytes.to_vec(), name, limits, &Isolation::Thread);
    let in_process = process(bytes.to_vec(), name, limits, &a_process());
    assert_eq!(on_thread, in_process);
    on_thread
}

fn read(bytes: &[u8], name: &str) -> Result<Document, Rejection> {
    read_with(bytes, name, &limits())
}

fn code(bytes: &[u8], name: &str) -> &'static str {
    match read(bytes, name) {
        Ok(document) => panic!("{name} was read: {document:?}"),
        Err(rejection) => rejection.code(),
    }
}

fn text(bytes: &[u8], name: &str) -> String {
    match read(bytes, name) {
        Ok(document) => document.text(),
        Err(rejection) => panic!("{name}: {rejection}"),
    }
}
