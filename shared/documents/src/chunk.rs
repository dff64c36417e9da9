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

/// Cuts `document` into pieces of at most `options.max_tokens`, as `token_count` counts them. See
/// [`Chunker`].
pub fn chunk(
    document: &Document,
    options: &ChunkOptions,
    token_count: &dyn Fn(&str) -> usize,
) -> Vec<Chunk> {
    let mut chunker = Chunker::new(options, token_count);
    let mut chunks = Vec::new();
    for section in &document.sections {
        chunker.push(section, &mut |chunk| chunks.push(chunk));
    }
    chunker.finish(&mut |chunk| chunks.push(chunk));
    chunks
}

/// Cuts a document into pieces while its sections come.
///
/// A piece lies within one page and one section. A section too small to stand alone joins the next
/// one, if that is on the same page and under the same top heading. A section that is too large is
/// cut where paragraphs, lines, sentences or words end, in this order, and neighbours share up to
/// `options.overlap_tokens`. Together the pieces hold everything but white space, in order.
///
/// What is held of the text is what is not cut yet: a few kilobytes, or the longest piece of it
/// that the tokenizer counts as little.
pub struct Chunker<'t> {
    splitter: TextSplitter<Sizer<'t>>,
    token_count: &'t dyn Fn(&str) -> usize,
    tiny_tokens: usize,
    window_bytes: usize,
    unit: Option<Unit>,
    /// The characters of the document's text before that of the unit.
    characters: usize,
    ordinal: usize,
}

/// A section, or a few tiny ones and the section after them: as much of it as is not cut yet.
struct Unit {
    text: String,
    page: Option<u32>,
    /// The headings of each of its sections.
    paths: Vec<Vec<String>>,
    /// Up to where the pieces cut so far reach, in bytes of `text`.
    reached: usize,
    /// Whether pieces were cut off it.
    is_begun: bool,
    /// The text is cut in windows of at least this size.
    window_bytes: usize,
}

impl<'t> Chunker<'t> {
    /// A chunker that has seen nothing yet.
    pub fn new(options: &ChunkOptions, token_count: &'t dyn Fn(&str) -> usize) -> Self {
        let max_tokens = options.max_tokens.max(LEAST_TOKENS);
        let overlap = options.overlap_tokens.min(max_tokens / 2);
        let config = ChunkConfig::new(max_tokens)
            .with_sizer(Sizer(token_count))
            .with_overlap(overlap)
            .expect("half of the capacity is less than the capacity");
        Self {
            splitter: TextSplitter::new(config),
            token_count,
            tiny_tokens: max_tokens / TINY_PART,
            window_bytes: (max_tokens * BYTES_PER_TOKEN).max(WINDOW_BYTES),
            unit: None,
            characters: 0,
            ordinal: 0,
        }
    }

    /// Takes the next section, and gives the pieces that are certain by now.
    pub fn push(&mut self, section: &Section, give: &mut dyn FnMut(Chunk)) {
        let between = section.break_before();
        match self.unit.take() {
            Some(mut unit) if section.continues || self.joins(&unit, section) => {
                unit.text.push_str(between);
                unit.text.push_str(&section.text);
                if !section.continues {
                    unit.paths.push(section.heading_path.clone());
                }
                self.unit = Some(unit);
            }
            before => {
                if let Some(unit) = before {
                    self.unit = Some(unit);
                    self.finish(give);
                    self.characters += between.len();
                }
                self.unit = Some(Unit {
                    text: section.text.clone(),
                    page: section.page,
                    paths: vec![section.heading_path.clone()],
                    reached: 0,
                    is_begun: false,
                    window_bytes: self.window_bytes,
                });
            }
        }
        self.cut_windows(give);
    }

    /// Gives the last pieces.
    pub fn finish(&mut self, give: &mut dyn FnMut(Chunk)) {
        let Some(mut unit) = self.unit.take() else {
            return;
        };
        let found = self.cut(&unit.text);
        self.give(&mut unit, found, give);
        self.characters += unit.text.chars().count();
    }

    /// Whether a section belongs to what came before, which is too little to stand alone.
    fn joins(&self, unit: &Unit, section: &Section) -> bool {
        // The length spares counting most sections.
        let is_tiny = !unit.is_begun
            && unit.text.len() <= self.tiny_tokens * BYTES_PER_TOKEN
            && (self.token_count)(&unit.text) <= self.tiny_tokens;
        let above = unit.paths.last().and_then(|path| path.first());
        is_tiny
            && unit.page == section.page
            && (above.is_none() || above == section.heading_path.first())
    }

    /// Cuts the unit while more of it is there than a window holds. The last piece of a window was
    /// cut where the window ends and not where the text asks for it, so the next one begins with
    /// it again.
    fn cut_windows(&mut self, give: &mut dyn FnMut(Chunk)) {
        let Some(mut unit) = self.unit.take() else {
            return;
        };
        while unit.text.len() > unit.window_bytes {
            let end = unit.text.floor_char_boundary(unit.window_bytes);
            let mut found = self.cut(&unit.text[..end]);
            let next = match found.as_slice() {
                [] => end,
                [_] => {
                    unit.window_bytes *= 2;
                    continue;
                }
                [.., _] => found.pop().map_or(end, |cut_short| cut_short.start),
            };
            self.give(&mut unit, found, give);
            self.characters += unit.text[..next].chars().count();
            unit.text.drain(..next);
            unit.reached = unit.reached.saturating_sub(next);
            unit.is_begun = true;
        }
        self.unit = Some(unit);
    }

    /// The pieces of a text that are not blank.
    fn cut(&self, text: &str) -> Vec<Range<usize>> {
        self.splitter
            .chunk_indices(text)
            .filter(|(_, piece)| !piece.trim().is_empty())
            .map(|(offset, piece)| offset..offset + piece.len())
            .collect()
    }

    fn give(&mut self, unit: &mut Unit, found: Vec<Range<usize>>, give: &mut dyn FnMut(Chunk)) {
        let mut place = Place {
            byte: 0,
            character: self.characters,
        };
        for piece in found {
            // The overlap alone, when nothing more fits after it, is in the piece before already.
            if piece.end <= unit.reached {
                continue;
            }
            unit.reached = piece.end;
            let start = place.advance(&unit.text, piece.start);
            let text = &unit.text[piece];
            give(Chunk {
                ordinal: self.ordinal,
                text: text.to_owned(),
                page: unit.page,
                heading_path: common_headings(&unit.paths),
                start,
                end: start + text.chars().count(),
            });
            self.ordinal += 1;
        }
    }
}

/// A place in a text, counted in bytes and in characters.
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

struct Sizer<'t>(&'t dyn Fn(&str) -> usize);

impl ChunkSizer for Sizer<'_> {
    fn size(&self, chunk: &str) -> usize {
        (self.0)(chunk)
    }
}

/// The path of the last section, if all others are above it; otherwise the path they share.
fn common_headings(paths: &[Vec<String>]) -> Vec<String> {
    let Some((last, others)) = paths.split_last() else {
        return Vec::new();
    };
    let above = others.iter().all(|path| last.starts_with(path));
    let depth = if above {
        last.len()
    } else {
        others
            .iter()
            .map(|path| shared_depth(path, last))
            .min()
            .unwrap_or(0)
    };
    last[..depth].to_vec()
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
            continues: false,
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
