//! The bytes of a file, as they come.

use std::io::{ErrorKind, Read};

use crate::rejection::{Measure, Rejection};

/// What a file is, is decided on so much of it. A file that is no larger is judged whole.
const HEAD_BYTES: usize = 1024 * 1024;

/// A file of which the beginning is there.
pub(crate) struct Input {
    head: Vec<u8>,
    rest: Box<dyn Read>,
    ended: bool,
    taken: u64,
}

impl Input {
    pub(crate) fn open(source: impl Read + 'static) -> Result<Self, Rejection> {
        let mut input = Self {
            head: Vec::new(),
            rest: Box::new(source),
            ended: false,
            taken: 0,
        };
        let mut head = Vec::new();
        input.fill(&mut head, HEAD_BYTES)?;
        input.head = head;
        Ok(input)
    }

    /// The beginning, until it is taken by [`next`](Self::next).
    pub(crate) fn head(&self) -> &[u8] {
        &self.head
    }

    /// Whether the beginning is all there is.
    pub(crate) fn is_whole(&self) -> bool {
        self.ended
    }

    /// All of it, if that is no more than `limit`.
    pub(crate) fn whole(&mut self, limit: u64) -> Result<&[u8], Rejection> {
        if !self.ended {
            let missing = limit
                .saturating_add(1)
                .saturating_sub(self.head.len() as u64);
            let mut head = std::mem::take(&mut self.head);
            let outcome = self.fill(&mut head, usize::try_from(missing).unwrap_or(usize::MAX));
            self.head = head;
            outcome?;
        }
        check_size(self.head.len() as u64, limit)?;
        Ok(&self.head)
    }

    /// The next so many bytes or fewer, the beginning first and in one piece; nothing at the end.
    pub(crate) fn next(&mut self, most: usize, limit: u64) -> Result<Vec<u8>, Rejection> {
        let piece = if self.head.is_empty() {
            let mut piece = Vec::new();
            self.fill(&mut piece, most)?;
            piece
        } else {
            std::mem::take(&mut self.head)
        };
        self.taken += piece.len() as u64;
        check_size(self.taken, limit)?;
        Ok(piece)
    }

    fn fill(&mut self, buffer: &mut Vec<u8>, bytes: usize) -> Result<(), Rejection> {
        if self.ended {
            return Ok(());
        }
        let mut part = self.rest.by_ref().take(bytes as u64);
        match part.read_to_end(buffer) {
            // What follows is asked for: a file may end with the piece.
            Ok(read) if read < bytes => self.ended = true,
            Ok(_) => {}
            Err(error) => return Err(unreadable(&error)),
        }
        Ok(())
    }
}

fn check_size(bytes: u64, limit: u64) -> Result<(), Rejection> {
    if bytes > limit {
        return Err(Rejection::TooLarge {
            measure: Measure::File,
            limit,
        });
    }
    Ok(())
}

/// The file did not come to its end, which says nothing of it.
fn unreadable(error: &std::io::Error) -> Rejection {
    let detail = match error.kind() {
        ErrorKind::OutOfMemory => return Rejection::ParserPanicked,
        kind => format!("the file did not come: {kind}"),
    };
    Rejection::ReaderUnavailable { detail }
}
