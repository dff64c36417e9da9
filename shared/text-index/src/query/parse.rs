//! From a query's text to what must be in an item. There is no syntax to get wrong: what is not
//! understood is words.

use super::{MAX_TEXT_CHARS, MAX_WORDS};
use crate::analysis::{Word, split};

/// A part of a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    Word(String),
    /// The beginning of a word.
    Prefix(String),
    /// Words one after the other.
    Phrase(Vec<String>),
    /// What was written without a space and is several words, such as `INV-2024`.
    Compound(Vec<String>),
}

/// A query's text, read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Parsed {
    pub wanted: Vec<Part>,
    pub unwanted: Vec<Part>,
}

impl Parsed {
    /// How many words there are.
    pub(crate) fn words(&self) -> usize {
        let parts = self.wanted.iter().chain(&self.unwanted);
        parts
            .map(|part| match part {
                Part::Word(_) | Part::Prefix(_) => 1,
                Part::Phrase(words) | Part::Compound(words) => words.len(),
            })
            .sum()
    }
}

pub(crate) fn parse(text: &str, last_word_is_prefix: bool) -> Parsed {
    let mut parsed = Parsed::default();
    for piece in pieces(text) {
        let typing = last_word_is_prefix && piece.is_last && !piece.quoted;
        let parts = if piece.negated {
            &mut parsed.unwanted
        } else {
            &mut parsed.wanted
        };
        add(parts, piece.text, piece.quoted, typing && !piece.negated);
    }
    parsed
}

/// What a query says without its signs, and without what it does not want: for whoever reads it as
/// a sentence.
#[must_use]
pub fn plain_text(text: &str) -> String {
    let wanted = pieces(text).filter(|piece| !piece.negated);
    let texts: Vec<&str> = wanted
        .map(|piece| piece.text.trim_end_matches('*'))
        .filter(|text| !text.is_empty())
        .collect();
    texts.join(" ")
}

/// What somebody said, as a query: as many of its words as a query may have, and none of them read
/// as a sign. Empty where there is no word.
#[must_use]
pub fn query_of(said: &str) -> String {
    let mut query = String::new();
    let (mut words_left, mut letters_left) = (MAX_WORDS, MAX_TEXT_CHARS);
    for piece in said.split(|letter: char| letter.is_whitespace() || letter == '"') {
        let piece = piece.trim_start_matches('-').trim_end_matches('*');
        let words = split(piece);
        let Some(last) = words
            .get(..words_left.min(words.len()))
            .and_then(<[Word]>::last)
        else {
            continue;
        };
        let piece = &piece[..last.end];
        let letters = piece.chars().count() + 1;
        if letters > letters_left {
            break;
        }
        letters_left -= letters;
        words_left -= words.len().min(words_left);
        if !query.is_empty() {
            query.push(' ');
        }
        query.push_str(piece);
    }
    query
}

/// What stands between two spaces of a query, or between two quotation marks.
struct Piece<'a> {
    text: &'a str,
    negated: bool,
    quoted: bool,
    /// Whether the query ends with it, without a space.
    is_last: bool,
}

fn pieces(text: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = text.trim_start();
    let is_open = !text.ends_with(char::is_whitespace);
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (negated, after) = match rest.strip_prefix('-') {
            Some(after) if !after.starts_with(char::is_whitespace) => (true, after),
            _ => (false, rest),
        };
        let (text, quoted, left) = piece(after);
        rest = left.trim_start();
        Some(Piece {
            text,
            negated,
            quoted,
            is_last: left.is_empty() && is_open,
        })
    })
}

/// The next piece of a text, whether it was in quotation marks, and what follows.
fn piece(text: &str) -> (&str, bool, &str) {
    if let Some(quoted) = text.strip_prefix('"') {
        let end = quoted.find('"').unwrap_or(quoted.len());
        let left = quoted.get(end + 1..).unwrap_or_default();
        return (&quoted[..end], true, left);
    }
    let end = text
        .find(|letter: char| letter.is_whitespace() || letter == '"')
        .unwrap_or(text.len());
    // A quotation mark within a word begins another piece, and one at its place makes progress.
    let (piece, left) = text.split_at(end);
    (piece, false, left)
}

