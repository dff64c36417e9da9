//! Looks through a PDF before the parser does.
//!
//! The parser calls itself for every level of nesting, and inflates whatever a page refers to. So
//! the nesting is measured and everything compressed is inflated once, counted, in one pass over
//! the file that calls nothing recursively. What is inflated is found by content and not by the
//! dictionary in front of it, which can be made to lie.
//!
//! Encrypted streams, and streams that do not start out as deflate data, stay unseen. They are why
//! files from outside are read in a process of their own.

use std::io::Read;

use flate2::read::{DeflateDecoder, ZlibDecoder};
use memchr::memmem;

use crate::limits::{Deadline, Limits};
use crate::rejection::Rejection;

/// Deepest nesting of arrays and dictionaries. Producers stay below thirty; font programs, which
/// are random bytes to this scan, look like a few hundred.
const MAX_NESTING: u32 = 1_000;
/// Deflate data within deflate data is followed this far.
const MAX_LAYERS: usize = 4;
/// How far before a stream its dictionary is searched for.
const DICTIONARY_BYTES: usize = 4 * 1024;

/// Rejects what would overflow the stack or the memory of a parser.
pub(super) fn inspect(bytes: &[u8], limits: &Limits, deadline: Deadline) -> Result<(), Rejection> {
    let mut budget = Budget {
        left: limits.inflated_bytes,
        limit: limits.inflated_bytes,
        deadline,
    };
    let mut outside = Nesting::default();
    let mut position = 0;
    let endstream = memmem::Finder::new(b"endstream");
    for keyword in memmem::find_iter(bytes, b"stream") {
        if keyword < position || bytes[..keyword].ends_with(b"end") {
            continue;
        }
        let data = match &bytes[keyword + b"stream".len()..] {
            [b'\r', b'\n', data @ ..] | [b'\r' | b'\n', data @ ..] => data,
            _ => continue,
        };
        outside.scan(&bytes[position..keyword])?;
        let dictionary = &bytes[position.max(keyword.saturating_sub(DICTIONARY_BYTES))..keyword];
        if !is_image(dictionary) {
            inflate(data, &mut budget)?;
        }
        let start = bytes.len() - data.len();
        position = match endstream.find(data) {
            Some(end) => start + end,
            None => bytes.len(),
        };
        deadline.check()?;
    }
    outside.scan(&bytes[position.min(bytes.len())..])
}

/// Whether the stream after this dictionary holds samples of a picture. They are not inflated by
/// the parser, and a page scanned at 600 dots per inch is honestly a hundred megabytes.
fn is_image(before_stream: &[u8]) -> bool {
    let dictionary = match memmem::rfind(before_stream, b"obj") {
        Some(start) => &before_stream[start..],
        None => before_stream,
    };
    memmem::find(dictionary, b"/Image").is_some() && memmem::find(dictionary, b"/Width").is_some()
}

struct Budget {
    left: u64,
    limit: u64,
    deadline: Deadline,
}

/// Inflates what `data` starts with, in whichever form it is, to its own end: the end that the
/// file declares is not believed. What comes out and looks like deflate data is inflated again.
fn inflate(data: &[u8], budget: &mut Budget) -> Result<(), Rejection> {
    for layers in 1..=MAX_LAYERS {
        let mut reader: Box<dyn Read + '_> = if starts_zlib(data) {
            Box::new(ZlibDecoder::new(data))
        } else {
            Box::new(DeflateDecoder::new(data))
        };
        for _ in 1..layers {
            reader = Box::new(ZlibDecoder::new(reader));
        }
        let starts_another = count(reader, budget)?;
        if !starts_another {
            break;
        }
    }
    Ok(())
}

/// Reads to the end within the budget. Returns whether the data starts like deflate data.
fn count(mut reader: impl Read, budget: &mut Budget) -> Result<bool, Rejection> {
    let mut nesting = Nesting::default();
    let mut head = Vec::with_capacity(2);
    let mut buffer = vec![0u8; 32 * 1024];
    // Damaged data ends early, here as in the parser, which keeps what came before.
    while let Ok(read @ 1..) = reader.read(&mut buffer) {
        let piece = &buffer[..read];
        head.extend(piece.iter().take(2 - head.len()));
        nesting.scan(piece)?;
        budget.left =
            budget
                .left
                .checked_sub(read as u64)
                .ok_or_else(|| Rejection::DecompressionBomb {
                    detail: format!("more than {} bytes", budget.limit),
                })?;
        budget.deadline.check()?;
    }
    Ok(starts_zlib(&head))
}

fn starts_zlib(data: &[u8]) -> bool {
    match data {
        [method, flags, ..] => {
            method & 0x0F == 8
                && method >> 4 <= 7
                && (u16::from(*method) << 8 | u16::from(*flags)).is_multiple_of(31)
        }
        _ => false,
    }
}

/// Follows the brackets of PDF syntax. Fed piece by piece.
#[derive(Default)]
struct Nesting {
    depth: u32,
    /// Open parentheses of the string that is being read.
    string: u32,
    escaped: bool,
    comment: bool,
    last: u8,
    /// `obj` keywords with nothing but numbers between them: the parser calls itself for those
    /// too.
    headers: u32,
}

