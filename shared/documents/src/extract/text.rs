//! Text without structure, and the decoding that all kinds of text share.

use std::borrow::Cow;

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{Decoder, Encoding, UTF_8, UTF_16BE, UTF_16LE};

use super::builder::Builder;
use crate::input::Input;
use crate::limits::Limits;
use crate::rejection::Rejection;

/// Text has at most one control character in so many bytes; binary data has far more.
const BYTES_PER_CONTROL: usize = 200;
/// What is decoded at once, after the beginning of the file.
const PIECE_BYTES: usize = 128 * 1024;
/// A longer line is read in parts.
const MAX_LINE_BYTES: usize = 64 * 1024;

/// `bytes` as text, or `None` if they are not text. Of a file of which they are only the beginning
/// a character at their end may be cut.
///
/// A byte order mark decides. Otherwise it is UTF-8, also with a few damaged characters, or else
/// the legacy encoding that the frequency of its letters points to.
pub(crate) fn decode(bytes: &[u8], whole: bool) -> Option<Cow<'_, str>> {
    let (encoding, mark) = encoding_of(bytes)?;
    let body = &bytes[mark..];
    let text = if whole {
        let (text, damaged) = encoding.decode_without_bom_handling(body);
        if damaged && encoding != UTF_8 {
            return None;
        }
        text
    } else {
        let mut text = String::new();
        let mut decoder = encoding.new_decoder_without_bom_handling();
        let damaged = decode_into(&mut text, &mut decoder, body, false);
        if damaged && encoding != UTF_8 {
            return None;
        }
        Cow::Owned(text)
    };
    (!is_binary(&text)).then_some(text)
}

/// The encoding of these bytes, if they may be text, and the length of the mark that names it.
fn encoding_of(bytes: &[u8]) -> Option<(&'static Encoding, usize)> {
    if let Some((encoding, mark)) = Encoding::for_bom(bytes) {
        // UTF-32 with its mark starts like UTF-16, but goes on with two zeros.
        let is_utf32 = encoding == UTF_16LE && bytes[mark..].starts_with(&[0, 0]);
        return (!is_utf32).then_some((encoding, mark));
    }
    if memchr::memchr(0, bytes).is_some() {
        return Some((utf16_without_mark(bytes)?, 0));
    }
    if is_mostly_utf8(bytes) {
        return Some((UTF_8, 0));
    }
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
    detector.feed(bytes, true);
    Some((detector.guess(None, Utf8Detection::Deny), 0))
}

/// Adds the text of `bytes`. Returns whether some of them are no characters.
fn decode_into(text: &mut String, decoder: &mut Decoder, bytes: &[u8], last: bool) -> bool {
    let most = decoder.max_utf8_buffer_length(bytes.len());
    text.reserve(most.unwrap_or(bytes.len()));
    let (_, _, damaged) = decoder.decode_to_string(bytes, text, last);
    damaged
}

pub(crate) fn not_text() -> Rejection {
    Rejection::unsupported("binary data, not text")
}

/// The text of a file, decoded as its bytes come.
pub(super) struct TextSource<'i> {
    input: &'i mut Input,
    limit: u64,
    /// `None` until a byte outside of ASCII decides.
    decoder: Option<(&'static Encoding, Decoder)>,
    /// A carriage return at the end of a piece, whose line feed may be in the next one.
    held_back: bool,
    ended: bool,
}

impl<'i> TextSource<'i> {
    pub(super) fn new(input: &'i mut Input, limit: u64) -> Self {
        Self {
            input,
            limit,
            decoder: None,
            held_back: false,
            ended: false,
        }
    }

    /// The next piece: the first kilobytes, or all of a small file, and then some at a time.
    pub(super) fn next(&mut self) -> Result<Option<String>, Rejection> {
        while !self.ended {
            let bytes = self.input.next(PIECE_BYTES, self.limit)?;
            self.ended = bytes.is_empty();
            let mut text = String::new();
            if std::mem::take(&mut self.held_back) {
                text.push('\r');
            }
            self.decode(&bytes, &mut text)?;
            if is_binary(&text) {
                return Err(not_text());
            }
            if text.ends_with('\r') && !self.ended {
                text.pop();
                self.held_back = true;
            }
            if !text.is_empty() {
                return Ok(Some(text));
            }
        }
        Ok(None)
    }

