//! What is taken out of a file: its text in reading order, each part with its place.

use serde::{Deserialize, Serialize};

use crate::format::Format;
use crate::picture::Picture;

/// What stands between two sections in [`Document::text`].
pub(crate) const SECTION_BREAK: &str = "\n\n";

/// The text of one file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document {
    /// What is known of the file beside its text.
    pub about: About,
    /// The text in reading order. Never empty, and no section is blank.
    pub sections: Vec<Section>,
}

/// What is known of a file beside its text.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// What kind of file it turned out to be.
    pub format: Format,
    /// The title that the file declares, or else its first heading.
    pub title: Option<String>,
    /// The language that most of its beginning is written in, as ISO 639-3 names it (`eng`), where
    /// that is certain. Source code has none.
    pub language: Option<String>,
    /// The programming language of source code, in lower case.
    pub programming_language: Option<String>,
    /// The number of pages, slides or sheets, in formats that have them.
    pub pages: Option<u32>,
    /// Its headings in order, so many as are kept.
    pub outline: Vec<Heading>,
    /// The length of [`Document::text`] in characters.
    pub characters: u64,
    /// The picture that the file is, made small. It has no text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub picture: Option<Picture>,
    /// What could not be read, one sentence each; empty when everything was.
    pub warnings: Vec<String>,
}

/// A heading and where it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heading {
    /// How deep it is, 1 being the outermost.
    pub level: u8,
    /// Its text; a long one is cut.
    pub title: String,
    /// The page it is on, from 1, in formats that have pages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page: Option<u32>,
    /// The first character of what stands under it, in [`Document::text`].
    pub start: u64,
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
    /// Whether it goes on where the one before ended, with nothing between: long sections come in
    /// parts.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub continues: bool,
}

impl Section {
    /// What stands before its text in [`Document::text`], unless it is the first.
    pub fn break_before(&self) -> &'static str {
        if self.continues { "" } else { SECTION_BREAK }
    }
}

impl Document {
    /// The whole text: all sections, with a blank line between them. The offsets of a
    /// [`Chunk`](crate::Chunk) count its characters.
    pub fn text(&self) -> String {
        let length = self.sections.iter().map(|s| s.text.len() + 2).sum();
        let mut whole = String::with_capacity(length);
        for (index, section) in self.sections.iter().enumerate() {
            if index > 0 {
                whole.push_str(section.break_before());
            }
            whole.push_str(&section.text);
        }
        whole
    }
}
