//! PDF, page by page.

use std::borrow::Cow;
use std::ops::ControlFlow;

use memchr::memmem;
use unpdf::{Block as PdfBlock, PageStreamOptions, ParseEvent, ParseOptions, PdfParser};

use super::builder::{Block, Builder, Header};
use super::pdf_guard;
use crate::format;
use crate::limits::Limits;
use crate::rejection::{Measure, Rejection};

pub(super) fn read(
    bytes: &[u8],
    limits: &Limits,
    builder: &mut Builder<'_>,
) -> Result<(), Rejection> {
    let start = format::pdf_start(bytes).ok_or_else(|| Rejection::corrupt("it has no header"))?;
    let bytes = &bytes[start..];
    pdf_guard::inspect(bytes, limits, builder.deadline())?;
    let bytes = without_forms_and_outlines(bytes);
    // One page after the other, on this thread: it has the stack for it, and it is the one that
    // is given up when time is over.
    let options = ParseOptions::new().sequential();
    let parser = PdfParser::from_bytes_with_options(&bytes, options.clone()).map_err(rejection)?;
    let pages = parser.page_count();
    if pages > limits.pages {
        return Err(Rejection::TooManyPages {
            pages,
            limit: limits.pages,
        });
    }
    if pages == 0 {
        return Err(Rejection::corrupt("it has no pages"));
    }
    let mut pages_read = Vec::new();
    let mut text_bytes = 0u64;
    let mut outcome = Ok(());
    let mut unread_pages = 0;
    let quality = parser
        .for_each_page(PageStreamOptions::from(&options), |event| {
            outcome = match event {
                ParseEvent::DocumentStart { metadata, .. } => {
                    builder.title(metadata.title.as_deref().unwrap_or_default());
                    Ok(())
                }
                ParseEvent::PageParsed(page) => {
                    let lost = page.undecodable_content_streams + page.suppressed_text_runs;
                    unread_pages += u32::from(lost > 0);
                    let page = PageText::of(page);
                    text_bytes += page.bytes();
                    pages_read.push(page);
                    within_bounds(text_bytes, limits, builder)
                }
                ParseEvent::PageFailed { .. } => {
                    unread_pages += 1;
                    Ok(())
                }
                ParseEvent::Progress { .. } | ParseEvent::DocumentEnd { .. } => Ok(()),
            };
            match outcome {
                Ok(()) => ControlFlow::Continue(()),
                Err(_) => ControlFlow::Break(()),
            }
        })
        .map_err(rejection)?;
    outcome?;
    if quality.pages_incomplete {
        // An answer from half a document misleads; the person has the whole one.
        return Err(Rejection::corrupt(match quality.declared_page_count {
            Some(declared) if declared > pages => {
                format!("it has {declared} pages, of which {pages} can be found")
            }
            _ => "some of its pages cannot be found".to_owned(),
        }));
    }
    let blank_pages = pages_read.iter().any(|page| page.bytes() == 0);
    if quality.xref_reconstructed && blank_pages && !has_end_mark(&bytes) {
        return Err(Rejection::corrupt("it ends before all of its pages do"));
    }
    running_lines::remove(&mut pages_read);
    for page in &pages_read {
        page.write(builder)?;
    }
    if unread_pages > 0 {
        builder.warn(format!(
            "Some of the text on {unread_pages} of {pages} pages could not be read."
        ));
    }
    Ok(())
}

/// A whole file ends with this mark, and perhaps with a few bytes of the program that sent it.
fn has_end_mark(bytes: &[u8]) -> bool {
    let tail = &bytes[bytes.len().saturating_sub(1024)..];
    memmem::find(tail, b"%%EOF").is_some()
}

/// The bounds on text and time, for pages that the builder has not seen yet.
fn within_bounds(text_bytes: u64, limits: &Limits, builder: &Builder<'_>) -> Result<(), Rejection> {
    if text_bytes > limits.text_bytes {
        return Err(Rejection::TooLarge {
            measure: Measure::Text,
            limit: limits.text_bytes,
        });
    }
    builder.check_deadline()
}

/// What stands on one page, from top to bottom.
struct PageText {
    number: u32,
    pieces: Vec<Piece>,
}

