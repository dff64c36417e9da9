//! Words, stems and sentences: as much language as the offline model has.

/// A word or number, ready to compare.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    /// The comparable form: a light stem, or a number without separators.
    pub stem: String,
    /// Whether it is a number.
    pub number: bool,
}

/// A piece of a document that can be quoted by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unit {
    /// The piece, on one line.
    pub text: String,
    /// The heading above it, inside the same text.
    pub heading: String,
    /// Whether it is an item of a list.
    pub item: bool,
}

/// Words that say nothing about the subject. Sorted, for a binary search.
const STOP_WORDS: &[&str] = &[
    "a",
    "about",
    "according",
    "after",
    "all",
    "also",
    "am",
    "an",
    "and",
    "any",
    "are",
    "as",
    "at",
    "be",
    "been",
    "before",
    "being",
    "between",
    "but",
    "by",
    "can",
    "could",
    "did",
    "do",
    "does",
    "each",
    "every",
    "find",
    "for",
    "from",
    "get",
    "give",
    "had",
    "has",
    "have",
    "he",
    "her",
    "here",
    "his",
    "how",
    "i",
    "if",
    "in",
    "into",
    "is",
    "it",
    "its",
    "list",
    "long",
    "many",
    "may",
    "me",
    "might",
    "much",
    "must",
    "my",
    "need",
    "no",
    "not",
    "of",
    "often",
    "on",
    "or",
    "our",
    "out",
    "please",
    "say",
    "says",
    "shall",
    "she",
    "should",
    "show",
    "so",
    "some",
    "tell",
    "than",
    "that",
    "the",
    "their",
    "them",
    "then",
    "there",
    "these",
    "they",
    "this",
    "those",
    "to",
    "up",
    "us",
    "was",
    "we",
    "were",
    "what",
    "when",
    "where",
    "which",
    "who",
    "whom",
    "whose",
    "why",
    "will",
    "with",
    "would",
    "you",
    "your",
];

/// Abbreviations after which a full stop ends no sentence.
const ABBREVIATIONS: &[&str] = &[
    "approx", "art", "ca", "cf", "co", "dr", "e.g", "eq", "etc", "fig", "i.e", "inc", "incl",
    "ltd", "max", "min", "mr", "mrs", "ms", "no", "nos", "nr", "p", "pp", "sec", "st", "tel",
    "vol", "vs",
];

/// Whether a lower-case word says nothing about the subject.
pub(super) fn is_stop_word(word: &str) -> bool {
    STOP_WORDS.binary_search(&word).is_ok()
}

/// The words and numbers of a text, in order.
pub(super) fn tokens(text: &str) -> Vec<Token> {
    words(text)
        .into_iter()
        .map(|word| match number(&word) {
            Some(stem) => Token { stem, number: true },
            None => Token {
                stem: stem(&word),
                number: false,
            },
        })
        .collect()
}

/// The words of a text in lower case. Digits and the letters after them are two words, so that
/// `20mm` is a number with a unit; `M12` is one.
pub(super) fn words(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    let mut words = Vec::new();
    let mut word = String::new();
    for (position, &c) in chars.iter().enumerate() {
        let previous = position.checked_sub(1).map(|at| chars[at]);
        let next = chars.get(position + 1).copied();
        let in_number = word.chars().all(|c| !c.is_alphabetic()) && !word.is_empty();
        let digits_around = previous.is_some_and(|c| c.is_ascii_digit())
            && next.is_some_and(|c| c.is_ascii_digit());
        if c.is_alphanumeric() {
            if in_number && c.is_alphabetic() {
                words.push(std::mem::take(&mut word));
            }
            word.extend(c.to_lowercase());
        } else if in_number && digits_around && matches!(c, '.' | ',') {
            word.push(c);
        } else if in_number && digits_around && is_thousands_space(c) {
            // "2 000" set with a narrow or fixed space is one number.
        } else if matches!(c, '\'' | '’') && next.is_some_and(char::is_alphabetic) {
            // The rest of "pump's" is no word.
            word.push('\'');
        } else if matches!(c, '%' | '°') {
            flush(&mut word, &mut words);
            words.push(c.to_string());
        } else {
            flush(&mut word, &mut words);
        }
    }
    flush(&mut word, &mut words);
    words
}

