//! What is kept of a file once it was read: parts of its text and of its chunks, beside its content.
//! Every knowledge base that the file becomes part of is filled from here, so a file is read once.

use domain::execution::Failure;
use serde::{Deserialize, Serialize};

/// Changes with the shape below.
const SHAPE: u32 = 3;

/// Some chunks of a file, in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Part {
    shape: u32,
    chunks: Vec<Piece>,
}

/// A chunk of a file that is not yet part of a knowledge base.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Piece {
    pub(crate) text: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) page: Option<u32>,
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub(crate) heading_path: Vec<String>,
    /// The characters of the document's text that it is, from the first to one past the last.
    pub(crate) start: u32,
    pub(crate) end: u32,
}

impl From<documents::Chunk> for Piece {
    fn from(chunk: documents::Chunk) -> Self {
        // The bound on text is far below what the number holds.
        let number = |characters| u32::try_from(characters).unwrap_or(u32::MAX);
        Self {
            text: chunk.text,
            page: chunk.page,
            heading_path: chunk.heading_path,
            start: number(chunk.start),
            end: number(chunk.end),
        }
    }
}

/// The pieces as they are kept.
pub(crate) fn write(chunks: Vec<Piece>) -> Vec<u8> {
    let part = Part {
        shape: SHAPE,
        chunks,
    };
    serde_json::to_vec(&part)
        .unwrap_or_else(|error| unreachable!("texts and numbers are JSON: {error}"))
}

/// The pieces that were kept.
pub(crate) fn read(json: &[u8]) -> Result<Vec<Piece>, Failure> {
    serde_json::from_slice::<Part>(json)
        .ok()
        .filter(|part| part.shape == SHAPE)
        .map(|part| part.chunks)
        .ok_or_else(|| lost("What was read from the file cannot be understood any more."))
}

/// What was read is gone; only the file itself can bring it back.
pub(crate) fn lost(what: &str) -> Failure {
    Failure::new(
        "extracted_lost",
        format!("{what} Delete the file and upload it again."),
    )
}

/// The text, cut after so many characters.
pub(crate) fn clip(mut text: String, most: usize) -> String {
    if let Some((end, _)) = text.char_indices().nth(most) {
        text.truncate(end);
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(text: &str) -> Piece {
        Piece {
            text: text.to_owned(),
            page: Some(3),
            heading_path: vec!["Part".to_owned()],
            start: 7,
            end: 7 + u32::try_from(text.chars().count()).expect("short"),
        }
    }

    #[test]
    fn what_is_kept_reads_back() {
        let pieces = vec![piece("Wörter")];
        let json = write(pieces.clone());
        assert_eq!(read(&json), Ok(pieces));
        assert_eq!(
            String::from_utf8(json).expect("text"),
            r#"{"shape":3,"chunks":[{"text":"Wörter","page":3,"heading_path":["Part"],"start":7,"end":13}]}"#
        );
    }

    #[test]
    fn what_is_not_of_this_shape_says_what_to_do() {
        for json in ["", "{", r#"{"shape":2,"chunks":[]}"#, "[]"] {
            let failure = read(json.as_bytes()).expect_err(json);
            assert_eq!(failure.code, "extracted_lost");
            assert!(failure.message.ends_with("upload it again."), "{failure:?}");
        }
    }

    #[test]
    fn a_title_without_end_is_cut_between_characters() {
        let title = clip("é".repeat(12), 11);
        assert_eq!(title, format!("{}…", "é".repeat(11)));
        assert_eq!(clip("é".repeat(11), 11), "é".repeat(11));
    }
}
