//! The beginning of a run, or its going on after a wait.

use domain::event::{Event, EventKind};
use domain::execution::{Execution, StreamEntryKind};
use serde_json::{Value, json};
use store::memories::recalls::RecallNote;
use store::{Cause, Store, Tenant};

use crate::recall::Told;

/// What is told and noted when a queued run begins to run.
#[derive(Debug)]
pub(crate) struct Beginning {
    pub(crate) entry: (StreamEntryKind, Value),
    /// Where it runs for the first time.
    pub(crate) event: Option<Event>,
    pub(crate) note: Option<RecallNote>,
}

impl Beginning {
    pub(crate) fn new(
        store: &Store,
        tenant: Tenant,
        cause: &Cause,
        execution: &Execution,
        told: &Told,
    ) -> Self {
        if execution.started_at.is_some() {
            let value = json!({ "step": execution.steps + 1 });
            let data = json!({ "name": "execution_continued", "value": value });
            return Self {
                entry: (StreamEntryKind::Custom, data),
                event: None,
                note: None,
            };
        }
        let kind = EventKind::ExecutionStarted;
        let data = json!({ "agent": execution.agent, "task": execution.task });
        let event = store.event(tenant, cause, kind, execution.id, data);
        let mut data = json!({
            "agent": execution.agent, "input": execution.input, "run_id": execution.id,
        });
        if let Some(turn) = execution.conversation {
            data["thread_id"] = json!(turn.id);
        }
        Self {
            entry: (StreamEntryKind::RunStarted, data),
            event: Some(event),
            note: told.note(),
        }
    }
}
