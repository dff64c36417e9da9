//! Workbooks: each sheet a page under its name, a row to a line.
//!
//! Cells are read one by one as they stand in the file. What a sheet declares of its size is not
//! looked at: a table of so many cells is never made.

use std::io::Cursor;

use calamine::{DataRef, ExcelDateTime, Reader as _, SheetType, SheetVisible, Xlsx, XlsxError};

use super::builder::Builder;
use super::delimited::{ROWS_PER_SECTION, are_names};
use super::ooxml;
use crate::limits::Limits;
use crate::rejection::Rejection;

/// The most columns that a sheet can have.
const MAX_COLUMNS: u32 = 16_384;
/// Numbers have no more significant digits than this.
const DIGITS: usize = 15;

pub(super) fn read(
    bytes: &[u8],
    limits: &Limits,
    builder: &mut Builder<'_>,
) -> Result<(), Rejection> {
    let package = ooxml::Package::Workbook;
    let archive = ooxml::safe_archive(bytes, package, limits, builder.deadline())?;
    let mut workbook = Xlsx::new(Cursor::new(archive)).map_err(rejection)?;
    let sheets = workbook.sheets_metadata().to_vec();
    let count = u32::try_from(sheets.len()).unwrap_or(u32::MAX);
    if count > limits.pages {
        return Err(Rejection::TooManyPages {
            pages: count,
            limit: limits.pages,
        });
    }
    let mut hidden = 0;
    for (number, sheet) in (1..).zip(&sheets) {
        if sheet.typ != SheetType::WorkSheet {
            continue;
        }
        // What a reader does not see is no text of the file; a model should not see it either.
        if sheet.visible != SheetVisible::Visible {
            hidden += 1;
            continue;
        }
        builder.separate_page(number)?;
        builder.listed_label(1, &sheet.name)?;
        self::sheet(&mut workbook, &sheet.name, builder)?;
    }
    if hidden > 0 {
        builder.warn(format!("Hidden sheets were left out: {hidden}."));
    }
    Ok(())
}

fn sheet(
    workbook: &mut Xlsx<Cursor<Vec<u8>>>,
    name: &str,
    builder: &mut Builder<'_>,
) -> Result<(), Rejection> {
    let mut cells = workbook.worksheet_cells_reader(name).map_err(rejection)?;
    let mut rows = Rows::default();
    while let Some(cell) = cells.next_cell().map_err(rejection)? {
        let (row, column) = cell.get_position();
        if column >= MAX_COLUMNS {
            return Err(Rejection::corrupt("a cell stands beyond the last column"));
        }
        if row != rows.number {
            builder.check_deadline()?;
            rows.end_row(builder)?;
            rows.number = row;
        }
        let value = shown(cell.get_value());
        if !value.is_empty() {
            let column = column as usize;
            if rows.current.len() <= column {
                rows.current.resize(column + 1, String::new());
            }
            rows.current[column] = value;
        }
    }
    rows.end_row(builder)?;
    rows.end(builder)
}

/// The rows of a sheet, of which one is being read.
#[derive(Default)]
struct Rows {
    /// The row that is being read, from 0.
    number: u32,
    current: Vec<String>,
    /// The names of the columns, once the first row was read.
    names: Option<Option<Vec<String>>>,
    /// The first row that the open section does not hold; 0 if there is none yet.
    section_end: u64,
}

impl Rows {
    fn end_row(&mut self, builder: &mut Builder<'_>) -> Result<(), Rejection> {
        let row = std::mem::take(&mut self.current);
        if row.is_empty() {
            return Ok(());
        }
        if self.names.is_none() {
            let named = row.len() >= 2 && are_names(row.iter().map(String::as_str));
            self.names = Some(named.then(|| row.clone()));
            if named {
                return Ok(());
            }
        }
        // Numbered from 1, as a spreadsheet shows them.
        let number = u64::from(self.number) + 1;
        if number >= self.section_end {
            self.section_end = number + ROWS_PER_SECTION;
            builder.label(2, &format!("Rows {number}–{}", self.section_end - 1))?;
        }
        let names = self.names.as_ref().and_then(|names| names.as_deref());
        builder.row(names, &row)
    }

    /// Names of nothing are all that the sheet has.
    fn end(self, builder: &mut Builder<'_>) -> Result<(), Rejection> {
        match self.names {
            Some(Some(only_row)) if self.section_end == 0 => builder.row(None, &only_row),
            _ => Ok(()),
        }
    }
}

/// A value as a person would write it. How a cell is formatted is not followed, but for dates.
fn shown(value: &DataRef<'_>) -> String {
    match value {
        DataRef::Int(number) => number.to_string(),
        DataRef::Float(number) => decimal(*number),
        DataRef::String(text) | DataRef::DateTimeIso(text) | DataRef::DurationIso(text) => {
            text.clone()
        }
        DataRef::SharedString(text) => (*text).to_owned(),
        DataRef::Bool(true) => "TRUE".to_owned(),
        DataRef::Bool(false) => "FALSE".to_owned(),
        DataRef::DateTime(moment) => date(moment),
        DataRef::Error(_) | DataRef::Empty => String::new(),
    }
}

/// A number without the traces of its binary form.
fn decimal(number: f64) -> String {
    let exact = number.to_string();
    if exact.len() <= DIGITS {
        return exact;
    }
    let rounded = format!("{number:.*e}", DIGITS - 1).parse::<f64>();
    rounded.map_or(exact, |rounded| rounded.to_string())
}

fn date(moment: &ExcelDateTime) -> String {
    if moment.is_duration() {
        let seconds = (moment.as_f64() * 86_400.0).round() as i64;
        let (hours, rest) = (seconds / 3600, seconds.unsigned_abs() % 3600);
        return format!("{hours}:{:02}:{:02}", rest / 60, rest % 60);
    }
    let (year, month, day, hour, minute, second, _) = moment.to_ymd_hms_milli();
    let date = format!("{year:04}-{month:02}-{day:02}");
    match (hour, minute, second) {
        (0, 0, 0) => date,
        (_, _, 0) => format!("{date} {hour:02}:{minute:02}"),
        _ => format!("{date} {hour:02}:{minute:02}:{second:02}"),
    }
}

fn rejection(error: XlsxError) -> Rejection {
    match error {
        XlsxError::Password => Rejection::Encrypted,
        // The message may quote the file.
        _ => Rejection::corrupt("the workbook cannot be parsed"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_people_write_them() {
        for (number, text) in [
            (3.0, "3"),
            (0.1 + 0.2, "0.3"),
            (-1234.5, "-1234.5"),
            (1e-9, "0.000000001"),
            (123_456_789_012.25, "123456789012.25"),
        ] {
            assert_eq!(decimal(number), text);
        }
    }
}