enum Piece {
    Heading(u8, String),
    Text(Block, String),
    Table(Vec<Vec<String>>, Header),
}

impl PageText {
    fn of(page: unpdf::Page) -> Self {
        Self {
            number: page.number,
            pieces: page.elements.iter().filter_map(Piece::of).collect(),
        }
    }

    fn bytes(&self) -> u64 {
        let bytes = self.pieces.iter().map(|piece| match piece {
            Piece::Heading(_, text) | Piece::Text(_, text) => text.len(),
            Piece::Table(rows, _) => rows.iter().flatten().map(String::len).sum(),
        });
        bytes.sum::<usize>() as u64
    }

    fn write(&self, builder: &mut Builder<'_>) -> Result<(), Rejection> {
        builder.page(self.number)?;
        for piece in &self.pieces {
            match piece {
                Piece::Heading(level, text) => builder.heading(*level, text)?,
                Piece::Text(block, text) => builder.push(*block, text)?,
                Piece::Table(rows, header) => builder.table(rows, *header)?,
            }
        }
        Ok(())
    }
}

impl Piece {
    fn of(block: &PdfBlock) -> Option<Self> {
        Some(match block {
            PdfBlock::Paragraph(paragraph) => {
                let text = paragraph.plain_text();
                match paragraph.heading_level() {
                    Some(level) => Self::Heading(level, text),
                    None if paragraph.is_list_item() => Self::Text(Block::Line, text),
                    None => Self::Text(Block::Paragraph, text),
                }
            }
            PdfBlock::Table(table) => {
                let cells = |row: &unpdf::TableRow| {
                    row.cells.iter().map(unpdf::TableCell::plain_text).collect()
                };
                let header = match table.header_rows {
                    0 => Header::Unknown,
                    _ => Header::Declared,
                };
                Self::Table(table.rows.iter().map(cells).collect(), header)
            }
            PdfBlock::Code { content } | PdfBlock::Raw { content } => {
                Self::Text(Block::Paragraph, content.clone())
            }
            PdfBlock::Image { .. }
            | PdfBlock::HorizontalRule
            | PdfBlock::PageBreak
            | PdfBlock::SectionBreak => return None,
        })
    }
}

/// Headers and footers that repeat on every page: they say nothing, and every search that uses a
/// word of them finds every page.
mod running_lines {
    use std::collections::{HashMap, HashSet};

    use super::{PageText, Piece};

    /// Pages on which a line must stand to be a running one, and the part of all pages, in
    /// percent.
    const LEAST_PAGES: usize = 3;
    const LEAST_PERCENT: usize = 50;
    /// A longer piece is text.
    const MOST_BYTES: usize = 160;

    pub(super) fn remove(pages: &mut [PageText]) {
        let mut seen: HashMap<String, usize> = HashMap::new();
        for page in pages.iter() {
            let edges: HashSet<String> = [Edge::Top, Edge::Bottom]
                .into_iter()
                .flat_map(|edge| (1..=2).filter_map(move |pieces| edge.pattern(page, pieces)))
                .collect();
            for pattern in edges {
                *seen.entry(pattern).or_default() += 1;
            }
        }
        let enough = LEAST_PAGES.max(pages.len() * LEAST_PERCENT / 100);
        seen.retain(|_, count| *count >= enough);
        for page in pages {
            for edge in [Edge::Top, Edge::Bottom] {
                // Two pieces first: on some pages the parser splits what it joins on others.
                while let Some(pieces) = [2, 1].into_iter().find(|pieces| {
                    edge.pattern(page, *pieces)
                        .is_some_and(|pattern| seen.contains_key(&pattern))
                }) {
                    edge.drop_pieces(page, pieces);
                }
            }
        }
    }

    #[derive(Clone, Copy)]
    enum Edge {
        Top,
        Bottom,
    }

