//! What became of each file, for people and for programs.

use std::path::PathBuf;
use std::time::Duration;

use indicatif::BinaryBytes;
use serde::Serialize;
use serde_json::{Value, json};

use crate::client::Refusal;

/// Something in the folder.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub(super) path: PathBuf,
    /// The path below the folder, for people.
    pub(super) shown: String,
    pub(super) bytes: u64,
    pub(super) outcome: Option<Outcome>,
}

impl Entry {
    pub(super) fn new(path: PathBuf, shown: String) -> Self {
        Self {
            path,
            shown,
            bytes: 0,
            outcome: None,
        }
    }
}

/// What became of a file.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub(super) enum Outcome {
    /// It was uploaded and can be searched.
    Imported { file: String, chunks: u64 },
    /// A file with its content was there before, and nothing was uploaded.
    Known { file: String, chunks: u64 },
    /// Another file of the folder has the same content.
    Duplicate { of: String },
    /// It is nothing to import.
    Skipped { reason: Reason },
    /// It cannot be searched.
    Refused {
        #[serde(skip_serializing_if = "Option::is_none")]
        file: Option<String>,
        reason: Reason,
    },
    /// The command ended before it could be searched.
    Unfinished {
        #[serde(skip_serializing_if = "Option::is_none")]
        file: Option<String>,
        reason: Reason,
    },
}

impl Outcome {
    pub(super) fn refused(reason: Reason) -> Self {
        Self::Refused { file: None, reason }
    }

    /// Nothing of it is kept.
    pub(super) fn interrupted() -> Self {
        let reason = Reason::new("interrupted", "The import ended before it was brought.");
        Self::Unfinished { file: None, reason }
    }

    /// It is kept, and read by whichever host serves the data folder next.
    pub(super) fn unread(file: String, message: impl Into<String>) -> Self {
        Self::Unfinished {
            file: Some(file),
            reason: Reason::new("unread", message),
        }
    }

    pub(super) fn reason(&self) -> Option<&Reason> {
        match self {
            Self::Imported { .. } | Self::Known { .. } | Self::Duplicate { .. } => None,
            Self::Skipped { reason }
            | Self::Refused { reason, .. }
            | Self::Unfinished { reason, .. } => Some(reason),
        }
    }

    /// What is said of it in a line: a word, and what follows the name.
    pub(super) fn told(&self) -> (&'static str, String) {
        let because = |reason: &Reason| format!(": {}", reason.message);
        match self {
            // A picture has none.
            Self::Imported { chunks: 0, .. } => ("ready", String::new()),
            Self::Imported { chunks, .. } => ("ready", format!(": {chunks} chunks")),
            Self::Known { .. } => ("known", String::new()),
            Self::Duplicate { of } => ("same", format!(": has the content of {of}")),
            Self::Skipped { reason } => ("skipped", because(reason)),
            Self::Refused { reason, .. } => ("refused", because(reason)),
            Self::Unfinished { reason, .. } => ("not yet", because(reason)),
        }
    }
}

/// Why a file cannot be searched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Reason {
    /// Stable, in snake case: of the API, of the worker that read the file, or of this command.
    pub(super) code: String,
    /// For people.
    pub(super) message: String,
}

impl Reason {
    pub(super) fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            message: message.into(),
        }
    }

    /// The machine does not let it be read.
    pub(super) fn unreadable(error: impl std::fmt::Display) -> Self {
        Self::new("unreadable", format!("It cannot be read: {error}."))
    }

    /// The API, or the object store behind it, did not take it.
    pub(super) fn of(error: &anyhow::Error) -> Self {
        match error.downcast_ref::<Refusal>() {
            Some(refusal) => Self::new(refusal.code.clone(), refusal.detail.clone()),
            None => Self::new("not_uploaded", format!("{error:#}")),
        }
    }

    /// The failure that a file or document shows.
    pub(super) fn of_failure(failure: &Value) -> Self {
        let field = |name: &str| failure[name].as_str().map(str::to_owned);
        Self::new(
            field("code").unwrap_or_else(|| "failed".to_owned()),
            field("message").unwrap_or_else(|| "No reason was given.".to_owned()),
        )
    }
}

/// What an import came to.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) knowledge_base: String,
    pub(super) name: String,
    pub(super) entries: Vec<Entry>,
    /// Whether a search by words finds all that was imported.
    pub(super) is_indexed: bool,
    pub(super) bytes_sent: u64,
    pub(super) took: Duration,
}

/// How many files came to what.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
struct Counts {
    imported: usize,
    known: usize,
    duplicate: usize,
    skipped: usize,
    refused: usize,
    unfinished: usize,
}

