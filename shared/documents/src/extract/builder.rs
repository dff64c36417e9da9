//! Collects what the parsers find into sections, within the bounds on text and time.

use crate::document::{Document, Section};
use crate::limits::{Deadline, Limits};
use crate::rejection::{Measure, Rejection};

/// A longer heading is cut in the heading path, which every section below it repeats. The text
/// keeps it whole.
const HEADING_CHARS: usize = 200;

/// How a block stands to the one before it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Block {
    /// With a blank line between.
    Paragraph,
    /// On the next line, if the one before is a line too: list items, table rows.
    Line,
}

/// How the first row of a table is to be read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Header {
    /// The file says that it holds column names.
    Declared,
    /// The file does not say.
    Unknown,
}

pub(super) struct Builder {
    deadline: Deadline,
    text_limit: u64,
    spent: u64,
    title: Option<String>,
    first_heading: Option<String>,
    page: Option<u32>,
    path: Vec<(u8, String)>,
    current: String,
    last_block: Block,
    sections: Vec<Section>,
    warnings: Vec<String>,
}

impl Builder {
    pub(super) fn new(limits: &Limits, deadline: Deadline) -> Self {
        Self {
            deadline,
            text_limit: limits.text_bytes,
            spent: 0,
            title: None,
            first_heading: None,
            page: None,
            path: Vec::new(),
            current: String::new(),
            last_block: Block::Paragraph,
            sections: Vec::new(),
            warnings: Vec::new(),
        }
    }

    pub(super) fn deadline(&self) -> Deadline {
        self.deadline
    }

    pub(super) fn check_deadline(&self) -> Result<(), Rejection> {
        self.deadline.check()
    }

    /// The title that the file declares. The first one wins.
    pub(super) fn title(&mut self, title: &str) {
        let title = one_line(title);
        if self.title.is_none() && !title.is_empty() {
            self.title = Some(title);
        }
    }

    pub(super) fn warn(&mut self, sentence: String) {
        self.warnings.push(sentence);
    }

    /// Starts a page. The headings of the page before still hold.
    pub(super) fn page(&mut self, number: u32) -> Result<(), Rejection> {
        self.close_section()?;
        self.page = Some(number);
        Ok(())
    }

    /// Starts a section under a heading of `level`, 1 being the outermost, which also opens its
    /// text. The title that the file declares, at its very start, is text and no heading: it
    /// stands above all of them.
    pub(super) fn heading(&mut self, level: u8, text: &str) -> Result<(), Rejection> {
        let line = one_line(text);
        if line.is_empty() {
            return Ok(());
        }
        let at_start = self.sections.is_empty() && self.current.is_empty();
        if at_start && self.title.as_ref() == Some(&line) {
            return self.push(Block::Paragraph, &line);
        }
        if self.first_heading.is_none() {
            self.first_heading = Some(shortened(&line));
        }
        self.label(level, &line)?;
        self.push(Block::Paragraph, &line)
    }

    /// Starts a section under a heading that is no text of the file.
    pub(super) fn label(&mut self, level: u8, text: &str) -> Result<(), Rejection> {
        self.close_section()?;
        while self.path.last().is_some_and(|(above, _)| *above >= level) {
            self.path.pop();
        }
        self.path.push((level, shortened(text)));
        Ok(())
    }

    /// Adds text to the current section. Blank text is nothing.
    pub(super) fn push(&mut self, block: Block, text: &str) -> Result<(), Rejection> {
        self.deadline.check()?;
        let text = cleaned(text);
        let text = text.trim_end().trim_start_matches('\n');
        if text.trim().is_empty() {
            return Ok(());
        }
        if !self.current.is_empty() {
            let adjacent = block == Block::Line && self.last_block == Block::Line;
            self.current.push_str(if adjacent { "\n" } else { "\n\n" });
        }
        self.current.push_str(text);
        self.last_block = block;
        self.check_text(self.current.len() as u64)
    }