    fn decode(&mut self, bytes: &[u8], text: &mut String) -> Result<(), Rejection> {
        let mut body = bytes;
        if self.decoder.is_none() {
            if bytes.is_ascii() && memchr::memchr(0, bytes).is_none() {
                // The check cannot fail; taking it saves a copy through a decoder.
                text.push_str(std::str::from_utf8(bytes).map_err(|_| not_text())?);
                return Ok(());
            }
            let (encoding, mark) = encoding_of(bytes).ok_or_else(not_text)?;
            body = &bytes[mark..];
            self.decoder = Some((encoding, encoding.new_decoder_without_bom_handling()));
        }
        let Some((encoding, decoder)) = &mut self.decoder else {
            return Ok(());
        };
        let damaged = decode_into(text, decoder, body, self.ended);
        // Damaged UTF-8 is still text. Another encoding was a guess, which this proves wrong.
        if damaged && *encoding != UTF_8 {
            return Err(not_text());
        }
        Ok(())
    }
}

/// The lines of a text, with their ends.
pub(super) struct Lines<'s, 'i> {
    source: &'s mut TextSource<'i>,
    piece: String,
    at: usize,
}

impl<'s, 'i> Lines<'s, 'i> {
    pub(super) fn new(source: &'s mut TextSource<'i>) -> Self {
        Self {
            source,
            piece: String::new(),
            at: 0,
        }
    }

    /// Puts the next line into `line`, or a part of one that is very long. `false` at the end.
    pub(super) fn next(&mut self, line: &mut String) -> Result<bool, Rejection> {
        line.clear();
        loop {
            let rest = &self.piece[self.at..];
            let room = MAX_LINE_BYTES.saturating_sub(line.len());
            let end = memchr::memchr(b'\n', rest.as_bytes()).map(|at| at + 1);
            let mut taken = end.unwrap_or(rest.len());
            let is_cut = taken > room;
            if is_cut {
                taken = rest.floor_char_boundary(room);
            }
            line.push_str(&rest[..taken]);
            self.at += taken;
            if end.is_some() || is_cut {
                return Ok(true);
            }
            match self.source.next()? {
                Some(piece) => {
                    self.piece = piece;
                    self.at = 0;
                }
                None => return Ok(!line.is_empty()),
            }
        }
    }
}

/// Valid UTF-8, but for a cut at the end or less than one damaged character in ten.
fn is_mostly_utf8(bytes: &[u8]) -> bool {
    let Err(error) = std::str::from_utf8(bytes) else {
        return true;
    };
    // Only ASCII before the first byte that is not UTF-8, and not much after it, says nothing.
    if error.error_len().is_none() {
        return true;
    }
    let (mut sound, mut damaged) = (0usize, 0usize);
    for chunk in bytes.utf8_chunks() {
        sound += chunk.valid().chars().filter(|c| !c.is_ascii()).count();
        damaged += usize::from(!chunk.invalid().is_empty());
    }
    sound >= damaged * 10
}

/// UTF-16 of a Western text has a zero in every second byte.
fn utf16_without_mark(bytes: &[u8]) -> Option<&'static Encoding> {
    if !bytes.len().is_multiple_of(2) {
        return None;
    }
    let zeros = |offset: usize| {
        bytes
            .iter()
            .skip(offset)
            .step_by(2)
            .filter(|byte| **byte == 0)
            .count()
    };
    let (even, odd) = (zeros(0), zeros(1));
    let units = bytes.len() / 2;
    if odd * 10 >= units * 7 && even * 50 <= units {
        Some(UTF_16LE)
    } else if even * 10 >= units * 7 && odd * 50 <= units {
        Some(UTF_16BE)
    } else {
        None
    }
}

