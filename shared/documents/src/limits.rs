//! How much of the machine one file may use.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::rejection::Rejection;

/// The bounds within which one file is read. A file that passes one of them is rejected.
///
/// Defaults are meant for a function with 2 GiB of memory. Formats that are read as they come
/// (plain text, CSV, Markdown, source code) take a few megabytes, however long the file is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Size of a file of a format that is read whole, in bytes. Default 50 MiB.
    pub input_bytes: u64,
    /// Size of a file of a format that is read as it comes, in bytes. Default 256 MiB.
    pub streamed_bytes: u64,
    /// Sum of everything in the file that is compressed, in bytes after inflating. It is counted
    /// while inflating; what the file declares is not believed. Default 256 MiB.
    pub inflated_bytes: u64,
    /// Text taken out of a file that is read whole, in bytes of UTF-8, headings included. Default
    /// 16 MiB.
    pub text_bytes: u64,
    /// Text taken out of a file that is read as it comes. Default 512 MiB.
    pub streamed_text_bytes: u64,
    /// Pages of a PDF, slides of a presentation, sheets of a workbook. Default 2,000.
    pub pages: u32,
    /// Levels of nesting of XML elements and of JSON values. Default 256.
    pub nesting: u32,
    /// Entries of a ZIP archive, which is what an Office file is. Default 10,000.
    pub archive_entries: u32,
    /// Time from the first byte to the last, without that in which whoever takes the text is busy.
    /// Default 60 seconds.
    pub wall_clock: Duration,
    /// Stack of the thread that reads, in bytes. Pages of it are only used when touched.
    /// Default 64 MiB.
    pub stack_bytes: u64,
    /// Address space of the process that reads, in bytes, under
    /// [`Isolation::Process`](crate::Isolation::Process) on Linux. Default 2 GiB.
    pub memory_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        const MIB: u64 = 1024 * 1024;
        Self {
            input_bytes: 50 * MIB,
            streamed_bytes: 256 * MIB,
            inflated_bytes: 256 * MIB,
            text_bytes: 16 * MIB,
            streamed_text_bytes: 512 * MIB,
            pages: 2_000,
            nesting: 256,
            archive_entries: 10_000,
            wall_clock: Duration::from_secs(60),
            stack_bytes: 64 * MIB,
            memory_bytes: 2_048 * MIB,
        }
    }
}

impl Limits {
    /// The most text that is taken out of any file.
    pub(crate) fn most_text_bytes(&self) -> u64 {
        self.text_bytes.max(self.streamed_text_bytes)
    }
}

/// The moment after which reading gives up by itself, at the next step between two parser calls.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline {
    at: Instant,
    allowed: Duration,
}

impl Deadline {
    pub(crate) fn of(limits: &Limits) -> Self {
        Self {
            at: Instant::now() + limits.wall_clock,
            allowed: limits.wall_clock,
        }
    }

    pub(crate) fn check(&self) -> Result<(), Rejection> {
        if Instant::now() >= self.at {
            return Err(Rejection::timed_out(self.allowed));
        }
        Ok(())
    }

    /// Gives back time in which nothing was read.
    pub(crate) fn put_off(&mut self, by: Duration) {
        self.at += by;
    }
}
