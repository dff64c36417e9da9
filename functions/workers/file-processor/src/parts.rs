//! Cuts what comes out of a file into the parts that are kept of it, while it comes.

use documents::{Chunk, ChunkOptions, Chunker, Section};
use domain::execution::Failure;
use embedding::token_count;
use store::chunks::MAX_CHUNKS;
use store::extracted::{CHUNKS_PER_PART, TEXT_PART_CHARACTERS};

use crate::extracted::{self, Piece};

/// The pieces that a search gives: long enough to hold an answer, short enough to be one.
const CHUNKS: ChunkOptions = ChunkOptions {
    max_tokens: 300,
    overlap_tokens: 40,
};
/// A word is one token however long it is, and a text may be one word. Counting its bytes as well
/// keeps every chunk within what an item holds.
pub(crate) const MOST_BYTES_PER_TOKEN: usize = 8;

/// A part that is to be kept.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// So many characters of the text as every part but the last has.
    Text { number: u32, text: String },
    /// So many chunks as every part but the last has, as they are kept.
    Chunks { number: u32, json: Vec<u8> },
}

/// Why no more is taken.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The file is at fault.
    Refused(Failure),
    /// Whoever keeps the parts wants no more of them.
    Unwanted,
}

/// The parts of one file.
pub(crate) struct Parts<'k> {
    keep: &'k mut dyn FnMut(Part) -> Result<(), Stop>,
    chunker: Chunker<'static>,
    text: TextParts,
    pieces: Vec<Piece>,
    chunk_parts: u32,
    chunks: u32,
    is_begun: bool,
}

impl<'k> Parts<'k> {
    pub(crate) fn new(keep: &'k mut dyn FnMut(Part) -> Result<(), Stop>) -> Self {
        Self {
            keep,
            chunker: Chunker::new(&CHUNKS, &size),
            text: TextParts::default(),
            pieces: Vec::new(),
            chunk_parts: 0,
            chunks: 0,
            is_begun: false,
        }
    }

    /// How many chunks there are so far.
    pub(crate) fn chunks(&self) -> u32 {
        self.chunks
    }

    pub(crate) fn take(&mut self, section: &Section) -> Result<(), Stop> {
        if std::mem::replace(&mut self.is_begun, true) {
            self.text.push(section.break_before(), self.keep)?;
        }
        self.text.push(&section.text, self.keep)?;
        let pieces = &mut self.pieces;
        self.chunker
            .push(section, &mut |chunk| pieces.push(chunk.into()));
        self.keep_pieces(false)
    }

    /// Keeps what is left. Returns the number of chunks.
    pub(crate) fn finish(mut self) -> Result<u32, Stop> {
        let pieces = &mut self.pieces;
        let mut give = |chunk: Chunk| pieces.push(chunk.into());
        self.chunker.finish(&mut give);
        self.keep_pieces(true)?;
        self.text.finish(self.keep)?;
        Ok(self.chunks)
    }

    fn keep_pieces(&mut self, all: bool) -> Result<(), Stop> {
        let whole = CHUNKS_PER_PART as usize;
        let held = u32::try_from(self.pieces.len()).unwrap_or(u32::MAX);
        self.chunks = self
            .chunk_parts
            .saturating_mul(CHUNKS_PER_PART)
            .saturating_add(held);
        if self.chunks as usize > MAX_CHUNKS {
            return Err(Stop::Refused(too_many()));
        }
        while self.pieces.len() >= whole || all && !self.pieces.is_empty() {
            let rest = self.pieces.split_off(whole.min(self.pieces.len()));
            let part = std::mem::replace(&mut self.pieces, rest);
            (self.keep)(Part::Chunks {
                number: self.chunk_parts,
                json: extracted::write(part),
            })?;
            self.chunk_parts += 1;
        }
        Ok(())
    }
}

/// The text in parts of the same number of characters.
#[derive(Default)]
struct TextParts {
    text: String,
    characters: usize,
    number: u32,
}

impl TextParts {
    fn push(
        &mut self,
        mut more: &str,
        keep: &mut dyn FnMut(Part) -> Result<(), Stop>,
    ) -> Result<(), Stop> {
        let whole = TEXT_PART_CHARACTERS as usize;
        loop {
            let room = whole - self.characters;
            let Some((end, _)) = more.char_indices().nth(room) else {
                self.text.push_str(more);
                self.characters += more.chars().count();
                return Ok(());
            };
            self.text.push_str(&more[..end]);
            more = &more[end..];
            self.flush(keep)?;
        }
    }