fn add(parts: &mut Vec<Part>, piece: &str, quoted: bool, typing: bool) {
    let starred = !quoted && piece.ends_with('*');
    let mut words: Vec<String> = split(piece)
        .into_iter()
        .map(|word: Word| word.text)
        .collect();
    if words.len() > 1 {
        parts.push(if quoted {
            Part::Phrase(words)
        } else {
            Part::Compound(words)
        });
    } else if let Some(word) = words.pop() {
        parts.push(match (quoted, starred || typing) {
            (true, _) => Part::Phrase(vec![word]),
            (false, true) => Part::Prefix(word),
            (false, false) => Part::Word(word),
        });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn word(text: &str) -> Part {
        Part::Word(text.to_owned())
    }

    fn texts(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn words_phrases_beginnings_and_what_is_unwanted() {
        let parsed = parse(
            r#"Oil "drain plug" filt* -engine -"second hand" INV-7"#,
            false,
        );
        let wanted = [
            word("oil"),
            Part::Phrase(texts(&["drain", "plug"])),
            Part::Prefix("filt".to_owned()),
            Part::Compound(texts(&["inv", "7"])),
        ];
        assert_eq!(parsed.wanted, wanted);
        let unwanted = [word("engine"), Part::Phrase(texts(&["second", "hand"]))];
        assert_eq!(parsed.unwanted, unwanted);
        assert_eq!(parsed.words(), 9);
    }

    #[test]
    fn the_last_word_is_a_beginning_while_somebody_types() {
        assert_eq!(
            parse("oil fil", true).wanted,
            [word("oil"), Part::Prefix("fil".to_owned())]
        );
        assert_eq!(parse("oil fil ", true).wanted, [word("oil"), word("fil")]);
        assert_eq!(parse("oil -fil", true).unwanted, [word("fil")]);
    }

    #[test]
    fn what_is_not_understood_is_words() {
        assert_eq!(parse("title:(oil AND", false).wanted.len(), 2);
        assert_eq!(parse("- -- * \" \"\"", false), Parsed::default());
        assert_eq!(
            parse("a\"b c", false).wanted,
            [word("a"), Part::Phrase(texts(&["b", "c"]))]
        );
    }

    #[test]
    fn a_sentence_is_left_of_a_query() {
        let text = plain_text(r#"Oil "drain plug" filt* -engine -"second hand" INV-7"#);
        assert_eq!(text, "Oil drain plug filt INV-7");
        assert_eq!(plain_text("-engine * \"\""), "");
    }

    #[test]
    fn a_sentence_becomes_a_query_of_plain_words() {
        let query = query_of("- What of \"INV-7\"?\n-not* excluded **");
        assert_eq!(query, "What of INV-7 not excluded");
        assert!(parse(&query, false).unwanted.is_empty());
        assert_eq!(query_of("- \" * ?"), "");
        let long = query_of(&"word ".repeat(500));
        assert_eq!(parse(&long, false).words(), MAX_WORDS);
        assert_eq!(
            parse(&query_of(&"油".repeat(500)), false).words(),
            MAX_WORDS
        );
    }

    proptest! {
        #[test]
        fn whatever_is_said_can_be_asked(said in "(\\PC{0,30}[ -]?){0,40}") {
            let query = query_of(&said);
            let parsed = parse(&query, false);
            prop_assert!(parsed.words() <= MAX_WORDS && parsed.unwanted.is_empty());
            prop_assert!(query.chars().count() <= MAX_TEXT_CHARS);
        }

        #[test]
        fn every_text_is_read(text in "\\PC{0,60}", typing: bool) {
            let _ = parse(&text, typing);
        }

        #[test]
        fn quotes_and_signs_are_read(text in "[a\" *-]{0,30}", typing: bool) {
            let parsed = parse(&text, typing);
            prop_assert!(parsed.words() <= text.len());
        }
    }
}
