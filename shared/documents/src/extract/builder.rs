//! Makes sections of what the parsers find, within the bounds on text and time, and hands them on
//! as they are done.

use std::time::Instant;

use super::language;
use crate::document::{About, Heading, SECTION_BREAK, Section};
use crate::limits::Deadline;
use crate::rejection::{Measure, Rejection};

/// A longer heading is cut in the heading path, which every section below it repeats. The text
/// keeps it whole.
const HEADING_CHARS: usize = 200;
/// A section is handed on in parts of about this size.
const PART_BYTES: usize = 64 * 1024;
/// The most headings that the outline keeps.
const MAX_OUTLINE: usize = 1_000;
/// So much of the text is looked at to find its language.
const SAMPLE_BYTES: usize = 32 * 1024;

/// Takes the sections of a file as they are done.
pub(crate) type Sink<'s> = dyn FnMut(Section) -> Result<(), Rejection> + 's;

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

pub(super) struct Builder<'s> {
    sink: &'s mut Sink<'s>,
    deadline: Deadline,
    text_limit: u64,
    spent: u64,
    title: Option<String>,
    first_heading: Option<String>,
    page: Option<u32>,
    pages: Option<u32>,
    path: Vec<(u8, String)>,
    current: String,
    /// Whether `current` goes on with what was handed on already.
    continues: bool,
    last_block: Block,
    /// How many parts were handed on, and the characters of the text in them.
    parts: u64,
    characters: u64,
    outline: Vec<Heading>,
    sample: String,
    warnings: Vec<String>,
}

impl<'s> Builder<'s> {
    pub(super) fn new(text_limit: u64, deadline: Deadline, sink: &'s mut Sink<'s>) -> Self {
        Self {
            sink,
            deadline,
            text_limit,
            spent: 0,
            title: None,
            first_heading: None,
            page: None,
            pages: None,
            path: Vec::new(),
            current: String::new(),
            continues: false,
            last_block: Block::Paragraph,
            parts: 0,
            characters: 0,
            outline: Vec::new(),
            sample: String::new(),
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
        self.pages = self.pages.max(Some(number));
        Ok(())
    }

    /// Starts a page that no heading reaches into: a slide, a sheet.
    pub(super) fn separate_page(&mut self, number: u32) -> Result<(), Rejection> {
        self.page(number)?;
        self.path.clear();
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
        let at_start = self.parts == 0 && self.current.is_empty();
        if at_start && self.title.as_ref() == Some(&line) {
            return self.push(Block::Paragraph, &line);
        }
        if self.first_heading.is_none() {
            self.first_heading = Some(shortened(&line));
        }
        self.listed_label(level, &line)?;
        self.push(Block::Paragraph, &line)
    }

    /// Starts a section under a name that is no text of the file, or is text already, and that the
    /// outline shows.
    pub(super) fn listed_label(&mut self, level: u8, text: &str) -> Result<(), Rejection> {
        self.label(level, text)?;
        if self.outline.len() < MAX_OUTLINE {
            let gap = if self.parts > 0 {
                SECTION_BREAK.len()
            } else {
                0
            };
            self.outline.push(Heading {
                level,
                title: shortened(text),
                page: self.page,
                start: self.characters + gap as u64,
            });
        }
        Ok(())
    }

    /// Starts a section under a name that is no text of the file and that the outline leaves out.
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
        if !self.current.is_empty() || self.continues {
            let adjacent = block == Block::Line && self.last_block == Block::Line;
            self.current.push_str(if adjacent { "\n" } else { "\n\n" });
        }
        self.current.push_str(text);
        self.last_block = block;
        self.check_text(self.current.len() as u64)?;
        self.hand_on_if_long()
    }

