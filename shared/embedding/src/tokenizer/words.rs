//! Splitting a text into folded words, the step before WordPiece.

use unicode_general_category::{GeneralCategory, get_general_category};
use unicode_normalization::UnicodeNormalization;

/// Longer words, in characters, are unknown without being looked up.
const MAX_WORD_CHARS: usize = 100;

/// A maximal run of letters, digits and symbols, or a single punctuation mark.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Word<'a> {
    Text(&'a str),
    TooLong,
}

/// Calls `visit` with each word, in lower case and without accents. The steps run in the order
/// the vocabulary was made with: drop control characters, set ideographs apart, decompose, drop
/// accents, lower the case, split at white space and around punctuation.
pub(super) fn for_each_word(text: &str, visit: impl FnMut(Word<'_>)) {
    let mut words = Words::new(visit);
    let folded = text
        .chars()
        .filter(|&c| !is_dropped(c))
        .flat_map(set_ideographs_apart)
        .nfd()
        .filter(|&c| !is_accent(c))
        .flat_map(char::to_lowercase);
    for c in folded {
        if c.is_whitespace() {
            words.end();
        } else if is_punctuation(c) {
            words.end();
            words.push(c);
            words.end();
        } else {
            words.push(c);
        }
    }
    words.end();
}

/// Collects characters into one buffer, which never holds more than a word of the maximal length.
struct Words<F> {
    visit: F,
    word: String,
    chars: usize,
}

impl<F: FnMut(Word<'_>)> Words<F> {
    fn new(visit: F) -> Self {
        Self {
            visit,
            word: String::new(),
            chars: 0,
        }
    }

    fn push(&mut self, c: char) {
        self.chars += 1;
        if self.chars <= MAX_WORD_CHARS {
            self.word.push(c);
        }
    }

    fn end(&mut self) {
        match self.chars {
            0 => return,
            1..=MAX_WORD_CHARS => (self.visit)(Word::Text(&self.word)),
            _ => (self.visit)(Word::TooLong),
        }
        self.word.clear();
        self.chars = 0;
    }
}

/// Control, format and private-use characters, and the mark of a decoding error.
fn is_dropped(c: char) -> bool {
    use GeneralCategory::{Control, Format, PrivateUse};
    match c {
        '\t' | '\n' | '\r' => false,
        '\u{fffd}' => true,
        _ if c.is_ascii() => c.is_ascii_control(),
        _ => matches!(get_general_category(c), Control | Format | PrivateUse),
    }
}

/// Chinese is written without spaces: every ideograph becomes a word of its own.
fn set_ideographs_apart(c: char) -> impl Iterator<Item = char> {
    let space = is_ideograph(c).then_some(' ');
    space.into_iter().chain([c]).chain(space)
}

/// The blocks of CJK unified and compatibility ideographs that the vocabulary was made with.
/// Kana and Hangul are not among them.
fn is_ideograph(c: char) -> bool {
    matches!(
        c,
        '\u{3400}'..='\u{4dbf}'
            | '\u{4e00}'..='\u{9fff}'
            | '\u{f900}'..='\u{faff}'
            | '\u{20000}'..='\u{2a6df}'
            | '\u{2a700}'..='\u{2b73f}'
            | '\u{2b740}'..='\u{2b81f}'
            | '\u{2b920}'..='\u{2ceaf}'
            | '\u{2f800}'..='\u{2fa1f}'
    )
}

fn is_accent(c: char) -> bool {
    !c.is_ascii() && get_general_category(c) == GeneralCategory::NonspacingMark
}

/// Unicode's punctuation, and the ASCII symbols that Unicode files elsewhere, such as `$`.
fn is_punctuation(c: char) -> bool {
    use GeneralCategory::{
        ClosePunctuation, ConnectorPunctuation, DashPunctuation, FinalPunctuation,
        InitialPunctuation, OpenPunctuation, OtherPunctuation,
    };
    if c.is_ascii() {
        return c.is_ascii_punctuation();
    }
    matches!(
        get_general_category(c),
        ClosePunctuation
            | ConnectorPunctuation
            | DashPunctuation
            | FinalPunctuation
            | InitialPunctuation
            | OpenPunctuation
            | OtherPunctuation
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        let mut words = Vec::new();
        for_each_word(text, |word| {
            words.push(match word {
                Word::Text(word) => word.to_owned(),
                Word::TooLong => "too long".to_owned(),
            });
        });
        words
    }

    #[test]
    fn splits_at_space_and_around_punctuation() {
        assert_eq!(words("  Hello,\tworld!\n"), ["hello", ",", "world", "!"]);
        assert_eq!(words("$5…«a»"), ["$", "5", "…", "«", "a", "»"]);
    }

    #[test]
    fn folds_case_and_accents() {
        assert_eq!(words("ÉCOLE e\u{301}cole"), ["ecole", "ecole"]);
    }

    #[test]
    fn keeps_symbols_that_are_no_punctuation_inside_a_word() {
        assert_eq!(words("5€ ½cup"), ["5€", "½cup"]);
    }

    #[test]
    fn sets_ideographs_apart_but_not_kana() {
        assert_eq!(words("a中文b カナ"), ["a", "中", "文", "b", "カナ"]);
    }

    #[test]
    fn drops_characters_that_do_not_print() {
        assert_eq!(words("so\u{ad}ft\0\u{200b}er"), ["softer"]);
    }

    #[test]
    fn counts_length_in_characters_after_folding() {
        let longest = "é".repeat(MAX_WORD_CHARS);
        assert_eq!(words(&longest), ["e".repeat(MAX_WORD_CHARS)]);
        assert_eq!(words(&format!("{longest}é next")), ["too long", "next"]);
    }
}
