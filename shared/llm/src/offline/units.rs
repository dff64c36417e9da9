//! Cutting a text into pieces that can be quoted.

use super::lexicon;

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

/// Cuts a text into pieces that can be quoted: sentences, list items, table rows.
pub(super) fn units(text: &str) -> Vec<Unit> {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let mut splitter = Splitter::default();
    for (position, line) in lines.iter().enumerate() {
        splitter.line(line, &lines[position + 1..]);
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
    after_field: bool,
    table_header: Option<Vec<String>>,
}

impl Splitter {
    fn line(&mut self, line: &str, rest: &[&str]) {
        if let Some(cells) = cells(line) {
            self.flush();
            self.row(cells);
            return;
        }
        self.table_header = None;
        let next_is_field = rest.first().is_some_and(|next| is_field(next));
        let in_fields = is_field(line) && (self.after_field || next_is_field);
        self.after_field = in_fields;
        if line.is_empty() {
            self.flush();
        } else if in_fields {
            self.flush();
            self.push(line.to_owned(), false);
        } else if let Some(heading) = heading(line, rest, self.paragraph.is_empty()) {
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

/// A Markdown heading, or a short line without an end that stands above a text.
fn heading(line: &str, rest: &[&str], starts_paragraph: bool) -> Option<String> {
    let marked = line.trim_start_matches('#');
    if marked.len() < line.len() && marked.starts_with(' ') {
        return Some(marked.trim().to_owned());
    }
    let short = line.chars().count() < 60
        && line.ends_with(|c: char| c.is_alphanumeric() || c == ')')
        && list_item(line).is_none();
    let above = |next: &str| next.starts_with(|c: char| c.is_uppercase());
    let follows = match rest {
        // With a gap below it, a line has to look more like a title.
        ["", rest @ ..] => {
            line.split_whitespace().count() <= 6
                && line.starts_with(|c: char| c.is_uppercase())
                && !line.contains(|c: char| c.is_ascii_digit() || c == ':')
                && rest
                    .iter()
                    .find(|next| !next.is_empty())
                    .is_some_and(|next| above(next))
        }
        [next, ..] => above(next),
        [] => false,
    };
    (starts_paragraph && short && follows).then(|| line.to_owned())
}

/// A line of a data sheet: "Supply voltage: 24 V".
fn is_field(line: &str) -> bool {
    line.split_once(": ").is_some_and(|(label, value)| {
        label.starts_with(|c: char| c.is_uppercase())
            && label.split_whitespace().count() <= 5
            && !label.contains(['.', ',', '?', '!'])
            && !value.trim().is_empty()
            && line.chars().count() <= 120
    })
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
    initial || lexicon::is_abbreviation(&word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<String> {
        units(text).into_iter().map(|unit| unit.text).collect()
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
    fn fields_and_titles_stand_alone() {
        let sheet = "Data sheet\n\nX200 controller\nSupply voltage: 24 V\nPower: 8.5 W\n\n\
                     Note: it is warm.\nThe device rests.\nLabel 3\n\nLast";
        assert_eq!(
            texts(sheet),
            [
                "Supply voltage: 24 V",
                "Power: 8.5 W",
                "Note: it is warm.",
                "The device rests.",
                "Label 3",
                "Last"
            ]
        );
        assert_eq!(units(sheet)[0].heading, "X200 controller");
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
