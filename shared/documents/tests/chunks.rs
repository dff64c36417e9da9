//! Properties that hold for the pieces of every document.

use documents::{Chunk, ChunkOptions, Document, Section, chunk};
use proptest::prelude::*;

fn text() -> impl Strategy<Value = String> {
    // Words, sentence ends, line ends and blank lines; scripts without spaces and characters that
    // take several bytes.
    let word = prop_oneof![
        6 => "[a-zA-Z]{1,12}",
        2 => "[a-z]{2,8}[.!?]",
        1 => "[äöüß漢字カナ]{1,20}",
        1 => "[\u{1F600}-\u{1F610}]{1,4}",
        1 => "[0-9]{1,6}([.,][0-9]{1,3})?",
        1 => "[a-z]{40,200}",
    ];
    let gap = prop_oneof![8 => Just(" "), 1 => Just("\n"), 1 => Just("\n\n"), 1 => Just("  ")];
    prop::collection::vec((word, gap), 1..120).prop_map(|parts| {
        let text: String = parts
            .into_iter()
            .flat_map(|(w, g)| [w, g.to_owned()])
            .collect();
        text.trim_end().to_owned()
    })
}

fn document() -> impl Strategy<Value = Document> {
    let path = prop::collection::vec("[A-C]", 0..3);
    prop::collection::vec((text(), path, 0u32..2), 1..12).prop_map(|parts| {
        let mut page = 1;
        let sections = parts
            .into_iter()
            .map(|(text, heading_path, turn)| {
                page += turn;
                Section {
                    page: Some(page),
                    heading_path,
                    text,
                    continues: false,
                }
            })
            .collect();
        Document {
            sections,
            ..Document::default()
        }
    })
}

fn by_words(text: &str) -> usize {
    text.split_whitespace().count()
}

/// Like a tokenizer of subwords: long words are several tokens, every other character is one.
fn by_bytes(text: &str) -> usize {
    text.len().div_ceil(3)
}

fn check(
    document: &Document,
    options: ChunkOptions,
    count: fn(&str) -> usize,
) -> Result<(), TestCaseError> {
    let whole: Vec<char> = document.text().chars().collect();
    let chunks = chunk(document, &options, &count);
    let mut covered = vec![false; whole.len()];
    for (ordinal, piece) in chunks.iter().enumerate() {
        prop_assert_eq!(piece.ordinal, ordinal);
        let there: String = whole[piece.start..piece.end].iter().collect();
        prop_assert_eq!(&there, &piece.text);
        prop_assert!(!piece.text.trim().is_empty());
        prop_assert!(
            count(&piece.text) <= options.max_tokens.max(16),
            "{} tokens in {:?}",
            count(&piece.text),
            piece.text
        );
        covered[piece.start..piece.end].fill(true);
    }
    for pair in chunks.windows(2) {
        prop_assert!(pair[0].start < pair[1].start && pair[0].end < pair[1].end);
        check_overlap(&whole, pair, options, count)?;
    }
    for (at, c) in whole.iter().enumerate() {
        prop_assert!(
            covered[at] || c.is_whitespace(),
            "{c:?} at {at} is in no piece"
        );
    }
    check_pages(document, &chunks)
}

fn check_overlap(
    whole: &[char],
    pair: &[Chunk],
    options: ChunkOptions,
    count: fn(&str) -> usize,
) -> Result<(), TestCaseError> {
    if pair[1].start < pair[0].end {
        let shared: String = whole[pair[1].start..pair[0].end].iter().collect();
        let shared = count(&shared);
        prop_assert!(
            shared <= options.overlap_tokens,
            "{shared} tokens are shared"
        );
        prop_assert_eq!(pair[0].page, pair[1].page);
    }
    Ok(())
}

/// Every piece names the page of each section that it touches.
fn check_pages(document: &Document, chunks: &[Chunk]) -> Result<(), TestCaseError> {
    let mut start = 0;
    for section in &document.sections {
        let end = start + section.text.chars().count();
        for piece in chunks.iter().filter(|c| c.start < end && c.end > start) {
            prop_assert_eq!(piece.page, section.page);
        }
        start = end + 2;
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn pieces_cover_the_text_within_their_budget(
        document in document(),
        max_tokens in 16usize..200,
        overlap in 0usize..60,
    ) {
        let options = ChunkOptions { max_tokens, overlap_tokens: overlap };
        check(&document, options, by_words)?;
        check(&document, options, by_bytes)?;
    }
}

#[test]
fn long_text_without_structure_is_cut_in_proportion_to_its_length() {
    for text in [
        "x".repeat(60_000),
        "word ".repeat(40_000),
        "a line\n".repeat(30_000),
    ] {
        let document = Document {
            sections: vec![Section {
                text,
                ..Section::default()
            }],
            ..Document::default()
        };
        let options = ChunkOptions::default();
        let chunks = chunk(&document, &options, &by_bytes);
        let least = by_bytes(&document.sections[0].text) / options.max_tokens;
        assert!(
            chunks.len() >= least && chunks.len() <= least * 2,
            "{}",
            chunks.len()
        );
        check(&document, options, by_bytes).unwrap();
    }
}
