//! What is taken out of a file: its text in reading order, each part with its place.

use std::ops::Range;

use serde::{Deserialize, Serialize};

/// What stands between two sections in [`Document::text`].
const SECTION_BREAK: &str = "\n\n";

/// The text of one file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document {
    /// The title that the file declares, or else its first heading.
    pub title: Option<String>,
    /// The text in reading order. Never empty, and no section is blank.
    pub sections: Vec<Section>,
    /// What could not be read, one sentence each; empty when everything was.
    pub warnings: Vec<String>,
}

/// A run of text that shares one page and one heading.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Section {
    /// The page, from 1, in formats that have pages.
    pub page: Option<u32>,
    /// The headings above the text, outermost first. The innermost also opens `text`, if it
    /// stands on the same page.
    pub heading_path: Vec<String>,
    /// The text: paragraphs with a blank line between them, list items and table rows one to a
    /// line. A table row is written as `column: value; column: value`.
    pub text: String,
}

impl Document {
    /// The whole text: all sections, with a blank line between them. The offsets of a
    /// [`Chunk`](crate::Chunk) count its characters.
    pub fn text(&self) -> String {
        let length = self.sections.iter().map(|s| s.text.len() + 2).sum();
        let mut whole = String::with_capacity(length);
        for (index, section) in self.sections.iter().enumerate() {
            if index > 0 {
                whole.push_str(SECTION_BREAK);
            }
            whole.push_str(&section.text);
        }
        whole
    }

    /// Where each section lies in [`Document::text`].
    pub(crate) fn spans(&self) -> Vec<Range<usize>> {
        let mut start = 0;
        self.sections
            .iter()
            .map(|section| {
                let span = start..start + section.text.len();
                start = span.end + SECTION_BREAK.len();
                span
            })
            .collect()
    }
}