impl Report {
    /// Whether all that is in the folder can be searched.
    pub(super) fn is_whole(&self) -> bool {
        let counts = self.counts();
        counts.refused + counts.unfinished == 0
    }

    /// Whether anything can be asked about.
    pub(super) fn holds_something(&self) -> bool {
        let counts = self.counts();
        counts.imported + counts.known > 0
    }

    fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for entry in &self.entries {
            let count = match &entry.outcome {
                Some(Outcome::Imported { .. }) => &mut counts.imported,
                Some(Outcome::Known { .. }) => &mut counts.known,
                Some(Outcome::Duplicate { .. }) => &mut counts.duplicate,
                Some(Outcome::Skipped { .. }) => &mut counts.skipped,
                Some(Outcome::Refused { .. }) => &mut counts.refused,
                Some(Outcome::Unfinished { .. }) | None => &mut counts.unfinished,
            };
            *count += 1;
        }
        counts
    }

    /// For programs.
    pub(super) fn as_json(&self) -> Value {
        let files: Vec<Value> = self
            .entries
            .iter()
            .map(|entry| {
                let mut file = json!({ "path": entry.shown, "bytes": entry.bytes });
                let outcome = json!(entry.outcome);
                for (name, value) in outcome.as_object().into_iter().flatten() {
                    file[name] = value.clone();
                }
                file
            })
            .collect();
        json!({
            "knowledge_base": { "id": self.knowledge_base, "name": self.name },
            "counts": self.counts(),
            "indexed": self.is_indexed,
            "bytes_sent": self.bytes_sent,
            "took_ms": u64::try_from(self.took.as_millis()).unwrap_or(u64::MAX),
            "files": files,
        })
    }

    /// For people.
    pub(super) fn summary(&self) -> String {
        let counts = self.counts();
        let parts: Vec<String> = [
            (counts.imported, "imported"),
            (counts.known, "known before"),
            (counts.duplicate, "the same as another"),
            (counts.skipped, "skipped"),
            (counts.refused, "refused"),
            (counts.unfinished, "not yet"),
        ]
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
        if parts.is_empty() {
            return "There is no file to import.".to_owned();
        }
        let mut text = format!(
            "{}; {} sent in {:.1} s",
            parts.join(", "),
            BinaryBytes(self.bytes_sent),
            self.took.as_secs_f64()
        );
        let troubles = self.entries.iter().filter_map(|entry| {
            let outcome = entry.outcome.as_ref()?;
            outcome.reason()?;
            let (word, rest) = outcome.told();
            Some(format!("\n  {word:<8} {}{rest}", entry.shown))
        });
        text.extend(troubles);
        if !self.is_indexed {
            text.push_str("\nWords of it may take a moment until `search` finds them.");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(shown: &str, outcome: Outcome) -> Entry {
        let mut entry = Entry::new(PathBuf::from(shown), shown.to_owned());
        entry.bytes = 7;
        entry.outcome = Some(outcome);
        entry
    }

    fn report(entries: Vec<Entry>) -> Report {
        Report {
            knowledge_base: "kb_1".to_owned(),
            name: "Imported".to_owned(),
            entries,
            is_indexed: true,
            bytes_sent: 1_536,
            took: Duration::from_millis(1_240),
        }
    }

    #[test]
    fn a_report_counts_and_names_what_is_not_there() {
        let imported = Outcome::Imported {
            file: "fil_1".to_owned(),
            chunks: 3,
        };
        let refused = Outcome::refused(Reason::new("empty", "It has no bytes."));
        let whole = report(vec![entry("a.md", imported.clone())]);
        assert!(whole.is_whole() && whole.holds_something());
        assert_eq!(whole.summary(), "1 imported; 1.50 KiB sent in 1.2 s");
        let some = report(vec![entry("a.md", imported), entry("b.md", refused)]);
        assert!(!some.is_whole());
        assert_eq!(
            some.summary(),
            "1 imported, 1 refused; 1.50 KiB sent in 1.2 s\n  refused  b.md: It has no bytes."
        );
        let json = some.as_json();
        assert_eq!(
            json["files"],
            json!([
                { "path": "a.md", "bytes": 7, "status": "imported", "file": "fil_1", "chunks": 3 },
                { "path": "b.md", "bytes": 7, "status": "refused",
                  "reason": { "code": "empty", "message": "It has no bytes." } },
            ])
        );
        assert_eq!(json["counts"]["refused"], 1);
        let none = report(Vec::new());
        assert_eq!(none.summary(), "There is no file to import.");
        assert!(none.is_whole() && !none.holds_something());
        let mut late = whole;
        late.is_indexed = false;
        assert!(late.summary().ends_with("until `search` finds them."));
        let unfinished = report(vec![entry("c.md", Outcome::interrupted())]);
        assert!(!unfinished.is_whole());
    }
}
