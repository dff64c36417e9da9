//! From the bytes of a file to its chunks. Blocks for as long as that takes.

use documents::{ChunkOptions, Format, Processed, Rejection};
use domain::execution::Failure;
use embedding::token_count;
use store::chunks::MAX_CHUNKS;
use store::files::Reading;

use crate::Reader;
use crate::extracted::{self, Piece, clip};

/// The pieces that a search gives: long enough to hold an answer, short enough to be one.
const CHUNKS: ChunkOptions = ChunkOptions {
    max_tokens: 300,
    overlap_tokens: 40,
};
/// A word is one token however long it is, and a text may be one word. Counting its bytes as well
/// keeps every chunk within what an item holds.
const MOST_BYTES_PER_TOKEN: usize = 8;
const MAX_TITLE_CHARS: usize = 300;

/// A file that was read.
#[derive(Debug)]
pub(crate) struct ReadFile {
    /// What it turned out to be.
    pub(crate) found: Reading,
    /// Its chunks, as they are kept.
    pub(crate) extracted: Vec<u8>,
}

/// Why a file was not read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unread {
    /// The file is at fault.
    Refused(Failure),
    /// The reader could not be started: says nothing of the file. The cause is for the log.
    NotNow(String),
}

/// Reads a file where it can do no harm, and cuts it into chunks.
pub(crate) fn read(bytes: Vec<u8>, file_name: &str, reader: &Reader) -> Result<ReadFile, Unread> {
    let Processed { format, document } =
        documents::process(bytes, file_name, &reader.limits, &reader.isolation)?;
    if !document.warnings.is_empty() {
        tracing::info!(
            warnings = document.warnings.len(),
            "parts of the file were not read"
        );
    }
    let pages = document
        .sections
        .iter()
        .filter_map(|section| section.page)
        .max();
    let chunks = documents::chunk(&document, &CHUNKS, &size);
    check_count(chunks.len())?;
    let found = Reading {
        format: name(format),
        title: document.title.map(|title| clip(title, MAX_TITLE_CHARS)),
        pages,
        chunks: u32::try_from(chunks.len()).unwrap_or(u32::MAX),
    };
    let pieces = chunks.into_iter().map(Piece::from).collect();
    let extracted = extracted::write(pieces).map_err(Unread::Refused)?;
    Ok(ReadFile { found, extracted })
}

impl From<Rejection> for Unread {
    fn from(rejection: Rejection) -> Self {
        if rejection.is_retryable() {
            return Self::NotNow(format!("{rejection:?}"));
        }
        Self::Refused(refusal(&rejection))
    }
}

/// A rejection as people see it.
pub(crate) fn refusal(rejection: &Rejection) -> Failure {
    Failure::new(rejection.code(), rejection.to_string())
}

fn check_count(chunks: usize) -> Result<(), Unread> {
    if chunks <= MAX_CHUNKS {
        return Ok(());
    }
    Err(Unread::Refused(Failure::new(
        "too_large",
        format!(
            "The file makes {chunks} passages; at most {MAX_CHUNKS} are kept. Split it and upload \
             the parts."
        ),
    )))
}

fn size(text: &str) -> usize {
    token_count(text).max(text.len() / MOST_BYTES_PER_TOKEN)
}

/// The name of a format as its serialized form has it.
fn name(format: Format) -> String {
    match serde_json::to_value(format) {
        Ok(serde_json::Value::String(name)) => name,
        other => unreachable!("a format is written as its name: {other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use documents::Limits;

    use super::*;

    fn on_thread(name: &str, bytes: impl Into<Vec<u8>>) -> Result<ReadFile, Unread> {
        read(bytes.into(), name, &Reader::on_threads())
    }

    fn pieces(read: &ReadFile) -> Vec<Piece> {
        extracted::read(&read.extracted).expect("just written")
    }

    fn refused(result: Result<ReadFile, Unread>) -> Failure {
        match result {
            Err(Unread::Refused(failure)) => failure,
            other => panic!("was not refused: {other:?}"),
        }
    }

    #[test]
    fn a_file_becomes_chunks_with_their_headings() {
        let read = on_thread("rota.md", "# Rota\n\nAnswer in 12 minutes.").expect("Markdown");
        assert_eq!(
            read.found,
            Reading {
                format: "markdown".to_owned(),
                title: Some("Rota".to_owned()),
                pages: None,
                chunks: 1,
            }
        );
        let pieces = pieces(&read);
        assert_eq!(pieces[0].heading_path, ["Rota"]);
        assert_eq!((pieces[0].start, pieces[0].end), (0, 28));
        assert!(pieces[0].text.contains("Answer in 12 minutes."));
    }

    #[test]
    fn one_endless_word_still_makes_chunks_that_can_be_stored() {
        let read = on_thread("word.txt", "x".repeat(100_000)).expect("text");
        let most = CHUNKS.max_tokens * MOST_BYTES_PER_TOKEN + MOST_BYTES_PER_TOKEN;
        let pieces = pieces(&read);
        assert!(pieces.iter().all(|piece| piece.text.len() <= most));
        assert!(pieces.len() >= 100_000 / most, "{} pieces", pieces.len());
    }

    #[test]
    fn more_passages_than_are_kept_are_refused() {
        assert_eq!(check_count(MAX_CHUNKS), Ok(()));
        let Err(Unread::Refused(failure)) = check_count(MAX_CHUNKS + 1) else {
            panic!("too many passages were taken");
        };
        assert_eq!(failure.code, "too_large");
        assert!(
            failure.message.contains("at most 20000 are kept"),
            "{failure:?}"
        );
    }

    #[test]
    fn a_refusal_says_why_in_words() {
        let deep = refused(on_thread("deep.json", "[".repeat(10_000)));
        assert_eq!(deep.code, "too_deep");
        let wrong = refused(on_thread("a.pdf", "plain text"));
        assert_eq!(wrong.code, "unsupported_type");
        assert!(
            wrong
                .message
                .contains("text under a name that ends in .pdf"),
            "{wrong:?}"
        );
    }

    #[test]
    fn a_reader_out_of_time_is_stopped_and_the_file_refused() {
        let limits = Limits {
            wall_clock: Duration::ZERO,
            ..Limits::default()
        };
        let reader = Reader {
            limits,
            ..Reader::on_threads()
        };
        let text = "A line.\n".repeat(100_000);
        let failure = refused(read(text.into_bytes(), "slow.md", &reader));
        assert_eq!(failure.code, "timed_out");
    }

    #[test]
    fn a_reader_that_does_not_start_is_no_verdict_on_the_file() {
        let isolation = documents::Isolation::Process {
            program: "/nowhere/reader".into(),
            arguments: Vec::new(),
        };
        let reader = Reader {
            isolation,
            ..Reader::on_threads()
        };
        let result = read(b"text".to_vec(), "a.txt", &reader);
        assert!(matches!(result, Err(Unread::NotNow(_))), "{result:?}");
    }
}