    /// Adds text to the current section as it stands, with nothing between it and what is there.
    pub(super) fn append(&mut self, text: &str) -> Result<(), Rejection> {
        self.deadline.check()?;
        let text = cleaned(text);
        let opens = self.current.is_empty() && !self.continues;
        let text = if opens {
            text.trim_start_matches('\n')
        } else {
            &text
        };
        self.current.push_str(text);
        self.last_block = Block::Paragraph;
        self.check_text(self.current.len() as u64)?;
        self.hand_on_if_long()
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

    pub(super) fn finish(mut self, hint_if_empty: &str) -> Result<About, Rejection> {
        self.close_section()?;
        if self.parts == 0 {
            return Err(Rejection::empty(hint_if_empty));
        }
        Ok(About {
            title: self.title.or(self.first_heading),
            language: language::of(&self.sample),
            pages: self.pages,
            outline: self.outline,
            characters: self.characters,
            warnings: self.warnings,
            ..About::default()
        })
    }

    /// Hands the section on but for white space at its end, which may be the end of it all.
    fn hand_on_if_long(&mut self) -> Result<(), Rejection> {
        if self.current.len() < PART_BYTES {
            return Ok(());
        }
        let end = self.current.trim_end().len();
        let mut rest = self.current.split_off(end);
        if rest.len() >= PART_BYTES {
            rest = SECTION_BREAK.to_owned();
        }
        self.hand_on()?;
        self.current = rest;
        Ok(())
    }

    fn close_section(&mut self) -> Result<(), Rejection> {
        self.last_block = Block::Paragraph;
        self.current.truncate(self.current.trim_end().len());
        self.hand_on()?;
        self.continues = false;
        Ok(())
    }

    fn hand_on(&mut self) -> Result<(), Rejection> {
        if self.current.is_empty() {
            return Ok(());
        }
        let section = Section {
            page: self.page,
            heading_path: self.path.iter().map(|(_, text)| text.clone()).collect(),
            text: std::mem::take(&mut self.current),
            continues: std::mem::replace(&mut self.continues, true),
        };
        // Headings are repeated in every section below them, so they count each time.
        let headings: usize = section.heading_path.iter().map(String::len).sum();
        self.spent += (section.text.len() + headings) as u64;
        self.check_text(0)?;
        if self.parts > 0 {
            self.characters += section.break_before().len() as u64;
        }
        self.characters += section.text.chars().count() as u64;
        self.parts += 1;
        if self.sample.len() < SAMPLE_BYTES {
            self.sample.push_str(&section.text);
            self.sample.push('\n');
        }
        let began = Instant::now();
        let outcome = (self.sink)(section);
        self.deadline.put_off(began.elapsed());
        outcome
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
    use crate::document::Document;
    use crate::limits::Limits;

    /// What a builder makes of what it is told.
    fn built(
        text_bytes: u64,
        tell: impl FnOnce(&mut Builder<'_>) -> Result<(), Rejection>,
    ) -> Result<Document, Rejection> {
        let limits = Limits {
            text_bytes,
            ..Limits::default()
        };
        crate::extract::collected(&limits, text_bytes, tell)
    }

    fn rows(table: &[&[&str]]) -> Vec<Vec<String>> {
        table
            .iter()
            .map(|row| row.iter().map(|cell| (*cell).to_owned()).collect())
            .collect()
    }

    #[test]
    fn headings_nest_and_a_page_keeps_them() {
        let document = built(1000, |b| {
            b.page(1)?;
            b.heading(1, "One")?;
            b.heading(2, "Inner")?;
            b.push(Block::Paragraph, "text")?;
            b.page(2)?;
            b.push(Block::Paragraph, "more")?;
            b.heading(1, "Two")
        })
        .unwrap();
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
        assert_eq!(document.about.title.as_deref(), Some("One"));
        assert_eq!(document.about.pages, Some(2));
    }

    #[test]
    fn the_outline_says_where_each_heading_stands() {
        let document = built(1000, |b| {
            b.push(Block::Paragraph, "préface")?;
            b.heading(1, "Öl")?;
            b.label(2, "Rows 1–50")?;
            b.push(Block::Paragraph, "text")?;
            b.heading(1, "End")
        })
        .unwrap();
        let text: Vec<char> = document.text().chars().collect();
        assert_eq!(document.about.characters, text.len() as u64);
        let found: Vec<String> = document
            .about
            .outline
            .iter()
            .map(|heading| {
                let start = usize::try_from(heading.start).unwrap();
                let length = heading.title.chars().count();
                text[start..start + length].iter().collect()
            })
            .collect();
        assert_eq!(found, ["Öl", "End"]);
    }

    #[test]
    fn a_long_section_comes_in_parts_that_make_the_same_text() {
        let line = "A line of text. \n";
        let document = built(1 << 20, |b| {
            b.heading(1, "Long")?;
            (0..20_000).try_for_each(|_| b.append(line))?;
            b.push(Block::Paragraph, "after it")
        })
        .unwrap();
        assert!(document.sections.len() > 4);
        assert!(document.sections[1..].iter().all(|part| part.continues));
        let whole = format!("Long{}", line.repeat(20_000));
        assert_eq!(document.text(), format!("{whole}\n\nafter it"));
        assert_eq!(
            document.text().chars().count() as u64,
            document.about.characters
        );
    }

    #[test]
    fn endless_white_space_is_not_kept() {
        let document = built(100_000, |b| {
            b.append("a")?;
            (0..1000).try_for_each(|_| b.append(&" ".repeat(1000)))?;
            b.append("b")
        })
        .unwrap();
        assert!(document.text().len() < 200_000, "{}", document.text().len());
        assert!(document.text().ends_with('b'));
    }

    #[test]
    fn the_declared_title_at_the_start_is_no_heading() {
        let document = built(1000, |b| {
            b.title("  The Book ");
            b.heading(1, "The Book")?;
            b.heading(1, "Part")?;
            b.heading(1, "The Book")
        });
        let paths: Vec<_> = document
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
        let document = built(1000, |b| {
            let table = rows(&[&["Code", "Meaning"], &["E1", "too  hot"], &["E2", ""]]);
            b.table(&table, Header::Unknown)?;
            b.push(Block::Paragraph, "between")?;
            let table = rows(&[&["Voltage", "24 V"], &["Current", "2 A"]]);
            b.table(&table, Header::Unknown)
        });
        assert_eq!(
            document.unwrap().sections[0].text,
            "Code: E1; Meaning: too hot\nCode: E2\n\nbetween\n\nVoltage | 24 V\nCurrent | 2 A"
        );
    }

    #[test]
    fn repeated_headings_count_against_the_bound_on_text() {
        let outcome = built(10_000, |b| {
            b.heading(1, &"long ".repeat(40))?;
            (0..1000).try_for_each(|_| b.heading(2, "a"))
        });
        assert_eq!(outcome.unwrap_err().code(), "too_large");
    }

    #[test]
    fn wide_rows_with_long_names_stop_at_the_bound() {
        let table = vec![vec!["n".repeat(50); 1000], vec!["v".to_owned(); 1000]];
        let outcome = built(10_000, |b| b.table(&table, Header::Declared));
        assert_eq!(outcome.unwrap_err().code(), "too_large");
    }

    #[test]
    fn a_passed_deadline_stops_the_next_step() {
        let limits = Limits {
            wall_clock: Duration::ZERO,
            ..Limits::default()
        };
        let outcome =
            crate::extract::collected(&limits, 1000, |b| b.push(Block::Paragraph, "text"));
        assert_eq!(outcome.unwrap_err().code(), "timed_out");
    }

    #[test]
    fn time_in_which_the_text_is_taken_is_not_the_readers() {
        let limits = Limits {
            wall_clock: Duration::from_millis(200),
            ..Limits::default()
        };
        let mut slow = |_| {
            std::thread::sleep(Duration::from_millis(250));
            Ok(())
        };
        let mut builder = Builder::new(1000, Deadline::of(&limits), &mut slow);
        builder.heading(1, "One").unwrap();
        builder.heading(1, "Two").unwrap();
        builder.heading(1, "Three").unwrap();
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
