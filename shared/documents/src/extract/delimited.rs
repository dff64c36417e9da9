//! Rows of values: CSV and its relatives.

use std::collections::HashMap;
use std::io::{self, Read};

use csv::{ReaderBuilder, StringRecord};

use super::builder::Builder;
use super::text::TextSource;
use crate::rejection::{Measure, Rejection};

const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];
/// How much of the file is looked at to find the delimiter.
const SNIFFED_BYTES: usize = 64 * 1024;
const SNIFFED_ROWS: usize = 50;
/// Rows that share one section, so that a citation names a range of rows.
pub(super) const ROWS_PER_SECTION: u64 = 50;
/// The most bytes of one row. A quote that never closes makes one row of all that follows.
const MAX_ROW_BYTES: usize = 8 * 1024 * 1024;

pub(super) fn read(
    source: &mut TextSource<'_>,
    builder: &mut Builder<'_>,
) -> Result<(), Rejection> {
    let Some(beginning) = source.next()? else {
        return Ok(());
    };
    let delimiter = sniffed_delimiter(&beginning);
    let mut reader = reader(Rows::new(beginning, source), delimiter);
    let mut record = StringRecord::new();
    let mut names: Option<Vec<String>> = None;
    let mut in_section = 0;
    let mut number = 0u64;
    loop {
        builder.check_deadline()?;
        match reader.read_record(&mut record) {
            Ok(true) => number += 1,
            Ok(false) => break,
            Err(error) => {
                let refused = reader.get_mut().refused.take();
                let row = number + 1;
                return Err(
                    refused.unwrap_or_else(|| Rejection::corrupt(format!("row {row}: {error}")))
                );
            }
        }
        reader.get_mut().row_bytes = 0;
        if number == 1 && names_columns(&record) {
            names = Some(owned(&record));
            continue;
        }
        if in_section == 0 {
            // Numbered as a spreadsheet shows them, the row of column names being the first.
            builder.label(
                1,
                &format!("Rows {number}–{}", number + ROWS_PER_SECTION - 1),
            )?;
        }
        in_section = (in_section + 1) % ROWS_PER_SECTION;
        builder.row(names.as_deref(), &owned(&record))?;
    }
    match names {
        // Names of nothing are all there is.
        Some(only_row) if number == 1 => builder.row(None, &only_row),
        _ => Ok(()),
    }
}

fn reader<R: Read>(text: R, delimiter: u8) -> csv::Reader<R> {
    ReaderBuilder::new()
        .delimiter(delimiter)
        .has_headers(false)
        .flexible(true)
        .from_reader(text)
}

/// The text as the parser of rows reads it.
struct Rows<'s, 'i> {
    source: &'s mut TextSource<'i>,
    piece: String,
    at: usize,
    /// Bytes since the last row ended, as far as the parser's own buffer lets it be known.
    row_bytes: usize,
    /// Why there is no more, if the file is at fault.
    refused: Option<Rejection>,
}

impl<'s, 'i> Rows<'s, 'i> {
    fn new(piece: String, source: &'s mut TextSource<'i>) -> Self {
        Self {
            source,
            piece,
            at: 0,
            row_bytes: 0,
            refused: None,
        }
    }

    fn refuse(&mut self, rejection: Rejection) -> io::Error {
        self.refused = Some(rejection);
        io::Error::other("the file is refused")
    }
}

impl Read for Rows<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.piece.len() {
            match self.source.next() {
                Ok(Some(piece)) => {
                    self.piece = piece;
                    self.at = 0;
                }
                Ok(None) => return Ok(0),
                Err(rejection) => return Err(self.refuse(rejection)),
            }
        }
        if self.row_bytes > MAX_ROW_BYTES {
            return Err(self.refuse(Rejection::TooLarge {
                measure: Measure::Row,
                limit: MAX_ROW_BYTES as u64,
            }));
        }
        let rest = &self.piece.as_bytes()[self.at..];
        let taken = rest.len().min(buffer.len());
        buffer[..taken].copy_from_slice(&rest[..taken]);
        self.at += taken;
        self.row_bytes += taken;
        Ok(taken)
    }
}

fn owned(record: &StringRecord) -> Vec<String> {
    record.iter().map(str::to_owned).collect()
}

fn names_columns(record: &StringRecord) -> bool {
    are_names(record.iter())
}

/// Column names are there, different, and no figures.
pub(super) fn are_names<'t>(row: impl Iterator<Item = &'t str>) -> bool {
    let names: Vec<&str> = row.map(str::trim).collect();
    let mut seen = std::collections::HashSet::new();
    names.iter().any(|name| !name.is_empty())
        && names
            .iter()
            .filter(|name| !name.is_empty())
            .all(|name| seen.insert(*name) && name.parse::<f64>().is_err())
}