fn is_binary(text: &str) -> bool {
    let controls = text
        .chars()
        .filter(|c| c.is_control() && !matches!(c, '\t' | '\n' | '\r' | '\u{C}' | '\u{1B}'))
        .count();
    controls > 0 && controls >= text.len().div_ceil(BYTES_PER_CONTROL)
}

pub(super) fn read(
    source: &mut TextSource<'_>,
    limits: &Limits,
    builder: &mut Builder<'_>,
) -> Result<(), Rejection> {
    let mut nesting = JsonNesting::new(limits.nesting);
    while let Some(piece) = source.next()? {
        nesting.check(&piece)?;
        builder.append(&piece)?;
    }
    Ok(())
}

/// Rejects JSON that is nested too deeply: nothing is gained from it, and every program that
/// parses it later would have to defend itself. Walks the brackets without recursion.
struct JsonNesting {
    limit: u32,
    depth: u32,
    in_string: bool,
    escaped: bool,
    /// Whether the text begins as JSON does; `None` before its first character.
    is_json: Option<bool>,
}

impl JsonNesting {
    fn new(limit: u32) -> Self {
        Self {
            limit,
            depth: 0,
            in_string: false,
            escaped: false,
            is_json: None,
        }
    }

    fn check(&mut self, piece: &str) -> Result<(), Rejection> {
        if self.is_json.is_none() {
            let first = piece.trim_start().chars().next();
            self.is_json = first.map(|first| matches!(first, '{' | '['));
        }
        if self.is_json != Some(true) {
            return Ok(());
        }
        for byte in piece.bytes() {
            if std::mem::take(&mut self.escaped) {
                continue;
            }
            match byte {
                b'\\' if self.in_string => self.escaped = true,
                b'"' => self.in_string = !self.in_string,
                b'{' | b'[' if !self.in_string => {
                    self.depth += 1;
                    if self.depth > self.limit {
                        return Err(Rejection::TooDeep { limit: self.limit });
                    }
                }
                b'}' | b']' if !self.in_string => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(bytes: &[u8]) -> Option<String> {
        decode(bytes, true).map(Cow::into_owned)
    }

    #[test]
    fn utf8_with_and_without_its_mark() {
        assert_eq!(decoded("Übung".as_bytes()).as_deref(), Some("Übung"));
        assert_eq!(
            decoded("\u{FEFF}Übung".as_bytes()).as_deref(),
            Some("Übung")
        );
    }

    #[test]
    fn utf16_with_and_without_its_mark() {
        for (mark, to_bytes) in [
            (b"\xFF\xFE", u16::to_le_bytes as fn(u16) -> [u8; 2]),
            (b"\xFE\xFF", u16::to_be_bytes),
        ] {
            let body: Vec<u8> = "Pitch – 12°".encode_utf16().flat_map(to_bytes).collect();
            let marked = [&mark[..], &body].concat();
            assert_eq!(decoded(&marked).as_deref(), Some("Pitch – 12°"));
            let plain: Vec<u8> = "Pitch 12 degrees"
                .encode_utf16()
                .flat_map(to_bytes)
                .collect();
            assert_eq!(decoded(&plain).as_deref(), Some("Pitch 12 degrees"));
        }
    }

    #[test]
    fn legacy_encodings_are_guessed() {
        let (latin, _, _) = encoding_rs::WINDOWS_1252
            .encode("Die Prüfung der Lager geschieht jährlich, für alle Größen.");
        assert_eq!(
            decoded(&latin).as_deref(),
            Some("Die Prüfung der Lager geschieht jährlich, für alle Größen.")
        );
    }

    #[test]
    fn a_cut_or_a_rare_damaged_character_stays_utf8() {
        let text = "Größe für die Prüfung über jährlich geänderte Maße";
        let cut = &text.as_bytes()[..text.len() - 2];
        assert!(cut.last().is_some_and(|b| *b >= 0x80));
        assert!(decoded(cut).unwrap().starts_with("Größe für"));

        let mut damaged = "ä".repeat(40).into_bytes();
        damaged.extend(b" \xFF end");
        assert!(decoded(&damaged).unwrap().contains("ä"));
    }

    #[test]
    fn binary_is_not_text() {
        let noise: Vec<u8> = (0..4096u32)
            .map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8)
            .collect();
        assert_eq!(decoded(&noise), None);
        assert_eq!(decoded(b"\xFF\xFE\0\0a\0\0\0"), None);
        assert_eq!(decoded(b"\x01\x02\x03\x04"), None);
    }

    #[test]
    fn brackets_in_strings_are_no_nesting() {
        let text = format!("[\"{}\\\"[[\"]", "[".repeat(1000));
        assert!(JsonNesting::new(3).check(&text).is_ok());
        assert!(JsonNesting::new(3).check("[[[[").is_err());
        assert!(JsonNesting::new(3).check("note [[[[").is_ok());
        // Also where a piece ends within a string, or after what escapes a mark.
        let mut nesting = JsonNesting::new(3);
        for piece in [" \n", "[\"a", "[[[[", "\\", "\"[[[[", "\"", "]"] {
            assert!(nesting.check(piece).is_ok(), "{piece:?}");
        }
    }

    /// Text that is read piece by piece, as a file of more than one piece is.
    fn streamed(bytes: Vec<u8>) -> Result<String, Rejection> {
        let mut input = Input::open(std::io::Cursor::new(bytes))?;
        let mut source = TextSource::new(&mut input, u64::MAX);
        let mut text = String::new();
        while let Some(piece) = source.next()? {
            text.push_str(&piece);
        }
        Ok(text)
    }

    #[test]
    fn a_long_text_is_decoded_as_a_short_one() {
        let line = "Größe für die Prüfung über jährlich geänderte Maße – 漢字\r\n";
        let long = line.repeat(40_000);
        assert_eq!(streamed(long.clone().into_bytes()).unwrap(), long);
        let marked: Vec<u8> = format!("\u{FEFF}{long}")
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect();
        assert_eq!(streamed(marked).unwrap(), long);
        let latin = "Größe für die Prüfung über jährlich geänderte Maße\n".repeat(40_000);
        let (bytes, _, _) = encoding_rs::WINDOWS_1252.encode(&latin);
        assert_eq!(streamed(bytes.into_owned()).unwrap(), latin);
    }

    #[test]
    fn what_decides_on_the_encoding_may_come_late() {
        let mut bytes = b"plain ASCII, line after line\n".repeat(100_000);
        let late = "Größe für die Prüfung über jährlich geänderte Maße\n".repeat(100);
        bytes.extend_from_slice(&encoding_rs::WINDOWS_1252.encode(&late).0);
        assert!(streamed(bytes).unwrap().ends_with(&late));
    }

    #[test]
    fn binary_data_after_a_long_text_is_found() {
        let mut bytes = b"plain ASCII, line after line\n".repeat(100_000);
        bytes.extend((0..200_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8));
        assert_eq!(streamed(bytes).unwrap_err().code(), "unsupported_type");
    }

    #[test]
    fn lines_are_whole_or_in_parts() {
        let long = "x".repeat(3 * MAX_LINE_BYTES + 5);
        let text = format!("a\r\n\nb\n{long}\nend");
        let mut input = Input::open(std::io::Cursor::new(text.clone().into_bytes())).unwrap();
        let mut source = TextSource::new(&mut input, u64::MAX);
        let mut lines = Lines::new(&mut source);
        let (mut line, mut found) = (String::new(), Vec::new());
        while lines.next(&mut line).unwrap() {
            assert!(line.len() <= MAX_LINE_BYTES);
            found.push(line.clone());
        }
        assert_eq!(found[..3], ["a\r\n", "\n", "b\n"]);
        assert_eq!(found.concat(), text);
    }
}
