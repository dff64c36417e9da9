//! Cuts a document into pieces that an embedding model takes whole, along its structure.

use std::ops::Range;

use serde::{Deserialize, Serialize};
use text_splitter::{ChunkConfig, ChunkSizer, TextSplitter};

use crate::document::{Document, Section};

/// Below this a budget cannot hold one character of every tokenizer.
const LEAST_TOKENS: usize = 16;
/// A section below this part of the budget says too little to be found alone.
const TINY_PART: usize = 16;
/// The splitter looks at all that remains for each piece it cuts, so a long section is given to
/// it in windows of at least this size.
const WINDOW_BYTES: usize = 8 * 1024;
/// A generous mean length of a token: a window holds several pieces, a tiny section is short.
const BYTES_PER_TOKEN: usize = 16;

/// How large the pieces are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChunkOptions {
    /// The most tokens of one piece, at least 16.
    pub max_tokens: usize,
    /// The most tokens that a piece repeats from the end of the piece before it in the same
    /// section; at most half of `max_tokens`.
    pub overlap_tokens: usize,
}

impl Default for ChunkOptions {
    fn default() -> Self {
        Self {
            max_tokens: 300,
            overlap_tokens: 40,
        }
    }
}

/// A piece of a document: the unit of retrieval and of citation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chunk {
    /// Its place among the pieces of the document, from 0.
    pub ordinal: usize,
    /// The text: the characters from `start` to `end` of [`Document::text`].
    pub text: String,
    /// The page it is on, from 1, in formats that have pages.
    pub page: Option<u32>,
    /// The headings above it, outermost first.
    pub heading_path: Vec<String>,
    /// The first character of the text in [`Document::text`], from 0. A character is a Unicode
    /// scalar value.
    pub start: usize,
    /// One past its last character.
    pub end: usize,
}

/// Cuts `document` into pieces of at most `options.max_tokens`, as `token_count` counts them.
///
/// A piece lies within one page and one section. A section too small to stand alone joins the next
/// one, if that is on the same page and under the same top heading. A section that is too large is
/// cut where paragraphs, lines, sentences or words end, in this order, and neighbours share up to
/// `options.overlap_tokens`. Together the pieces hold everything but white space, in order.
pub fn chunk(
    document: &Document,
    options: &ChunkOptions,
    token_count: &dyn Fn(&str) -> usize,
) -> Vec<Chunk> {
    let max_tokens = options.max_tokens.max(LEAST_TOKENS);
    let overlap = options.overlap_tokens.min(max_tokens / 2);
    let config = ChunkConfig::new(max_tokens)
        .with_sizer(Sizer(token_count))
        .with_overlap(overlap)
        .expect("half of the capacity is less than the capacity");
    let splitter = TextSplitter::new(config);

    let text = document.text();
    let mut place = Place::default();
    let mut chunks = Vec::new();
    for unit in units(document, &text, max_tokens, token_count) {
        for piece in pieces(&splitter, &text, unit.span, max_tokens * BYTES_PER_TOKEN) {
            let start = place.advance(&text, piece.start);
            let piece = &text[piece];
            chunks.push(Chunk {
                ordinal: chunks.len(),
                text: piece.to_owned(),
                page: unit.page,
                heading_path: unit.heading_path.clone(),
                start,
                end: start + piece.chars().count(),
            });
        }
    }
    chunks
}

/// A place in a text, counted in bytes and in characters.
#[derive(Default)]
struct Place {
    byte: usize,
    character: usize,
}

impl Place {
    /// Goes on to `byte` and says which character begins there.
    fn advance(&mut self, text: &str, byte: usize) -> usize {
        self.character += text[self.byte..byte].chars().count();
        self.byte = byte;
        self.character
    }
}

/// Cuts a span of `text`, window by window. The last piece of a window was cut where the window
/// ends and not where the text asks for it, so the next window begins with it again.
fn pieces(
    splitter: &TextSplitter<Sizer<'_>>,
    text: &str,
    span: Range<usize>,
    width: usize,
) -> Vec<Range<usize>> {
    let mut pieces: Vec<Range<usize>> = Vec::new();
    let mut start = span.start;
    let mut width = width.max(WINDOW_BYTES);
    loop {
        let mut end = span.end.min(start.saturating_add(width));
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let mut found: Vec<Range<usize>> = splitter
            .chunk_indices(&text[start..end])
            .filter(|(_, piece)| !piece.trim().is_empty())
            .map(|(offset, piece)| start + offset..start + offset + piece.len())
            .collect();
        let next = match found.as_slice() {
            _ if end == span.end => None,
            [] => Some(end),
            [_] => {
                width *= 2;
                continue;
            }
            [.., _] => found.pop().map(|cut_short| cut_short.start),
        };
        // The overlap alone, when nothing more fits after it, is in the piece before already.
        let reached = pieces.last().map_or(span.start, |piece| piece.end);
        pieces.extend(found.into_iter().filter(|piece| piece.end > reached));
        match next {
            Some(next) => start = next,
            None => return pieces,
        }
    }
}

struct Sizer<'t>(&'t dyn Fn(&str) -> usize);

impl ChunkSizer for Sizer<'_> {
    fn size(&self, chunk: &str) -> usize {
        (self.0)(chunk)
    }
}

/// A section, or a few tiny ones and the section after them.
struct Unit {
    span: Range<usize>,
    page: Option<u32>,
    heading_path: Vec<String>,
}

