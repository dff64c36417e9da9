//! What tools answer, and what they change.

use domain::event::EventKind;
use domain::execution::StoredResult;
use domain::swarm::SwarmMessage;
use domain::task::Task;
use kernel::digest::sha256_hex;
use serde_json::{Value, json};
use store::memories::NewMemory;
use store::{Cause, Commit, Store, Tenant};

use crate::stop::Stop;

/// The most bytes of a tool's answer that a model is shown.
const MAX_CONTENT_BYTES: usize = 32 * 1024;

/// What a tool answers, and what it changes.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) content: String,
    pub(crate) is_error: bool,
    /// Where the whole of it is, if what the model is shown was cut.
    pub(crate) whole: Option<StoredResult>,
    pub(crate) change: Change,
}

impl Reply {
    /// The same answer, cut to what a model is shown; the whole of one that is cut is kept among
    /// the org's objects first.
    pub(crate) async fn kept(self, store: &Store, tenant: Tenant) -> Result<Self, Stop> {
        if self.content.len() <= MAX_CONTENT_BYTES {
            return Ok(self);
        }
        let sha256 = sha256_hex(self.content.as_bytes());
        let bytes = self.content.len() as u64;
        let objects = store.objects(tenant);
        objects
            .keep_result(&sha256, self.content.clone().into_bytes())
            .await
            .map_err(store::Error::from)?;
        Ok(Self {
            content: capped(self.content),
            whole: Some(StoredResult { bytes, sha256 }),
            ..self
        })
    }

    pub(crate) fn text(content: impl Into<String>) -> Self {
        Self {
            content: content.into(),
            is_error: false,
            whole: None,
            change: Change::None,
        }
    }

    pub(crate) fn error(content: impl Into<String>) -> Self {
        Self {
            is_error: true,
            ..Self::text(content)
        }
    }

    pub(crate) fn json(value: &Value) -> Self {
        Self::text(value.to_string())
    }

    pub(crate) fn with(self, change: Change) -> Self {
        Self { change, ..self }
    }
}

/// What a tool changes. It is committed in one transaction with the settled effect, so it happens
/// exactly once.
#[derive(Debug)]
pub(crate) enum Change {
    None,
    Remember(Box<NewMemory>),
    CreateTask(Box<Task>),
    /// Its place in the log is found when it is written.
    SendMessage(Box<SwarmMessage>),
}

impl Change {
    pub(crate) fn add_to(&self, commit: Commit, store: &Store, cause: &Cause) -> Commit {
        let tenant = commit.tenant();
        match self {
            // A message is written with the streams of the run: see `Draft::send`.
            Self::None | Self::SendMessage(_) => commit,
            Self::Remember(memory) => (**memory).clone().add_to(commit, store, cause),
            Self::CreateTask(task) => {
                let data = json!({ "title": task.title, "status": task.status });
                let kind = EventKind::TaskCreated;
                let event = store.event(tenant, cause, kind, task.id, data);
                commit.create(&**task).event(event)
            }
        }
    }
}

/// `content`, cut to what a model is shown, with a note where it was cut.
fn capped(content: String) -> String {
    if content.len() <= MAX_CONTENT_BYTES {
        return content;
    }
    let note = format!("\n… cut: the answer has {} bytes.", content.len());
    let mut end = MAX_CONTENT_BYTES - note.len();
    while !content.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{note}", &content[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_answer_is_cut_at_a_character_and_says_so() {
        let short = capped("ü".repeat(10));
        assert_eq!(short, "ü".repeat(10));
        let long = capped("ü".repeat(MAX_CONTENT_BYTES));
        assert!(long.len() <= MAX_CONTENT_BYTES);
        assert!(long.ends_with("bytes."));
    }
}