impl Nesting {
    fn scan(&mut self, piece: &[u8]) -> Result<(), Rejection> {
        for &byte in piece {
            self.step(byte);
            if self.depth > MAX_NESTING || self.headers > MAX_NESTING {
                return Err(Rejection::TooDeep { limit: MAX_NESTING });
            }
        }
        Ok(())
    }

    fn step(&mut self, byte: u8) {
        let last = std::mem::replace(&mut self.last, byte);
        if self.comment {
            self.comment = !matches!(byte, b'\n' | b'\r');
            return;
        }
        if self.string > 0 {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'(' => self.string += 1,
                b')' => self.string -= 1,
                _ => {}
            }
            return;
        }
        match byte {
            b'(' => self.string = 1,
            b'%' => self.comment = true,
            b'[' => self.depth += 1,
            b']' => self.depth = self.depth.saturating_sub(1),
            // A pair opens or closes a dictionary; a third bracket begins the next pair.
            b'<' if last == b'<' => {
                self.depth += 1;
                self.last = 0;
            }
            b'>' if last == b'>' => {
                self.depth = self.depth.saturating_sub(1);
                self.last = 0;
            }
            b'j' if last == b'b' => self.headers += 1,
            b'o' | b'b' | b'0'..=b'9' | b' ' | b'\r' | b'\n' | b'\t' | 0 | 0x0C => {}
            _ => self.headers = 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::{DeflateEncoder, ZlibEncoder};

    use super::*;

    fn zlib(data: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    fn stream(dictionary: &str, data: &[u8]) -> Vec<u8> {
        let head = format!("%PDF-1.7\n1 0 obj\n<<{dictionary}>>\nstream\n");
        [head.as_bytes(), data, b"\nendstream\nendobj\n"].concat()
    }

    fn code(bytes: &[u8]) -> Option<&'static str> {
        let limits = Limits {
            inflated_bytes: 1024 * 1024,
            ..Limits::default()
        };
        inspect(bytes, &limits, Deadline::of(&limits))
            .err()
            .map(|rejection| rejection.code())
    }

    #[test]
    fn nesting_in_the_open_and_in_streams() {
        let deep = "[".repeat(5000);
        assert_eq!(
            code(format!("%PDF-1.7\n1 0 obj\n{deep}").as_bytes()),
            Some("too_deep")
        );
        assert_eq!(
            code(&stream("/Filter/FlateDecode", &zlib(deep.as_bytes()))),
            Some("too_deep")
        );
        let dictionaries = "<</A".repeat(5000);
        assert_eq!(code(dictionaries.as_bytes()), Some("too_deep"));
        assert_eq!(code("1 0 obj ".repeat(5000).as_bytes()), Some("too_deep"));
    }

    #[test]
    fn brackets_that_close_and_brackets_in_strings_are_no_nesting() {
        assert_eq!(
            code("[<</A[1 2]>>]\n1 0 obj\n".repeat(5000).as_bytes()),
            None
        );
        assert_eq!(code("([[[[ \\) [[ )\n".repeat(5000).as_bytes()), None);
        assert_eq!(code("% [[[[\n".repeat(5000).as_bytes()), None);
        assert_eq!(code("<AB><CD> ".repeat(5000).as_bytes()), None);
        // What closes only in a string does not close.
        assert_eq!(code("[(]) ".repeat(5000).as_bytes()), Some("too_deep"));
    }

    #[test]
    fn compressed_data_is_counted_whatever_it_is_called() {
        let zeros = vec![b' '; 4 * 1024 * 1024];
        let bomb = zlib(&zeros);
        assert_eq!(
            code(&stream("/Filter/FlateDecode", &bomb)),
            Some("decompression_bomb")
        );
        assert_eq!(
            code(&stream("/Filter/F#6cateDecode", &bomb)),
            Some("decompression_bomb")
        );
        assert_eq!(
            code(&stream("/Filter[/Fl/Fl]", &zlib(&bomb))),
            Some("decompression_bomb")
        );

        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(&zeros).unwrap();
        let raw = encoder.finish().unwrap();
        assert_eq!(
            code(&stream("/Filter/FlateDecode", &raw)),
            Some("decompression_bomb")
        );
    }

    #[test]
    fn samples_of_pictures_are_not_counted() {
        let bomb = zlib(&vec![b' '; 4 * 1024 * 1024]);
        assert_eq!(
            code(&stream(
                "/Subtype/Image/Width 2000/Filter/FlateDecode",
                &bomb
            )),
            None
        );
    }

    #[test]
    fn a_declared_end_within_the_data_hides_nothing() {
        // The first block is stored as it is, and contains the keyword that ends a stream.
        let stored = b"endstream endobj";
        let mut data = vec![0x78, 0x01, 0x00];
        data.extend((stored.len() as u16).to_le_bytes());
        data.extend((!(stored.len() as u16)).to_le_bytes());
        data.extend(stored);
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(&vec![b' '; 4 * 1024 * 1024]).unwrap();
        data.extend(encoder.finish().unwrap());
        assert_eq!(
            code(&stream("/Filter/FlateDecode", &data)),
            Some("decompression_bomb")
        );
    }
}
