//! Rows of values: CSV and its relatives.

use std::collections::HashMap;

use csv::{ReaderBuilder, StringRecord};

use super::builder::Builder;
use crate::rejection::Rejection;

const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];
/// How much of the file is looked at to find the delimiter.
const SNIFFED_BYTES: usize = 64 * 1024;
const SNIFFED_ROWS: usize = 50;
/// Rows that share one section, so that a citation names a range of rows.
const ROWS_PER_SECTION: u64 = 50;

pub(super) fn read(text: &str, builder: &mut Builder) -> Result<(), Rejection> {
    let mut reader = reader(text, sniffed_delimiter(text));
    let mut record = StringRecord::new();
    let mut names: Option<Vec<String>> = None;
    let mut in_section = 0;
    let mut number = 0u64;
    loop {
        builder.check_deadline()?;
        match reader.read_record(&mut record) {
            Ok(true) => number += 1,
            Ok(false) => return Ok(()),
            Err(error) => return Err(Rejection::corrupt(format!("row {}: {error}", number + 1))),
        }
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
}

fn reader(text: &str, delimiter: u8) -> csv::Reader<&[u8]> {
    ReaderBuilder::new()
        .delimiter(delimiter)
        .has_headers(false)
        .flexible(true)
        .from_reader(text.as_bytes())
}

fn owned(record: &StringRecord) -> Vec<String> {
    record.iter().map(str::to_owned).collect()
}

/// Column names are there, different, and no figures.
fn names_columns(record: &StringRecord) -> bool {
    let names: Vec<&str> = record.iter().map(str::trim).collect();
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
    for record in reader(head, delimiter).records().take(SNIFFED_ROWS) {
        *counts.entry(record.ok()?.len()).or_default() += 1;
        rows += 1;
    }
    let (fields, agreeing) = counts.into_iter().max_by_key(|(fields, n)| (*n, *fields))?;
    (fields > 1).then_some((agreeing * 1000 / rows, fields))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::{Deadline, Limits};

    fn document(text: &str) -> crate::Document {
        let limits = Limits::default();
        let mut builder = Builder::new(&limits, Deadline::of(&limits));
        read(text, &mut builder).unwrap();
        builder.finish("").unwrap()
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
        assert_eq!(document.title, None);
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
}
