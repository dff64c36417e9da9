//! What is in a file: its length and checksum, and its bytes as they are sent.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::ops::Range;
use std::path::Path;
use std::time::SystemTime;

use aws_lc_rs::digest::{Context, SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::file::MAX_FILE_BYTES;
use futures::TryStreamExt as _;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
use tokio_util::io::ReaderStream;

use super::report::Reason;

const BUFFER_BYTES: usize = 256 * 1024;

/// A content as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fingerprint {
    pub(super) bytes: u64,
    /// In base64, as uploads announce it.
    pub(super) sha256: String,
    modified: Option<SystemTime>,
}

impl Fingerprint {
    /// That of a file. Takes as long as reading it.
    ///
    /// # Errors
    /// Why nothing of it can be uploaded.
    pub(super) fn of(path: &Path) -> Result<Self, Reason> {
        let metadata = std::fs::metadata(path).map_err(Reason::unreadable)?;
        let bytes = metadata.len();
        if bytes == 0 {
            return Err(Reason::new("empty", "It has no bytes."));
        }
        if bytes > MAX_FILE_BYTES {
            let message = format!("It is larger than {} MiB.", MAX_FILE_BYTES / (1024 * 1024));
            return Err(Reason::new("too_large", message));
        }
        let sha256 = sha256_of(path, 0..bytes).map_err(Reason::unreadable)?;
        Ok(Self {
            bytes,
            sha256,
            modified: metadata.modified().ok(),
        })
    }

    /// Whether the file is not what it was.
    pub(super) fn is_outdated(&self, path: &Path) -> bool {
        std::fs::metadata(path).map_or(true, |now| {
            now.len() != self.bytes || now.modified().ok() != self.modified
        })
    }
}

/// The checksum of a range of a file, in base64.
///
/// # Errors
/// A file that cannot be read, or ends before the range does.
pub(super) fn sha256_of(path: &Path, range: Range<u64>) -> io::Result<String> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(range.start))?;
    let mut left = range.end - range.start;
    let mut content = file.take(left);
    let mut digest = Context::new(&SHA256);
    let mut buffer = vec![0; BUFFER_BYTES];
    while left > 0 {
        let read = content.read(&mut buffer)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        digest.update(&buffer[..read]);
        left -= read as u64;
    }
    Ok(STANDARD.encode(digest.finish()))
}

/// A range of a file as the body of a request, and how much of it was taken.
///
/// # Errors
/// A file that cannot be opened.
pub(super) async fn body(
    path: &Path,
    range: Range<u64>,
    taken: impl Fn(u64) + Send + Sync + 'static,
) -> io::Result<reqwest::Body> {
    let mut file = tokio::fs::File::open(path).await?;
    file.seek(SeekFrom::Start(range.start)).await?;
    let content = file.take(range.end - range.start);
    let pieces = ReaderStream::with_capacity(content, BUFFER_BYTES);
    let pieces = pieces.inspect_ok(move |piece| taken(piece.len() as u64));
    Ok(reqwest::Body::wrap_stream(pieces))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::sha256;

    #[test]
    fn a_fingerprint_is_of_what_is_there_now() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.md");
        let content: Vec<u8> = (0..600_000_u32).map(|n| n.to_le_bytes()[1]).collect();
        std::fs::write(&path, &content).expect("is written");
        let print = Fingerprint::of(&path).expect("a fingerprint");
        assert_eq!((print.bytes, &print.sha256), (600_000, &sha256(&content)));
        assert!(!print.is_outdated(&path));
        let part = sha256_of(&path, 300_000..600_000).expect("a part");
        assert_eq!(part, sha256(&content[300_000..]));
        assert!(sha256_of(&path, 300_000..600_001).is_err());
        std::fs::write(&path, &content[1..]).expect("is written");
        assert!(print.is_outdated(&path));
        std::fs::write(&path, b"").expect("is written");
        assert_eq!(Fingerprint::of(&path).unwrap_err().code, "empty");
        std::fs::remove_file(&path).expect("is removed");
        assert_eq!(Fingerprint::of(&path).unwrap_err().code, "unreadable");
        assert!(print.is_outdated(&path));
    }

    #[test]
    fn what_is_too_large_is_not_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("film.bin");
        let file = File::create(&path).expect("a file");
        // A hole of that length takes no room.
        file.set_len(MAX_FILE_BYTES + 1).expect("a length");
        assert_eq!(Fingerprint::of(&path).unwrap_err().code, "too_large");
    }
}
