//! What the knowledge base holds before an import.

use std::collections::HashMap;

use serde_json::Value;

use super::report::{Outcome, Reason};
use crate::client::Client;

/// What a file failed of that its content has no part in: it is uploaded once more.
const WORTH_ANOTHER_TRY: &[&str] = &[
    domain::file::CHECKSUM_MISMATCH,
    "content_missing",
    "reader_unavailable",
    "unavailable",
];
/// A file that is in the knowledge base.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Brought {
    pub(super) file: String,
    /// Whether it was there before.
    pub(super) is_known: bool,
}

/// A file that has a content already.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Known {
    There(Brought),
    /// It failed of something that its content has no part in.
    Failed(String),
}

/// Files of the knowledge base, by checksum.
#[derive(Debug, Default)]
pub(super) struct KnownFiles(HashMap<String, Value>);

impl KnownFiles {
    /// # Errors
    /// An API that does not answer.
    pub(super) async fn of(client: &Client, base: &str) -> anyhow::Result<Self> {
        let files = client
            .list(&format!("/v1/files?knowledge_base_id={base}"))
            .await?;
        Ok(Self::from_list(files))
    }

    fn from_list(files: Vec<Value>) -> Self {
        let mut known = HashMap::new();
        for file in files {
            let Some(sha256) = file["sha256"].as_str().map(str::to_owned) else {
                continue;
            };
            // Of several with the same content, one that can be read. What is still being uploaded,
            // by somebody else or by a program that died, may never come.
            let is_readable = matches!(file["status"].as_str(), Some("ready" | "processing"));
            let is_failed = file["status"] == "failed";
            if is_readable || (is_failed && !known.contains_key(&sha256)) {
                known.insert(sha256, file);
            }
        }
        Self(known)
    }

    /// The file with this content: there is nothing to upload, unless it failed of something else.
    ///
    /// # Errors
    /// What it failed of, if that is its content.
    pub(super) fn with_content(&self, sha256: &str) -> Result<Option<Known>, Outcome> {
        let Some(known) = self.0.get(sha256) else {
            return Ok(None);
        };
        let file = known["id"].as_str().unwrap_or_default().to_owned();
        if known["status"] != "failed" {
            let is_known = true;
            return Ok(Some(Known::There(Brought { file, is_known })));
        }
        let reason = Reason::of_failure(&known["failure"]);
        if WORTH_ANOTHER_TRY.contains(&reason.code.as_str()) {
            return Ok(Some(Known::Failed(file)));
        }
        let file = Some(file);
        Err(Outcome::Refused { file, reason })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn file(id: &str, sha256: &str, status: &str) -> Value {
        let failure = json!({ "code": status, "message": "No." });
        let status = match status {
            "ready" | "pending" => status,
            _ => "failed",
        };
        json!({ "id": id, "sha256": sha256, "status": status, "failure": failure })
    }

    #[test]
    fn what_failed_of_its_content_is_not_sent_again() {
        let known = KnownFiles::from_list(vec![
            file("fil_1", "a", "encrypted"),
            file("fil_2", "b", "checksum_mismatch"),
            file("fil_3", "c", "pending"),
            file("fil_4", "d", "ready"),
        ]);
        assert_eq!(
            known.with_content("a"),
            Err(Outcome::Refused {
                file: Some("fil_1".to_owned()),
                reason: Reason::new("encrypted", "No."),
            })
        );
        let again = Known::Failed("fil_2".to_owned());
        assert_eq!(known.with_content("b"), Ok(Some(again)));
        assert_eq!(known.with_content("c"), Ok(None));
        assert_eq!(known.with_content("e"), Ok(None));
        let there = Known::There(Brought {
            file: "fil_4".to_owned(),
            is_known: true,
        });
        assert_eq!(known.with_content("d"), Ok(Some(there)));
    }

    #[test]
    fn of_several_files_with_a_content_one_that_can_be_read_counts() {
        for order in [[0, 1], [1, 0]] {
            let files = [file("fil_1", "a", "encrypted"), file("fil_2", "a", "ready")];
            let listed = order.map(|place: usize| files[place].clone());
            let known = KnownFiles::from_list(listed.to_vec());
            let found = known.with_content("a");
            assert!(matches!(found, Ok(Some(Known::There(brought))) if brought.file == "fil_2"));
        }
    }
}
