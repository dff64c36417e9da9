//! The uncased BERT tokeniser: clean, fold and split a text into words, then cut each word into
//! the longest pieces that the vocabulary knows (WordPiece).

mod words;

use std::{collections::HashMap, sync::LazyLock};

use words::{Word, for_each_word};

/// A row of the vocabulary and of the table.
pub(crate) type TokenId = u16;

const VOCABULARY: &str = include_str!("../model/vocab.txt");
const UNKNOWN: &str = "[UNK]";
const CONTINUATION: &str = "##";

static PIECES: LazyLock<Pieces> = LazyLock::new(Pieces::load);

/// The number of tokens in a text, without any start or end marker: the unit of chunk budgets.
/// An unknown word counts as one.
pub fn token_count(text: &str) -> usize {
    let mut count = 0;
    for_each_token(text, |_| count += 1);
    count
}

/// Calls `visit` with each token in order. Time grows linearly with the text, and memory does not
/// grow with the number of words.
pub(crate) fn for_each_token(text: &str, mut visit: impl FnMut(TokenId)) {
    let pieces = &*PIECES;
    let mut cut = Vec::new();
    for_each_word(text, |word| {
        cut.clear();
        let known = match word {
            Word::Text(word) => pieces.cut(word, &mut cut),
            Word::TooLong => false,
        };
        if known {
            cut.iter().copied().for_each(&mut visit);
        } else {
            visit(pieces.unknown);
        }
    });
}

/// The tokens of the vocabulary in the order of their ids.
pub(crate) fn vocabulary() -> impl Iterator<Item = &'static str> {
    VOCABULARY.lines()
}

/// The vocabulary by text. Keys borrow from the binary.
struct Pieces {
    initial: HashMap<&'static str, TokenId>,
    /// Pieces inside a word, without their `##`.
    continuation: HashMap<&'static str, TokenId>,
    /// Length in bytes of the longest piece: no longer candidate is ever looked up, which bounds
    /// the work on a word that is cut into single letters.
    longest: usize,
    unknown: TokenId,
}

impl Pieces {
    fn load() -> Self {
        let mut pieces = Self {
            initial: HashMap::with_capacity(26_000),
            continuation: HashMap::with_capacity(6_000),
            longest: 0,
            unknown: 0,
        };
        for (id, token) in (0..).zip(vocabulary()) {
            let (map, piece) = match token.strip_prefix(CONTINUATION) {
                Some(piece) if !piece.is_empty() => (&mut pieces.continuation, piece),
                _ => (&mut pieces.initial, token),
            };
            map.insert(piece, id);
            pieces.longest = pieces.longest.max(piece.len());
            if token == UNKNOWN {
                pieces.unknown = id;
            }
        }
        pieces
    }

    /// Cuts a word into pieces, the longest first. False if some part of it is in no piece; the
    /// word is then unknown as a whole.
    fn cut(&self, word: &str, pieces: &mut Vec<TokenId>) -> bool {
        let mut rest = word;
        let mut map = &self.initial;
        while !rest.is_empty() {
            let mut end = rest.floor_char_boundary(self.longest);
            let id = loop {
                if end == 0 {
                    return false;
                }
                if let Some(&id) = map.get(&rest[..end]) {
                    break id;
                }
                end = rest.floor_char_boundary(end - 1);
            };
            pieces.push(id);
            rest = &rest[end..];
            map = &self.continuation;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize)]
    struct Goldens {
        tokens: Vec<Golden>,
    }

    #[derive(serde::Deserialize)]
    struct Golden {
        text: String,
        ids: Vec<TokenId>,
    }

    fn tokens(text: &str) -> Vec<TokenId> {
        let mut ids = Vec::new();
        for_each_token(text, |id| ids.push(id));
        ids
    }

    fn id(token: &str) -> TokenId {
        let position = vocabulary().position(|known| known == token);
        TokenId::try_from(position.expect("known")).expect("in range")
    }

    #[test]
    fn agrees_with_the_reference_tokeniser() {
        let goldens: Goldens =
            serde_json::from_str(include_str!("../tests/suite/goldens.json")).expect("goldens");
        assert!(goldens.tokens.len() >= 40);
        for Golden { text, ids } in goldens.tokens {
            assert_eq!(tokens(&text), ids, "{text:?}");
            assert_eq!(token_count(&text), ids.len(), "{text:?}");
        }
    }

    #[test]
    fn every_id_is_a_row_of_the_table() {
        assert_eq!(vocabulary().count(), crate::table::TABLE.rows());
        assert_eq!(PIECES.initial.len() + PIECES.continuation.len(), 30_522);
    }

    #[test]
    fn every_whole_word_of_the_vocabulary_is_one_token() {
        for (word, &id) in &PIECES.initial {
            if word.chars().all(|c| c.is_ascii_lowercase()) {
                assert_eq!(tokens(word), [id], "{word}");
            }
        }
    }

    #[test]
    fn markers_in_a_text_are_plain_text() {
        let expected = ["[", "sep", "]"].map(tokens).concat();
        assert_eq!(tokens("[SEP]"), expected);
        assert!(!tokens("[CLS] [UNK] [PAD]").contains(&id(UNKNOWN)));
    }

    #[test]
    fn a_word_with_an_unknown_part_is_unknown_as_a_whole() {
        assert_eq!(tokens("hello🎉 hello"), [id(UNKNOWN), id("hello")]);
    }
}