fn units(
    document: &Document,
    text: &str,
    max_tokens: usize,
    token_count: &dyn Fn(&str) -> usize,
) -> Vec<Unit> {
    let tiny_tokens = max_tokens / TINY_PART;
    // The first test spares counting most sections.
    let is_tiny = |span: &Range<usize>| {
        span.len() <= tiny_tokens * BYTES_PER_TOKEN
            && token_count(&text[span.clone()]) <= tiny_tokens
    };
    let spans = document.spans();
    let mut units = Vec::new();
    let mut first = 0;
    while first < spans.len() {
        let mut last = first;
        let mut span = spans[first].clone();
        while last + 1 < spans.len()
            && is_tiny(&span)
            && belong_together(&document.sections[last], &document.sections[last + 1])
        {
            last += 1;
            span.end = spans[last].end;
        }
        let sections = &document.sections[first..=last];
        units.push(Unit {
            span,
            page: sections[0].page,
            heading_path: common_headings(sections),
        });
        first = last + 1;
    }
    units
}

fn belong_together(before: &Section, after: &Section) -> bool {
    before.page == after.page
        && (before.heading_path.is_empty()
            || before.heading_path.first() == after.heading_path.first())
}

/// The path of the last section, if all others are above it; otherwise the path they share.
fn common_headings(sections: &[Section]) -> Vec<String> {
    let Some((last, others)) = sections.split_last() else {
        return Vec::new();
    };
    let above = others
        .iter()
        .all(|section| last.heading_path.starts_with(&section.heading_path));
    let depth = if above {
        last.heading_path.len()
    } else {
        sections
            .iter()
            .map(|section| shared_depth(&section.heading_path, &last.heading_path))
            .min()
            .unwrap_or(0)
    };
    last.heading_path[..depth].to_vec()
}

fn shared_depth(a: &[String], b: &[String]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> usize {
        text.split_whitespace().count()
    }

    fn section(page: Option<u32>, path: &[&str], text: &str) -> Section {
        Section {
            page,
            heading_path: path.iter().map(|h| (*h).to_owned()).collect(),
            text: text.to_owned(),
        }
    }

    fn places(sections: Vec<Section>) -> Vec<(Option<u32>, String, String)> {
        let document = Document {
            sections,
            ..Document::default()
        };
        let options = ChunkOptions {
            max_tokens: 32,
            overlap_tokens: 0,
        };
        chunk(&document, &options, &words)
            .into_iter()
            .map(|c| (c.page, c.heading_path.join(" > "), c.text))
            .collect()
    }

    #[test]
    fn a_heading_alone_joins_what_is_under_it() {
        let found = places(vec![
            section(None, &["A"], "A"),
            section(None, &["A", "B"], "B\n\none two three"),
            section(None, &["A", "C"], "C\n\nfour five six"),
        ]);
        assert_eq!(
            found,
            [
                (None, "A > B".into(), "A\n\nB\n\none two three".into()),
                (None, "A > C".into(), "C\n\nfour five six".into()),
            ]
        );
    }

    #[test]
    fn nothing_crosses_a_page_or_a_top_heading() {
        let found = places(vec![
            section(Some(1), &["A"], "A"),
            section(Some(2), &["A"], "one"),
            section(Some(2), &["B"], "B"),
        ]);
        let places: Vec<_> = found.iter().map(|(p, h, _)| (*p, h.as_str())).collect();
        assert_eq!(places, [(Some(1), "A"), (Some(2), "A"), (Some(2), "B")]);
    }

    #[test]
    fn tiny_neighbours_are_cited_by_the_path_they_share() {
        let found = places(vec![
            section(None, &["A", "B"], "B"),
            section(None, &["A", "C"], "C\n\nfour five six"),
        ]);
        assert_eq!(
            found,
            [(None, "A".into(), "B\n\nC\n\nfour five six".into())]
        );
    }

    #[test]
    fn a_long_section_is_cut_between_sentences_and_overlaps() {
        let sentences: Vec<String> = (0..40).map(|n| format!("This is sentence {n}.")).collect();
        let document = Document {
            sections: vec![section(None, &["A"], &sentences.join(" "))],
            ..Document::default()
        };
        let options = ChunkOptions {
            max_tokens: 20,
            overlap_tokens: 5,
        };
        let chunks = chunk(&document, &options, &words);
        assert!(chunks.len() > 8);
        for pair in chunks.windows(2) {
            assert!(pair[0].text.ends_with('.'));
            assert!(pair[1].start < pair[0].end, "neighbours overlap");
            assert!(pair[1].start > pair[0].start);
        }
    }

    #[test]
    fn windows_leave_no_trace() {
        let sentences: String = (0..5000).map(|n| format!("Sentence {n} ends. ")).collect();
        let document = Document {
            sections: vec![section(None, &[], sentences.trim_end())],
            ..Document::default()
        };
        let options = ChunkOptions {
            max_tokens: 30,
            overlap_tokens: 6,
        };
        let chunks = chunk(&document, &options, &words);
        for pair in chunks.windows(2) {
            assert_eq!(words(&pair[0].text), 30, "every piece is full");
            let shared: String = pair[0]
                .text
                .chars()
                .skip(pair[1].start - pair[0].start)
                .collect();
            assert_eq!(words(&shared), 6, "every pair overlaps");
        }
    }
}
