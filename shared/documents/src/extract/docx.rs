//! Word files: headings by style, lists, tables and notes.

use undoc::model::{RevisionType, Table};
use undoc::{Block as WordBlock, ListType, Paragraph};

use super::builder::{Block, Builder, Header};
use super::ooxml;
use crate::limits::Limits;
use crate::rejection::Rejection;

/// Lists deeper than this are not indented further.
const MAX_INDENT: u8 = 8;

pub(super) fn read(
    bytes: &[u8],
    limits: &Limits,
    builder: &mut Builder<'_>,
) -> Result<(), Rejection> {
    let archive = ooxml::safe_archive(bytes, ooxml::Package::Word, limits, builder.deadline())?;
    let document = undoc::docx::DocxParser::from_bytes(archive)
        .and_then(|mut parser| parser.parse())
        .map_err(rejection)?;
    if let Some(title) = &document.metadata.title {
        builder.title(title);
    }
    for block in document
        .sections
        .iter()
        .flat_map(|section| &section.content)
    {
        match block {
            WordBlock::Paragraph(paragraph) => self::paragraph(paragraph, builder)?,
            WordBlock::Table(table) => self::table(table, builder)?,
            WordBlock::Note { label, content } => {
                let text: Vec<String> = content.iter().map(plain).collect();
                builder.push(Block::Line, &format!("[{label}] {}", text.join(" ")))?;
            }
            WordBlock::PageBreak | WordBlock::SectionBreak | WordBlock::Image { .. } => {}
        }
    }
    Ok(())
}

pub(super) fn paragraph(paragraph: &Paragraph, builder: &mut Builder<'_>) -> Result<(), Rejection> {
    let text = plain(paragraph);
    if has_style(paragraph, |style| style == "title") {
        // The title stands above all headings; it is not one of them.
        builder.title(&text);
        return builder.push(Block::Paragraph, &text);
    }
    if paragraph.heading.is_heading() {
        return builder.heading(paragraph.heading.level(), &text);
    }
    match &paragraph.list_info {
        Some(list) if list.list_type != ListType::None => {
            let indent = "  ".repeat(usize::from(list.level.min(MAX_INDENT)));
            let marker = match (list.list_type, list.number) {
                (ListType::Numbered, Some(number)) => format!("{number}."),
                _ => "-".to_owned(),
            };
            builder.push(Block::Line, &format!("{indent}{marker} {}", text.trim()))
        }
        // The built-in list styles number through the style, which the parser does not follow.
        _ if has_style(paragraph, |style| style.starts_with("list ")) => {
            builder.push(Block::Line, &format!("- {}", text.trim()))
        }
        _ => builder.push(Block::Paragraph, &text),
    }
}

fn has_style(paragraph: &Paragraph, matches: impl Fn(&str) -> bool) -> bool {
    [&paragraph.style_name, &paragraph.style_id]
        .into_iter()
        .flatten()
        .any(|style| matches(&style.to_ascii_lowercase()))
}

/// The text as it reads with all changes accepted.
pub(super) fn plain(paragraph: &Paragraph) -> String {
    let mut text = String::new();
    for run in &paragraph.runs {
        if run.revision == RevisionType::Deleted {
            continue;
        }
        text.push_str(&run.text);
        if let Some(note) = &run.note {
            text.push_str(&format!("[{note}]"));
        }
        if run.line_break || run.page_break {
            text.push('\n');
        }
    }
    text
}

/// A table with what is nested in its cells after it, which keeps rows readable. The nesting is
/// within the bound on XML.
pub(super) fn table(table: &Table, builder: &mut Builder<'_>) -> Result<(), Rejection> {
    let rows: Vec<Vec<String>> = table
        .rows
        .iter()
        .map(|row| {
            row.cells
                .iter()
                .map(|cell| cell.content.iter().map(plain).collect::<Vec<_>>().join(" "))
                .collect()
        })
        .collect();
    let header = match table.rows.first() {
        Some(first) if first.is_header => Header::Declared,
        _ => Header::Unknown,
    };
    builder.table(&rows, header)?;
    let cells = table.rows.iter().flat_map(|row| &row.cells);
    for nested in cells.flat_map(|cell| &cell.nested_tables) {
        self::table(nested, builder)?;
    }
    Ok(())
}

pub(super) fn rejection(error: undoc::Error) -> Rejection {
    match error.kind() {
        undoc::ErrorKind::Encrypted => Rejection::Encrypted,
        // The message may quote the file; the kind does not.
        kind => Rejection::corrupt(format!("the Office document cannot be parsed ({kind:?})")),
    }
}