    /// Adds a table, one row to a line. With column names a row reads `name: value; name: value`,
    /// so that each line stands for itself when the table is cut; without, `value | value`.
    pub(super) fn table(&mut self, rows: &[Vec<String>], header: Header) -> Result<(), Rejection> {
        let named = header == Header::Declared || first_row_names_columns(rows);
        let (names, body) = match rows {
            [names, body @ ..] if named && !body.is_empty() => (Some(names), body),
            _ => (None, rows),
        };
        for row in body {
            self.row(names.map(Vec::as_slice), row)?;
        }
        Ok(())
    }

    pub(super) fn row(
        &mut self,
        names: Option<&[String]>,
        row: &[String],
    ) -> Result<(), Rejection> {
        let mut line = String::new();
        for (column, value) in row.iter().enumerate() {
            let value = one_line(value);
            if value.is_empty() {
                continue;
            }
            let name = names.and_then(|n| n.get(column)).map(|n| one_line(n));
            if !line.is_empty() {
                line.push_str(if names.is_some() { "; " } else { " | " });
            }
            if let Some(name) = name.filter(|n| !n.is_empty()) {
                line.push_str(&name);
                line.push_str(": ");
            }
            line.push_str(&value);
            // Long column names repeated in many cells of one row would outgrow the bound
            // before the row is pushed.
            self.check_text((self.current.len() + line.len()) as u64)?;
        }
        self.push(Block::Line, &line)
    }

    pub(super) fn finish(mut self, hint_if_empty: &str) -> Result<Document, Rejection> {
        self.close_section()?;
        if self.sections.is_empty() {
            return Err(Rejection::empty(hint_if_empty));
        }
        Ok(Document {
            title: self.title.or(self.first_heading),
            sections: self.sections,
            warnings: self.warnings,
        })
    }

    fn close_section(&mut self) -> Result<(), Rejection> {
        self.last_block = Block::Paragraph;
        if self.current.is_empty() {
            return Ok(());
        }
        let section = Section {
            page: self.page,
            heading_path: self.path.iter().map(|(_, text)| text.clone()).collect(),
            text: std::mem::take(&mut self.current),
        };
        // Headings are repeated in every section below them, so they count each time.
        let headings: usize = section.heading_path.iter().map(String::len).sum();
        self.spent += (section.text.len() + headings) as u64;
        self.sections.push(section);
        self.check_text(0)
    }

    fn check_text(&self, pending: u64) -> Result<(), Rejection> {
        if self.spent + pending > self.text_limit {
            return Err(Rejection::TooLarge {
                measure: Measure::Text,
                limit: self.text_limit,
            });
        }
        Ok(())
    }
}

/// Whether the first row reads like column names: short, different, and without figures.
fn first_row_names_columns(rows: &[Vec<String>]) -> bool {
    let Some(first) = rows.first() else {
        return false;
    };
    let names: Vec<&str> = first.iter().map(|cell| cell.trim()).collect();
    names.len() >= 2
        && rows.len() >= 2
        && names.iter().enumerate().all(|(index, name)| {
            !name.is_empty()
                && name.len() <= 60
                && !name.contains(|c: char| c.is_ascii_digit())
                && !names[..index].contains(name)
        })
}

/// Line ends made one kind, characters that cannot be seen removed.
fn cleaned(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            '\r' => {
                if characters.peek() != Some(&'\n') {
                    clean.push('\n');
                }
            }
            '\n' | '\t' => clean.push(c),
            '\u{A0}' | '\u{2007}' | '\u{202F}' => clean.push(' '),
            '\u{2028}' | '\u{2029}' | '\u{C}' | '\u{B}' => clean.push('\n'),
            // Soft hyphen, zero width, byte order mark, direction marks, tag characters: they
            // break words apart for search, and hide text from people.
            '\u{AD}'
            | '\u{200B}'..='\u{200F}'
            | '\u{202A}'..='\u{202E}'
            | '\u{2060}'..='\u{2069}'
            | '\u{FEFF}'
            | '\u{E0000}'..='\u{E007F}' => {}
            c if c.is_control() => {}
            c => clean.push(c),
        }
    }
    clean
}