fn flush(word: &mut String, words: &mut Vec<String>) {
    let whole = std::mem::take(word);
    let bare = whole.split('\'').next().unwrap_or_default();
    if !bare.is_empty() {
        words.push(bare.to_owned());
    }
}

fn is_thousands_space(c: char) -> bool {
    matches!(c, '\u{a0}' | '\u{2009}' | '\u{202f}')
}

/// The plain form of a number: no thousands separators, a point before decimals, small numerals
/// as digits.
fn number(word: &str) -> Option<String> {
    const NUMERALS: [&str; 11] = [
        "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    ];
    if let Some(position) = NUMERALS.iter().position(|numeral| *numeral == word) {
        return Some((position + 2).to_string());
    }
    if !word.starts_with(|c: char| c.is_ascii_digit())
        || !word
            .chars()
            .all(|c| c.is_ascii_digit() || matches!(c, '.' | ','))
    {
        return None;
    }
    let groups: Vec<&str> = word.split(',').collect();
    let thousands = groups.len() > 1
        && groups[0].len() <= 3
        && groups[1..].iter().all(|group| {
            let whole = group.split('.').next().unwrap_or_default();
            whole.len() == 3
        });
    Some(match thousands {
        true => word.replace(',', ""),
        false => word.replace(',', "."),
    })
}

/// Cuts the endings that English adds to one word. The result need not be a word; two forms of
/// one word have to give the same.
pub(super) fn stem(word: &str) -> String {
    if !word.is_ascii() || word.len() <= 3 || word.bytes().any(|byte| byte.is_ascii_digit()) {
        return word.to_owned();
    }
    if word.starts_with("mainten") {
        return "maintain".to_owned();
    }
    let mut stem = word.to_owned();
    if let Some(base) = cut(&stem, "ies", 2) {
        stem = format!("{base}y");
    } else if let Some(base) = cut(&stem, "sses", 1) {
        stem = format!("{base}ss");
    } else if !stem.ends_with("ss") && !stem.ends_with("us") && !stem.ends_with("is") {
        stem = cut(&stem, "s", 2).unwrap_or(stem);
    }
    for (ending, least) in [
        ("ional", 4),
        ("ion", 4),
        ("ment", 4),
        ("ing", 3),
        ("ed", 3),
        ("ly", 4),
    ] {
        if let Some(base) = cut(&stem, ending, least) {
            stem = single_consonant(base);
            break;
        }
    }
    cut(&stem, "e", 3).unwrap_or(stem)
}

fn cut(word: &str, ending: &str, least: usize) -> Option<String> {
    word.strip_suffix(ending)
        .filter(|base| base.len() >= least)
        .map(str::to_owned)
}

/// "stopp" from "stopped" is "stop"; "fill" stays.
fn single_consonant(mut base: String) -> String {
    let bytes = base.as_bytes();
    let length = bytes.len();
    if length > 3
        && bytes[length - 1] == bytes[length - 2]
        && matches!(
            bytes[length - 1],
            b'b' | b'd' | b'g' | b'm' | b'n' | b'p' | b'r' | b't'
        )
    {
        base.pop();
    }
    base
}

/// Cuts a text into pieces that can be quoted: sentences, list items, table rows.
pub(super) fn units(text: &str) -> Vec<Unit> {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let mut splitter = Splitter::default();
    for (position, line) in lines.iter().enumerate() {
        let next = lines.get(position + 1).copied().unwrap_or_default();
        splitter.line(line, next);
    }
    splitter.flush();
    splitter.units
}

#[derive(Default)]
struct Splitter {
    units: Vec<Unit>,
    paragraph: String,
    item: bool,
    heading: String,
    table_header: Option<Vec<String>>,
}

impl Splitter {
    fn line(&mut self, line: &str, next: &str) {
        if let Some(cells) = cells(line) {
            self.flush();
            self.row(cells);
            return;
        }
        self.table_header = None;
        if line.is_empty() {
            self.flush();
        } else if let Some(heading) = heading(line, next, self.paragraph.is_empty()) {
            self.flush();
            self.heading = heading;
        } else if let Some(item) = list_item(line) {
            self.flush();
            self.item = true;
            self.paragraph.push_str(item);
        } else {
            self.append(line);
        }
    }

    /// Adds a line to the paragraph, undoing the hyphen of a word that was split for layout.
    fn append(&mut self, line: &str) {
        let split_word = self.paragraph.ends_with('-')
            && self
                .paragraph
                .chars()
                .rev()
                .nth(1)
                .is_some_and(char::is_alphabetic)
            && line.starts_with(char::is_lowercase);
        if split_word {
            self.paragraph.pop();
        } else if !self.paragraph.is_empty() {
            self.paragraph.push(' ');
        }
        self.paragraph.push_str(line);
    }

    /// A row reads as "column: cell, column: cell", so that it makes sense outside its table.
    fn row(&mut self, cells: Vec<String>) {
        if cells
            .iter()
            .all(|cell| cell.chars().all(|c| matches!(c, '-' | ':' | ' ')))
        {
            return;
        }
        let Some(header) = &self.table_header else {
            self.table_header = Some(cells);
            return;
        };
        let text = cells
            .iter()
            .enumerate()
            .filter(|(_, cell)| !cell.is_empty())
            .map(
                |(column, cell)| match header.get(column).filter(|name| !name.is_empty()) {
                    Some(name) => format!("{name}: {cell}"),
                    None => cell.clone(),
                },
            )
            .collect::<Vec<_>>()
            .join(", ");
        self.push(text, false);
    }

    fn flush(&mut self) {
        let paragraph = std::mem::take(&mut self.paragraph);
        let item = std::mem::take(&mut self.item);
        for sentence in sentences(&paragraph) {
            self.push(sentence, item);
        }
    }

    fn push(&mut self, text: String, item: bool) {
        if text.chars().any(char::is_alphanumeric) {
            self.units.push(Unit {
                text,
                heading: self.heading.clone(),
                item,
            });
        }
    }
}

fn cells(line: &str) -> Option<Vec<String>> {
    let split: Vec<&str> = if line.contains('|') {
        line.trim_matches('|').split('|').collect()
    } else if line.contains('\t') {
        line.split('\t').collect()
    } else {
        return None;
    };
    (split.len() >= 2).then(|| split.iter().map(|cell| cell.trim().to_owned()).collect())
}

/// A Markdown heading, or a short line without an end that stands above a paragraph.
fn heading(line: &str, next: &str, starts_paragraph: bool) -> Option<String> {
    let marked = line.trim_start_matches('#');
    if marked.len() < line.len() && marked.starts_with(' ') {
        return Some(marked.trim().to_owned());
    }
    let bare = starts_paragraph
        && line.chars().count() < 60
        && line.ends_with(|c: char| c.is_alphanumeric() || c == ')')
        && list_item(line).is_none()
        && next.starts_with(|c: char| c.is_uppercase());
    bare.then(|| line.to_owned())
}

fn list_item(line: &str) -> Option<&str> {
    for mark in ["- ", "* ", "• ", "– ", "+ "] {
        if let Some(item) = line.strip_prefix(mark) {
            return Some(item.trim());
        }
    }
    let digits = line.bytes().take_while(u8::is_ascii_digit).count();
    if digits == 0 || digits > 3 {
        return None;
    }
    line[digits..]
        .strip_prefix(['.', ')'])
        .filter(|rest| rest.starts_with(' '))
        .map(str::trim)
}

/// The sentences of a paragraph.
pub(super) fn sentences(paragraph: &str) -> Vec<String> {
    let chars: Vec<(usize, char)> = paragraph.char_indices().collect();
    let mut sentences = Vec::new();
    let mut start = 0;
    for (position, &(offset, c)) in chars.iter().enumerate() {
        if !matches!(c, '.' | '!' | '?' | '…') {
            continue;
        }
        let mut rest = chars[position + 1..].iter().map(|(_, c)| *c);
        let closes = |c: char| matches!(c, '"' | '”' | '’' | ')' | ']');
        let spaced = rest
            .by_ref()
            .find(|c| !closes(*c))
            .is_some_and(char::is_whitespace);
        let follows = rest.find(|c| !c.is_whitespace());
        let begins = follows.is_some_and(|c| !c.is_lowercase());
        let ends = spaced && begins && !(c == '.' && is_abbreviation(&paragraph[start..offset]));
        if ends {
            let mut end = offset + c.len_utf8();
            while let Some(closing) = paragraph[end..].chars().next().filter(|c| closes(*c)) {
                end += closing.len_utf8();
            }
            push_sentence(&paragraph[start..end], &mut sentences);
            start = end;
        }
    }
    push_sentence(&paragraph[start..], &mut sentences);
    sentences
}

fn push_sentence(sentence: &str, sentences: &mut Vec<String>) {
    let sentence = sentence.split_whitespace().collect::<Vec<_>>().join(" ");
    if !sentence.is_empty() {
        sentences.push(sentence);
    }
}

fn is_abbreviation(before: &str) -> bool {
    let word = before
        .rsplit(|c: char| c.is_whitespace() || c == '(')
        .next()
        .unwrap_or_default()
        .to_lowercase();
    let initial = word.chars().count() == 1 && word.chars().all(char::is_alphabetic);
    initial || ABBREVIATIONS.contains(&word.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<String> {
        units(text).into_iter().map(|unit| unit.text).collect()
    }

    #[test]
    fn stop_words_are_sorted() {
        assert!(STOP_WORDS.is_sorted());
        assert!(is_stop_word("the") && !is_stop_word("oil"));
    }

    #[test]
    fn forms_of_a_word_share_a_stem() {
        for forms in [
            &["change", "changes", "changed", "changing"][..],
            &["interval", "intervals"],
            &["maintain", "maintenance"],
            &["replace", "replaced", "replacement", "replacing"],
            &["battery", "batteries"],
            &[
                "operate",
                "operation",
                "operations",
                "operating",
                "operated",
            ],
            &["stop", "stops", "stopped", "stopping"],
            &["glass", "glasses"],
            &["lubricate", "lubrication", "lubricating"],
        ] {
            let stems: Vec<String> = forms.iter().map(|form| stem(form)).collect();
            assert!(stems.iter().all(|stem| *stem == stems[0]), "{stems:?}");
        }
        assert_ne!(stem("gear"), stem("gearbox"));
    }

    #[test]
    fn numbers_are_compared_by_value() {
        let stems = |text: &str| -> Vec<String> {
            tokens(text).into_iter().map(|token| token.stem).collect()
        };
        assert_eq!(stems("2,000 hours"), ["2000", "hour"]);
        assert_eq!(stems("2\u{202f}000 h"), ["2000", "h"]);
        assert_eq!(stems("1,5 bar"), ["1.5", "bar"]);
        assert_eq!(stems("1,234,567.89"), ["1234567.89"]);
        assert_eq!(
            stems("20mm at 80 °C, 5%"),
            ["20", "mm", "at", "80", "°", "c", "5", "%"]
        );
        assert_eq!(
            stems("M12 bolt, six of them"),
            ["m12", "bolt", "6", "of", "them"]
        );
        assert_eq!(stems("the pump's seal"), ["the", "pump", "seal"]);
    }

    #[test]
    fn sentences_end_where_they_should() {
        assert_eq!(
            sentences("See no. 5 of 1.5 mm, e.g. the red one. Then stop! Is it off? (Yes.) Good"),
            [
                "See no. 5 of 1.5 mm, e.g. the red one.",
                "Then stop!",
                "Is it off?",
                "(Yes.)",
                "Good"
            ]
        );
    }

    #[test]
    fn structure_decides_before_punctuation() {
        let text = "# Gearbox\nThe oil lasts\nlong. Check it.\n\nSteps:\n1. Stop the ma-\nchine.\n2) Drain it\n- Wait\n\nOil grade\nUse ISO VG 220.";
        assert_eq!(
            texts(text),
            [
                "The oil lasts long.",
                "Check it.",
                "Steps:",
                "Stop the machine.",
                "Drain it",
                "Wait",
                "Use ISO VG 220."
            ]
        );
        let units = units(text);
        assert_eq!(units[0].heading, "Gearbox");
        assert_eq!(units[6].heading, "Oil grade");
        assert!(units[4].item && !units[2].item);
    }

    #[test]
    fn table_rows_carry_their_columns() {
        let table =
            "| Part | Interval |\n|---|:--|\n| Gearbox oil | 2,000 h |\n| Filter | |\n\nA\tB\n1\t2";
        assert_eq!(
            texts(table),
            [
                "Part: Gearbox oil, Interval: 2,000 h",
                "Part: Filter",
                "A: 1, B: 2"
            ]
        );
    }
}
