//! Text without structure, and the decoding that all kinds of text share.

use std::borrow::Cow;

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};

use super::builder::{Block, Builder};
use crate::limits::Limits;
use crate::rejection::Rejection;

/// Text has at most one control character in so many bytes; binary data has far more.
const BYTES_PER_CONTROL: usize = 200;

/// `bytes` as text, or `None` if they are not text.
///
/// A byte order mark decides. Otherwise it is UTF-8, also with a few damaged characters, or else
/// the legacy encoding that the frequency of its letters points to.
pub(crate) fn decode(bytes: &[u8]) -> Option<Cow<'_, str>> {
    if let Some((encoding, mark)) = Encoding::for_bom(bytes) {
        // UTF-32 with its mark starts like UTF-16, but goes on with two zeros.
        let body = &bytes[mark..];
        if encoding == UTF_16LE && body.starts_with(&[0, 0]) {
            return None;
        }
        let (text, damaged) = encoding.decode_without_bom_handling(body);
        let acceptable = if encoding == UTF_8 { true } else { !damaged };
        return (acceptable && !is_binary(&text)).then_some(text);
    }
    if memchr::memchr(0, bytes).is_some() {
        return utf16_without_mark(bytes);
    }
    if is_mostly_utf8(bytes) {
        let text = String::from_utf8_lossy(bytes);
        return (!is_binary(&text)).then_some(text);
    }
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
    detector.feed(bytes, true);
    let encoding = detector.guess(None, Utf8Detection::Deny);
    let (text, damaged) = encoding.decode_without_bom_handling(bytes);
    (!damaged && !is_binary(&text)).then_some(text)
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
fn utf16_without_mark(bytes: &[u8]) -> Option<Cow<'_, str>> {
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
    let encoding = if odd * 10 >= units * 7 && even * 50 <= units {
        UTF_16LE
    } else if even * 10 >= units * 7 && odd * 50 <= units {
        UTF_16BE
    } else {
        return None;
    };
    let (text, damaged) = encoding.decode_without_bom_handling(bytes);
    (!damaged && !is_binary(&text)).then_some(text)
}

fn is_binary(text: &str) -> bool {
    let controls = text
        .chars()
        .filter(|c| c.is_control() && !matches!(c, '\t' | '\n' | '\r' | '\u{C}' | '\u{1B}'))
        .count();
    controls > 0 && controls >= text.len().div_ceil(BYTES_PER_CONTROL)
}

pub(super) fn read(text: &str, limits: &Limits, builder: &mut Builder) -> Result<(), Rejection> {
    check_json_nesting(text, limits.nesting)?;
    builder.push(Block::Paragraph, text)
}

/// Rejects JSON that is nested too deeply: nothing is gained from it, and every program that
/// parses it later would have to defend itself. Walks the brackets without recursion.
fn check_json_nesting(text: &str, limit: u32) -> Result<(), Rejection> {
    if !text.trim_start().starts_with(['{', '[']) {
        return Ok(());
    }
    let mut depth = 0u32;
    let mut in_string = false;
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' if in_string => {
                bytes.next();
            }
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                if depth > limit {
                    return Err(Rejection::TooDeep { limit });
                }
            }
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(bytes: &[u8]) -> Option<String> {
        decode(bytes).map(Cow::into_owned)
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
        assert!(check_json_nesting(&text, 3).is_ok());
        assert!(check_json_nesting("[[[[", 3).is_err());
        assert!(check_json_nesting("note [[[[", 3).is_ok());
    }
}
