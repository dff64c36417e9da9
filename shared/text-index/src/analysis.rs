//! From a text to the terms by which it is found.
//!
//! Two forms are kept of each word. The word itself, in lower case and without accents, serves
//! phrases, prefixes and near misses; its stem, without the words that every text has, serves
//! everything else.

use std::str::CharIndices;

use tantivy::tokenizer::{
    AsciiFoldingFilter, Language, LowerCaser, PreTokenizedString, RemoveLongFilter, Stemmer,
    StopWordFilter, TextAnalyzer, Token, TokenStream, Tokenizer,
};

/// The name under which the index knows the analyzer of plain words.
pub(crate) const WORDS: &str = "words";
/// Longer words are no words: keys, hashes, lines of base64.
const MAX_WORD_BYTES: usize = 100;

/// Cuts a text into words: runs of letters and digits, of whatever script. In scripts that are
/// written without spaces each letter is a word, so that any part of a sentence is a phrase.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Words;

pub(crate) struct WordStream<'a> {
    text: &'a str,
    letters: CharIndices<'a>,
    /// A letter that was read and is not part of the last word.
    next: Option<(usize, char)>,
    token: Token,
}

impl Tokenizer for Words {
    type TokenStream<'a> = WordStream<'a>;

    fn token_stream<'a>(&'a mut self, text: &'a str) -> WordStream<'a> {
        let mut letters = text.char_indices();
        let next = letters.next();
        WordStream {
            text,
            letters,
            next,
            token: Token::default(),
        }
    }
}

impl TokenStream for WordStream<'_> {
    fn advance(&mut self) -> bool {
        while let Some((start, letter)) = self.next {
            if !letter.is_alphanumeric() {
                self.next = self.letters.next();
                continue;
            }
            let mut end = start + letter.len_utf8();
            self.next = self.letters.next();
            if !is_written_without_spaces(letter) {
                while let Some((at, letter)) = self.next
                    && is_within_a_word(letter)
                {
                    end = at + letter.len_utf8();
                    self.next = self.letters.next();
                }
            }
            self.token.position = self.token.position.wrapping_add(1);
            self.token.offset_from = start;
            self.token.offset_to = end;
            self.token.text.clear();
            self.token.text.push_str(&self.text[start..end]);
            return true;
        }
        false
    }

    fn token(&self) -> &Token {
        &self.token
    }

    fn token_mut(&mut self) -> &mut Token {
        &mut self.token
    }
}

fn is_within_a_word(letter: char) -> bool {
    (letter.is_alphanumeric() && !is_written_without_spaces(letter))
        // Combining accents, which follow the letter that they belong to.
        || matches!(letter, '\u{300}'..='\u{36f}')
}

fn is_written_without_spaces(letter: char) -> bool {
    matches!(letter,
        '\u{0e00}'..='\u{0eff}' // Thai, Lao
        | '\u{1000}'..='\u{109f}' // Myanmar
        | '\u{1780}'..='\u{17ff}' // Khmer
        | '\u{3040}'..='\u{30ff}' // Hiragana, Katakana
        | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' // Han
        | '\u{20000}'..='\u{3ffff}')
}

/// The analyzer of plain words.
pub(crate) fn words() -> TextAnalyzer {
    TextAnalyzer::builder(Words)
        .filter(RemoveLongFilter::limit(MAX_WORD_BYTES))
        .filter(LowerCaser)
        .filter(AsciiFoldingFilter)
        .build()
}

/// A word of a text with its place in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Word {
    pub text: String,
    pub start: usize,
    pub end: usize,
}

/// The plain words of a text.
pub(crate) fn split(text: &str) -> Vec<Word> {
    tokens(&mut words(), text)
        .into_iter()
        .map(|token| Word {
            text: token.text,
            start: token.offset_from,
            end: token.offset_to,
        })
        .collect()
}

/// The stems of a text in a language, without its stop words. A text of stop words alone keeps
/// them: "To be or not to be" can be found.
pub(crate) struct Stems {
    stemmer: TextAnalyzer,
    all: TextAnalyzer,
}

