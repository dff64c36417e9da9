//! What tools answer, and what they change.

use domain::event::EventKind;
use domain::memory::Memory;
use domain::task::Task;
use serde_json::{Value, json};
use store::{Cause, Commit, Store};

/// The most bytes of a tool's answer that a model is shown.
const MAX_CONTENT_BYTES: usize = 32 * 1024;

/// What a tool answers, and what it changes.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) content: String,
    pub(crate) is_error: bool,
    pub(crate) change: Change,
}

impl Reply {
    /// The same answer, cut to what a model is shown.
    pub(crate) fn capped(self) -> Self {
        Self {
            content: capped(self.content),
            ..self
        }
    }

    pub(crate) fn error(content: impl Into<String>) -> Self {
        Self {
            content: content.into(),
            is_error: true,
            change: Change::None,
        }
    }

    pub(crate) fn json(value: &Value) -> Self {
        Self {
            content: value.to_string(),
            is_error: false,
            change: Change::None,
        }
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
    Remember(Box<Memory>),
    CreateTask(Box<Task>),
}

impl Change {
    pub(crate) fn add_to(self, commit: Commit, store: &Store, cause: &Cause) -> Commit {
        let tenant = commit.tenant();
        match self {
            Self::None => commit,
            Self::Remember(memory) => {
                let data = json!({ "agent": memory.agent, "kind": memory.kind });
                let kind = EventKind::MemoryCreated;
                let event = store.event(tenant, cause, kind, memory.id, data);
                commit.create(&*memory).event(event)
            }
            Self::CreateTask(task) => {
                let data = json!({ "title": task.title, "status": task.status });
                let kind = EventKind::TaskCreated;
                let event = store.event(tenant, cause, kind, task.id, data);
                commit.create(&*task).event(event)
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
