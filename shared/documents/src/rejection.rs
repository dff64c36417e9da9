//! Why a file was refused, in a form for programs and in a form for people.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Why no text was taken from a file.
///
/// `Display` is a sentence for the person who uploaded it. It never contains text of the file.
#[derive(Debug, Clone, PartialEq, Eq, Error, Serialize, Deserialize)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum Rejection {
    /// The file opens only with a password.
    #[error("The file is protected by a password. Remove the protection and upload it again.")]
    Encrypted,

    /// The file is not whole, or not what its format demands.
    #[error("The file is damaged or incomplete: {detail}.")]
    Corrupt {
        /// What was found, as the end of a sentence.
        detail: String,
    },

    /// A bound of [`Limits`](crate::Limits) on size is passed.
    #[error("The file is too large: {measure} passes the limit of {}.", measure.amount(*limit))]
    TooLarge {
        /// What was measured.
        measure: Measure,
        /// The bound, in the unit of the measure.
        limit: u64,
    },

    /// The compressed parts of the file unfold to far more than a document holds.
    #[error(
        "The file unfolds to more data than a document holds ({detail}). It was not read further."
    )]
    DecompressionBomb {
        /// What was seen, as a phrase.
        detail: String,
    },

    /// Elements of the file are nested too deeply.
    #[error("The file is nested more than {limit} levels deep, which no document needs.")]
    TooDeep {
        /// The bound, in levels.
        limit: u32,
    },

    /// The document has more pages than are read.
    #[error(
        "The document has {pages} pages; at most {limit} are read. Split it and upload the parts."
    )]
    TooManyPages {
        /// Pages found.
        pages: u32,
        /// The bound.
        limit: u32,
    },

    /// The content is of a kind that is not read, or not the kind that the name promises.
    #[error(
        "The file cannot be read: it is {found}. PDF, Office files (DOCX, PPTX, XLSX), Markdown, \
         HTML, CSV, mail (EML), source code, plain text and pictures (JPEG, PNG, WebP) can be read."
    )]
    UnsupportedType {
        /// What the content is, as a noun phrase.
        found: String,
    },

    /// There is no text in the file.
    #[error("No text was found in the file. {hint}")]
    Empty {
        /// A likely cause, as a sentence.
        hint: String,
    },

    /// Reading did not end in time.
    #[error("Reading the file took longer than {} seconds and was stopped.", allowed_millis.div_ceil(1000))]
    TimedOut {
        /// The bound, in milliseconds.
        allowed_millis: u64,
    },

    /// The parser failed in a way that it did not foresee: a panic, a stack overflow, or more
    /// memory than it may have.
    #[error("The parser failed on this file, which is most likely damaged.")]
    ParserPanicked,

    /// The machine could not start a reader. The file itself was not judged; try again.
    #[error("The file could not be read at this moment. Try again.")]
    ReaderUnavailable {
        /// The cause, for the log.
        detail: String,
    },
}

/// What [`Rejection::TooLarge`] measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// The file as uploaded, in bytes.
    File,
    /// The text in it, in bytes of UTF-8.
    Text,
    /// Entries of the archive.
    ArchiveEntries,
    /// Pixels of a picture.
    Pixels,
    /// One row of a table, in bytes.
    Row,
}

impl Measure {
    fn amount(self, limit: u64) -> String {
        match self {
            Self::ArchiveEntries | Self::Pixels => limit.to_string(),
            Self::File | Self::Text | Self::Row if limit >= 1024 * 1024 => {
                format!("{} MiB", limit / (1024 * 1024))
            }
            Self::File | Self::Text | Self::Row => format!("{limit} bytes"),
        }
    }
}

impl std::fmt::Display for Measure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::File => "its size",
            Self::Text => "the text in it",
            Self::ArchiveEntries => "the number of parts in it",
            Self::Pixels => "the number of its pixels",
            Self::Row => "one row of it",
        })
    }
}

impl Rejection {
    /// The stable code, in snake case. It is also the `code` of the serialized form.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Encrypted => "encrypted",
            Self::Corrupt { .. } => "corrupt",
            Self::TooLarge { .. } => "too_large",
            Self::DecompressionBomb { .. } => "decompression_bomb",
            Self::TooDeep { .. } => "too_deep",
            Self::TooManyPages { .. } => "too_many_pages",
            Self::UnsupportedType { .. } => "unsupported_type",
            Self::Empty { .. } => "empty",
            Self::TimedOut { .. } => "timed_out",
            Self::ParserPanicked => "parser_panicked",
            Self::ReaderUnavailable { .. } => "reader_unavailable",
        }
    }

    /// Whether the same file may be read when it is tried again. All other rejections are final.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::ReaderUnavailable { .. })
    }

    pub(crate) fn corrupt(detail: impl Into<String>) -> Self {
        Self::Corrupt {
            detail: detail.into(),
        }
    }

    pub(crate) fn unsupported(found: impl Into<String>) -> Self {
        Self::UnsupportedType {
            found: found.into(),
        }
    }

    pub(crate) fn empty(hint: impl Into<String>) -> Self {
        Self::Empty { hint: hint.into() }
    }

    pub(crate) fn timed_out(allowed: Duration) -> Self {
        Self::TimedOut {
            allowed_millis: u64::try_from(allowed.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_is_the_serialized_tag() {
        let all = [
            Rejection::Encrypted,
            Rejection::corrupt("x"),
            Rejection::TooLarge {
                measure: Measure::Text,
                limit: 1,
            },
            Rejection::DecompressionBomb { detail: "x".into() },
            Rejection::TooDeep { limit: 1 },
            Rejection::TooManyPages { pages: 2, limit: 1 },
            Rejection::unsupported("x"),
            Rejection::empty("x"),
            Rejection::timed_out(Duration::from_secs(1)),
            Rejection::ParserPanicked,
            Rejection::ReaderUnavailable { detail: "x".into() },
        ];
        for rejection in all {
            let value = serde_json::to_value(&rejection).unwrap();
            assert_eq!(value["code"], rejection.code());
            let back: Rejection = serde_json::from_value(value).unwrap();
            assert_eq!(back, rejection);
        }
    }

    #[test]
    fn sentences_name_the_bound() {
        let too_large = Rejection::TooLarge {
            measure: Measure::File,
            limit: 50 * 1024 * 1024,
        };
        assert_eq!(
            too_large.to_string(),
            "The file is too large: its size passes the limit of 50 MiB."
        );
        assert_eq!(
            Rejection::timed_out(Duration::from_millis(1500)).to_string(),
            "Reading the file took longer than 2 seconds and was stopped."
        );
    }
}