impl Stems {
    /// By the ISO 639 code of a language, of two letters or three; as English, where there are no rules for it.
    pub(crate) fn of(language: Option<&str>) -> Self {
        let language = language.and_then(known).unwrap_or(Language::English);
        let plain = || {
            TextAnalyzer::builder(Words)
                .filter(RemoveLongFilter::limit(MAX_WORD_BYTES))
                .filter(LowerCaser)
                .dynamic()
        };
        let mut stemmer = plain();
        if let Some(stop_words) = StopWordFilter::new(language) {
            stemmer = stemmer.filter_dynamic(stop_words);
        }
        // Stemming rules know accents, so folding comes after.
        let finish = |builder: tantivy::tokenizer::TextAnalyzerBuilder| {
            builder
                .filter_dynamic(Stemmer::new(language))
                .filter_dynamic(AsciiFoldingFilter)
                .build()
        };
        Self {
            stemmer: finish(stemmer),
            all: finish(plain()),
        }
    }

    /// The stems of a text, to be indexed.
    pub(crate) fn of_text(&mut self, text: &str) -> PreTokenizedString {
        PreTokenizedString {
            text: String::new(),
            tokens: self.tokens(text),
        }
    }

    fn tokens(&mut self, text: &str) -> Vec<Token> {
        let found = tokens(&mut self.stemmer, text);
        if found.is_empty() {
            tokens(&mut self.all, text)
        } else {
            found
        }
    }

    /// The stem of one word; `None` for a stop word.
    pub(crate) fn of_word(&mut self, word: &str) -> Option<String> {
        let mut stream = self.stemmer.token_stream(word);
        stream.next().map(|token| token.text.clone())
    }

    /// The stem of one word, whatever the word.
    pub(crate) fn of_any_word(&mut self, word: &str) -> Option<String> {
        let mut stream = self.all.token_stream(word);
        stream.next().map(|token| token.text.clone())
    }
}

fn tokens(analyzer: &mut TextAnalyzer, text: &str) -> Vec<Token> {
    let mut found = Vec::new();
    let mut stream = analyzer.token_stream(text);
    while let Some(token) = stream.next() {
        found.push(token.clone());
    }
    found
}

fn known(language: &str) -> Option<Language> {
    Some(match language {
        "ar" | "ara" => Language::Arabic,
        "da" | "dan" => Language::Danish,
        "nl" | "nld" => Language::Dutch,
        "en" | "eng" => Language::English,
        "fi" | "fin" => Language::Finnish,
        "fr" | "fra" => Language::French,
        "de" | "deu" => Language::German,
        "el" | "ell" => Language::Greek,
        "hu" | "hun" => Language::Hungarian,
        "it" | "ita" => Language::Italian,
        "no" | "nb" | "nn" | "nor" | "nob" | "nno" => Language::Norwegian,
        "pt" | "por" => Language::Portuguese,
        "ro" | "ron" => Language::Romanian,
        "ru" | "rus" => Language::Russian,
        "es" | "spa" => Language::Spanish,
        "sv" | "swe" => Language::Swedish,
        "ta" | "tam" => Language::Tamil,
        "tr" | "tur" => Language::Turkish,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words_of(text: &str) -> Vec<String> {
        split(text).into_iter().map(|word| word.text).collect()
    }

    #[test]
    fn words_are_runs_of_letters_and_digits() {
        assert_eq!(
            words_of("Invoice INV-2024/001"),
            ["invoice", "inv", "2024", "001"]
        );
        assert_eq!(
            words_of("Müller's café, Œuvre"),
            ["muller", "s", "cafe", "oeuvre"]
        );
        assert_eq!(words_of("  …  "), Vec::<String>::new());
        let long = "x".repeat(101);
        assert_eq!(words_of(&format!("a {long} b")), ["a", "b"]);
    }

    #[test]
    fn each_letter_is_a_word_where_there_are_no_spaces() {
        assert_eq!(
            words_of("油圧ポンプ v2"),
            ["油", "圧", "ポ", "ン", "プ", "v2"]
        );
    }

    #[test]
    fn places_are_those_of_the_text() {
        let text = "Größe: 12 mm";
        for word in split(text) {
            assert_eq!(words_of(&text[word.start..word.end]), [word.text]);
        }
    }

    #[test]
    fn stems_follow_the_language() {
        let mut english = Stems::of(None);
        assert_eq!(english.of_word("running"), english.of_word("runs"));
        assert_eq!(english.of_word("the"), None);
        for code in ["de", "deu"] {
            let mut german = Stems::of(Some(code));
            assert_eq!(german.of_word("Häuser"), german.of_word("Hauses"));
        }
        let of_stop_words = Stems::of(Some("en")).of_text("to be or not to be");
        assert_eq!(of_stop_words.tokens.len(), 6);
        let question = Stems::of(Some("en")).of_text("Where is the pump?");
        assert!(question.tokens.iter().any(|token| token.text == "pump"));
        assert!(!question.tokens.iter().any(|token| token.text == "the"));
    }
}
