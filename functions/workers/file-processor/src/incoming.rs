//! A file on its way from storage to its reader.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::mpsc::{Receiver, Sender, channel};

/// Pieces that wait for the reader. Storage that is ahead of it waits.
const WAITING: usize = 4;

/// What is sent: a piece, nothing at the end of the file, or why it ends before.
type Sent = io::Result<Vec<u8>>;

/// The end that gives the pieces.
pub(crate) struct Giver(Sender<Sent>);

/// The end that a reader reads from.
pub(crate) struct Incoming {
    pieces: Receiver<Sent>,
    piece: Vec<u8>,
    at: usize,
    ended: bool,
    taken: Arc<AtomicU64>,
}

/// A way for one file. The number is that of the bytes its reader has taken.
pub(crate) fn incoming() -> (Giver, Incoming, Arc<AtomicU64>) {
    let (sender, pieces) = channel(WAITING);
    let taken = Arc::new(AtomicU64::new(0));
    let incoming = Incoming {
        pieces,
        piece: Vec::new(),
        at: 0,
        ended: false,
        taken: Arc::clone(&taken),
    };
    (Giver(sender), incoming, taken)
}

impl Giver {
    /// Gives a piece. `false` once nobody reads.
    pub(crate) async fn give(&self, piece: Vec<u8>) -> bool {
        // An empty piece would be the end.
        piece.is_empty() || self.0.send(Ok(piece)).await.is_ok()
    }

    /// Says that this is all.
    pub(crate) async fn end(self) {
        let _ = self.0.send(Ok(Vec::new())).await;
    }

    /// Says that the rest does not come.
    pub(crate) async fn fail(self) {
        let _ = self.0.send(Err(io::ErrorKind::BrokenPipe.into())).await;
    }
}

impl Read for Incoming {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at == self.piece.len() && !self.ended {
            // Who goes away without a word has not given all.
            let sent = self.pieces.blocking_recv();
            self.piece = sent.unwrap_or_else(|| Err(io::ErrorKind::BrokenPipe.into()))?;
            self.at = 0;
            self.ended = self.piece.is_empty();
        }
        let rest = &self.piece[self.at..];
        let taken = rest.len().min(buffer.len());
        buffer[..taken].copy_from_slice(&rest[..taken]);
        self.at += taken;
        self.taken.fetch_add(taken as u64, Ordering::Relaxed);
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(incoming: Incoming) -> io::Result<Vec<u8>> {
        let reading = move |mut incoming: Incoming| {
            let mut bytes = Vec::new();
            incoming.read_to_end(&mut bytes).map(|_| bytes)
        };
        tokio::task::spawn_blocking(move || reading(incoming))
            .await
            .expect("no panic")
    }

    #[tokio::test]
    async fn a_file_comes_whole_or_not_at_all() {
        let (giver, incoming, taken) = incoming();
        let giving = async {
            for piece in ["a piece, ", "", "and another"] {
                assert!(giver.give(piece.into()).await);
            }
            giver.end().await;
        };
        let ((), bytes) = tokio::join!(giving, read(incoming));
        assert_eq!(bytes.expect("all of it"), b"a piece, and another");
        assert_eq!(taken.load(Ordering::Relaxed), 20);

        let (giver, incoming, _) = self::incoming();
        let failing = async {
            giver.give(b"half".to_vec()).await;
            giver.fail().await;
        };
        let ((), bytes) = tokio::join!(failing, read(incoming));
        assert!(bytes.is_err());

        let (giver, incoming, _) = self::incoming();
        drop(giver);
        assert!(read(incoming).await.is_err());
    }

    #[tokio::test]
    async fn nobody_gives_to_a_reader_that_is_gone() {
        let (giver, incoming, _) = incoming();
        drop(incoming);
        assert!(!giver.give(b"piece".to_vec()).await);
    }
}