/// The delimiter that splits the first rows into the same number of fields most often; more
/// fields win a tie.
fn sniffed_delimiter(text: &str) -> u8 {
    let mut end = text.len().min(SNIFFED_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let cut = end < text.len();
    let head = match text[..end].rfind('\n') {
        Some(last) if cut => &text[..last],
        _ => &text[..end],
    };
    DELIMITERS
        .into_iter()
        .filter_map(|delimiter| Some((agreement(head, delimiter)?, delimiter)))
        .max_by_key(|(agreement, delimiter)| (*agreement, *delimiter == b','))
        .map_or(b',', |(_, delimiter)| delimiter)
}

/// Rows per thousand that have the most common number of fields, and that number, if it is more
/// than one.
fn agreement(head: &str, delimiter: u8) -> Option<(usize, usize)> {
    let mut counts: HashMap<usize, usize> = HashMap::new();
    let mut rows = 0;
    for record in reader(head.as_bytes(), delimiter)
        .records()
        .take(SNIFFED_ROWS)
    {
        *counts.entry(record.ok()?.len()).or_default() += 1;
        rows += 1;
    }
    let (fields, agreeing) = counts.into_iter().max_by_key(|(fields, n)| (*n, *fields))?;
    (fields > 1).then_some((agreeing * 1000 / rows, fields))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(text: &str) -> crate::Document {
        crate::extract::of_text(text, read)
    }

    #[test]
    fn the_delimiter_is_found() {
        for (text, delimiter) in [
            ("a,b,c\n1,2,3\n", b','),
            ("a;b;c\n1,5;2,5;3\n", b';'),
            ("a\tb\n1, or so\t2\n", b'\t'),
            ("a|b|c\n1|2|3\n", b'|'),
            ("one column\nof text\n", b','),
            ("\"x;y;z\",b\n\"p;q;r\",2\n", b','),
        ] {
            assert_eq!(sniffed_delimiter(text), delimiter, "{text:?}");
        }
    }

    #[test]
    fn rows_carry_their_column_names_and_their_numbers() {
        let rows: String = (1..=60).map(|n| format!("T-{n},{n} kW\n")).collect();
        let document = document(&format!("Turbine,Power\n{rows}"));
        assert_eq!(document.sections.len(), 2);
        assert_eq!(document.sections[0].heading_path, ["Rows 2–51"]);
        assert!(
            document.sections[0]
                .text
                .starts_with("Turbine: T-1; Power: 1 kW\n")
        );
        assert_eq!(document.sections[1].heading_path, ["Rows 52–101"]);
        assert!(
            document.sections[1]
                .text
                .ends_with("Turbine: T-60; Power: 60 kW")
        );
        assert_eq!(document.about.title, None);
    }

    #[test]
    fn one_row_is_text_and_not_the_names_of_nothing() {
        let document = document("Turbine,Power\n");
        assert_eq!(document.sections[0].text, "Turbine | Power");
    }

    #[test]
    fn without_column_names_values_stand_alone() {
        let document = document("1,2\n3,4\n");
        assert_eq!(document.sections[0].text, "1 | 2\n3 | 4");
    }

    #[test]
    fn quoted_fields_keep_delimiters_and_lose_line_breaks() {
        let document = document("Name,Note\nA,\"first, then\nsecond \"\"quoted\"\"\"\n");
        assert_eq!(
            document.sections[0].text,
            "Name: A; Note: first, then second \"quoted\""
        );
    }

    #[test]
    fn a_table_of_many_pieces_is_read_to_its_last_row() {
        let rows: String = (1..=60_000)
            .map(|n| format!("T-{n},\"{n} kW, über\",x\n"))
            .collect();
        let document = document(&format!("Turbine,Power,\n{rows}"));
        let text = document.text();
        assert_eq!(text.lines().filter(|line| !line.is_empty()).count(), 60_000);
        assert!(text.ends_with("Turbine: T-60000; Power: 60000 kW, über; x"));
        let last = document.sections.last().unwrap();
        assert_eq!(last.heading_path, ["Rows 59952–60001"]);
    }

    #[test]
    fn a_row_without_end_is_refused() {
        let text = format!("a,b\n1,\"{}", "x,\n".repeat(4 * 1024 * 1024));
        let mut input = crate::input::Input::open(io::Cursor::new(text.into_bytes())).unwrap();
        let limits = crate::Limits::default();
        let outcome = crate::extract::collected(&limits, limits.streamed_text_bytes, |builder| {
            read(&mut TextSource::new(&mut input, u64::MAX), builder)
        });
        let rejection = outcome.unwrap_err();
        assert_eq!(rejection.code(), "too_large");
        assert!(
            rejection.to_string().contains("one row of it"),
            "{rejection}"
        );
    }
}