    impl Edge {
        /// The outermost pieces with every figure made the same, if they are short paragraphs.
        fn pattern(self, page: &PageText, pieces: usize) -> Option<String> {
            let outermost = match self {
                Self::Top => page.pieces.get(..pieces)?,
                Self::Bottom => page.pieces.get(page.pieces.len().checked_sub(pieces)?..)?,
            };
            let texts: Option<Vec<&str>> = outermost
                .iter()
                .map(|piece| match piece {
                    Piece::Text(_, text) if text.len() <= MOST_BYTES => Some(text.trim()),
                    _ => None,
                })
                .collect();
            let mut pattern = String::new();
            for c in texts?.join(" ").chars() {
                if !c.is_ascii_digit() {
                    pattern.push(c);
                } else if !pattern.ends_with('#') {
                    pattern.push('#');
                }
            }
            Some(pattern)
        }

        fn drop_pieces(self, page: &mut PageText, pieces: usize) {
            match self {
                Self::Top => drop(page.pieces.drain(..pieces)),
                Self::Bottom => page.pieces.truncate(page.pieces.len() - pieces),
            }
        }
    }
}

/// Hides form fields and bookmarks from the parser, which follows both by calling itself, without
/// a bound. Neither is text of a page. The names keep their length, so that no offset moves.
fn without_forms_and_outlines(bytes: &[u8]) -> Cow<'_, [u8]> {
    let mut masked = Cow::Borrowed(bytes);
    for name in [&b"/AcroForm"[..], b"/Outlines"] {
        for at in memmem::find_iter(bytes, name) {
            let end = at + name.len();
            let value = bytes[end..].trim_ascii_start().first();
            if value.is_some_and(|first| first.is_ascii_digit() || *first == b'<') {
                masked.to_mut()[end - 1] = b'_';
            }
        }
    }
    masked
}

fn rejection(error: unpdf::Error) -> Rejection {
    match error.kind() {
        unpdf::ErrorKind::Encrypted
        | unpdf::ErrorKind::InvalidPassword
        | unpdf::ErrorKind::UnsupportedVersion => Rejection::Encrypted,
        // The message may quote the file; the kind does not.
        kind => Rejection::corrupt(format!("the PDF cannot be parsed ({kind:?})")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(number: u32, texts: &[&str]) -> PageText {
        PageText {
            number,
            pieces: texts
                .iter()
                .map(|text| Piece::Text(Block::Paragraph, (*text).to_owned()))
                .collect(),
        }
    }

    fn texts(pages: &[PageText]) -> Vec<Vec<&str>> {
        pages
            .iter()
            .map(|page| {
                page.pieces
                    .iter()
                    .map(|piece| match piece {
                        Piece::Text(_, text) | Piece::Heading(_, text) => text.as_str(),
                        Piece::Table(..) => "table",
                    })
                    .collect()
            })
            .collect()
    }

    #[test]
    fn running_lines_are_removed_also_when_split_in_two() {
        let mut pages = vec![
            page(1, &["Draft", "one", "The Book", "Page 1 of 4"]),
            page(2, &["Draft", "two", "The Book Page 2 of 4"]),
            page(3, &["three", "The Book Page 3 of 4"]),
            page(4, &["Draft", "four", "The Book Page 4 of 4"]),
        ];
        running_lines::remove(&mut pages);
        assert_eq!(texts(&pages), [["one"], ["two"], ["three"], ["four"]]);
    }

    #[test]
    fn what_repeats_on_two_pages_or_in_the_middle_is_text() {
        let mut pages = vec![
            page(1, &["same", "a", "x", "b", "c"]),
            page(2, &["same", "d", "x", "e", "f"]),
            page(3, &["g", "h", "x", "i", "j"]),
        ];
        running_lines::remove(&mut pages);
        assert_eq!(texts(&pages)[0], ["same", "a", "x", "b", "c"]);
        assert_eq!(texts(&pages)[2], ["g", "h", "x", "i", "j"]);
    }

    #[test]
    fn masking_moves_nothing_and_leaves_words_alone() {
        let bytes = b"<</AcroForm 5 0 R/Outlines<</A 1>>>> (see /Outlines above)";
        let masked = without_forms_and_outlines(bytes);
        assert_eq!(
            String::from_utf8_lossy(&masked),
            "<</AcroFor_ 5 0 R/Outline_<</A 1>>>> (see /Outlines above)"
        );
    }
}