    fn finish(mut self, keep: &mut dyn FnMut(Part) -> Result<(), Stop>) -> Result<(), Stop> {
        if self.text.is_empty() {
            return Ok(());
        }
        self.flush(keep)
    }

    fn flush(&mut self, keep: &mut dyn FnMut(Part) -> Result<(), Stop>) -> Result<(), Stop> {
        let text = std::mem::take(&mut self.text);
        let number = self.number;
        self.number += 1;
        self.characters = 0;
        keep(Part::Text { number, text })
    }
}

fn too_many() -> Failure {
    Failure::new(
        "too_large",
        format!(
            "The file makes more than {MAX_CHUNKS} passages, which is more than are kept. Split it \
             and upload the parts."
        ),
    )
}

fn size(text: &str) -> usize {
    token_count(text).max(text.len() / MOST_BYTES_PER_TOKEN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(text: impl Into<String>, continues: bool) -> Section {
        Section {
            text: text.into(),
            continues,
            ..Section::default()
        }
    }

    fn kept(sections: &[Section]) -> Result<(Vec<Part>, u32), Stop> {
        let mut parts = Vec::new();
        let mut keep = |part| {
            parts.push(part);
            Ok(())
        };
        let mut taking = Parts::new(&mut keep);
        sections
            .iter()
            .try_for_each(|section| taking.take(section))?;
        let chunks = taking.finish()?;
        Ok((parts, chunks))
    }

    #[test]
    fn parts_hold_the_text_and_every_chunk_is_where_it_says() {
        let long = "Der Prüfer schreibt „ja“ in Zeile. ".repeat(60_000);
        let sections = [
            section("Öl", false),
            section(long.clone(), false),
            section("… und weiter.", true),
            section("Ende", false),
        ];
        let (parts, chunks) = kept(&sections).expect("kept");
        let whole: Vec<char> = format!("Öl\n\n{long}… und weiter.\n\nEnde")
            .chars()
            .collect();
        let mut text = Vec::new();
        let mut pieces = Vec::new();
        let (mut text_parts, mut chunk_parts) = (0, 0);
        for part in &parts {
            match part {
                Part::Text { number, text: part } => {
                    assert_eq!(*number, text_parts);
                    assert_eq!(text.len(), *number as usize * TEXT_PART_CHARACTERS as usize);
                    text.extend(part.chars());
                    text_parts += 1;
                }
                Part::Chunks { number, json } => {
                    assert_eq!(*number, chunk_parts);
                    assert_eq!(pieces.len(), *number as usize * CHUNKS_PER_PART as usize);
                    pieces.extend(extracted::read(json).expect("just written"));
                    chunk_parts += 1;
                }
            }
        }
        assert!(
            text_parts > 1 && chunk_parts > 1,
            "{text_parts} {chunk_parts}"
        );
        assert_eq!(text, whole);
        assert_eq!(pieces.len(), chunks as usize);
        for piece in pieces {
            let there = &whole[piece.start as usize..piece.end as usize];
            assert_eq!(piece.text, there.iter().collect::<String>());
        }
    }

    #[test]
    fn more_passages_than_are_kept_are_refused() {
        let mut keep = |_| Ok(());
        let mut parts = Parts::new(&mut keep);
        parts.chunk_parts = u32::try_from(MAX_CHUNKS).expect("a small number") / CHUNKS_PER_PART;
        let outcome = parts.take(&section("One more.", false));
        assert_eq!(outcome, Ok(()), "it is not cut yet");
        let Err(Stop::Refused(failure)) = parts.finish() else {
            panic!("too many passages were taken");
        };
        assert_eq!(failure.code, "too_large");
        assert!(
            failure.message.contains(&MAX_CHUNKS.to_string()),
            "{failure:?}"
        );
    }

    #[test]
    fn who_wants_no_more_parts_is_given_none() {
        let mut given = 0;
        let mut keep = |_| {
            given += 1;
            Err(Stop::Unwanted)
        };
        let mut parts = Parts::new(&mut keep);
        let long = section("word ".repeat(1_000_000), false);
        assert_eq!(parts.take(&long), Err(Stop::Unwanted));
        drop(parts);
        assert_eq!(given, 1);
    }
}