fn one_line(text: &str) -> String {
    let clean = cleaned(text);
    let mut line = String::with_capacity(clean.len());
    for word in clean.split_whitespace() {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    line
}

fn shortened(line: &str) -> String {
    match line.char_indices().nth(HEADING_CHARS) {
        Some((end, _)) => format!("{}…", line[..end].trim_end()),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn builder(text_bytes: u64) -> Builder {
        let limits = Limits {
            text_bytes,
            ..Limits::default()
        };
        Builder::new(&limits, Deadline::of(&limits))
    }

    fn rows(table: &[&[&str]]) -> Vec<Vec<String>> {
        table
            .iter()
            .map(|row| row.iter().map(|cell| (*cell).to_owned()).collect())
            .collect()
    }

    #[test]
    fn headings_nest_and_a_page_keeps_them() {
        let mut b = builder(1000);
        b.page(1).unwrap();
        b.heading(1, "One").unwrap();
        b.heading(2, "Inner").unwrap();
        b.push(Block::Paragraph, "text").unwrap();
        b.page(2).unwrap();
        b.push(Block::Paragraph, "more").unwrap();
        b.heading(1, "Two").unwrap();
        let document = b.finish("").unwrap();
        let places: Vec<_> = document
            .sections
            .iter()
            .map(|s| (s.page, s.heading_path.join("/"), s.text.as_str()))
            .collect();
        assert_eq!(
            places,
            [
                (Some(1), "One".to_owned(), "One"),
                (Some(1), "One/Inner".to_owned(), "Inner\n\ntext"),
                (Some(2), "One/Inner".to_owned(), "more"),
                (Some(2), "Two".to_owned(), "Two"),
            ]
        );
        assert_eq!(document.title.as_deref(), Some("One"));
    }

    #[test]
    fn the_declared_title_at_the_start_is_no_heading() {
        let mut b = builder(1000);
        b.title("  The Book ");
        b.heading(1, "The Book").unwrap();
        b.heading(1, "Part").unwrap();
        b.heading(1, "The Book").unwrap();
        let paths: Vec<_> = b
            .finish("")
            .unwrap()
            .sections
            .into_iter()
            .map(|s| s.heading_path)
            .collect();
        assert_eq!(
            paths,
            [vec![], vec!["Part".to_owned()], vec!["The Book".to_owned()]]
        );
    }

    #[test]
    fn rows_carry_column_names_when_the_first_row_has_them() {
        let mut b = builder(1000);
        let table = rows(&[&["Code", "Meaning"], &["E1", "too  hot"], &["E2", ""]]);
        b.table(&table, Header::Unknown).unwrap();
        b.push(Block::Paragraph, "between").unwrap();
        let table = rows(&[&["Voltage", "24 V"], &["Current", "2 A"]]);
        b.table(&table, Header::Unknown).unwrap();
        let document = b.finish("").unwrap();
        assert_eq!(
            document.sections[0].text,
            "Code: E1; Meaning: too hot\nCode: E2\n\nbetween\n\nVoltage | 24 V\nCurrent | 2 A"
        );
    }

    #[test]
    fn repeated_headings_count_against_the_bound_on_text() {
        let mut b = builder(10_000);
        b.heading(1, &"long ".repeat(40)).unwrap();
        let outcome = (0..1000).try_for_each(|_| b.heading(2, "a"));
        assert_eq!(outcome.unwrap_err().code(), "too_large");
    }

    #[test]
    fn wide_rows_with_long_names_stop_at_the_bound() {
        let mut b = builder(10_000);
        let table = vec![vec!["n".repeat(50); 1000], vec!["v".to_owned(); 1000]];
        let outcome = b.table(&table, Header::Declared);
        assert_eq!(outcome.unwrap_err().code(), "too_large");
    }

    #[test]
    fn a_passed_deadline_stops_the_next_step() {
        let limits = Limits {
            wall_clock: Duration::ZERO,
            ..Limits::default()
        };
        let mut b = Builder::new(&limits, Deadline::of(&limits));
        let outcome = b.push(Block::Paragraph, "text");
        assert_eq!(outcome.unwrap_err().code(), "timed_out");
    }

    #[test]
    fn invisible_characters_are_removed() {
        assert_eq!(
            cleaned("a\u{AD}b\u{200B}c\u{0}d\r\ne\rf\u{A0}g"),
            "abcd\ne\nf g"
        );
        assert_eq!(one_line("  a\n\tb  c "), "a b c");
    }
}
