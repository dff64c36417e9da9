//! The ends of a run.

use domain::execution::{ExecutionState, Failure, StreamEntryKind};
use kernel::ExecutionId;
use serde_json::json;
use store::executions::Race;
use store::{Commit, Tenant};
use work::Attempt;

use crate::AgentRunner;
use crate::run::{Run, cause_of};
use crate::stop::Stop;

const TRIES: u32 = 12;

/// Ends a run without an answer, as `failed` or `expired`, from whatever stands of it. Needs
/// nothing of the run but its row, so that one that cannot be loaded can still end.
pub(crate) async fn without_answer(
    runner: &AgentRunner,
    attempt: &Attempt,
    tenant: Tenant,
    id: ExecutionId,
    state: ExecutionState,
    failure: Failure,
) -> Result<(), Stop> {
    let store = &runner.store;
    let executions = store.executions(tenant);
    let Some(current) = executions.get(id).await? else {
        return Ok(());
    };
    tracing::warn!(execution = %id, code = failure.code, "an execution ended without an answer");
    let mut race = Race::default();
    let mut before = current;
    loop {
        let mut after = before.clone();
        if after.transition(state, store.now()).is_err() {
            return Ok(());
        }
        after.failure = Some(failure.clone());
        let cause = cause_of(&before);
        let data = json!({ "agent": after.agent, "task": after.task, "code": failure.code });
        let event = store.event(tenant, &cause, state.event(), id, data);
        let commit = Commit::new(tenant).fenced_by(attempt.fence).event(event);
        let commit = executions
            .again(race.lost())
            .add_end(commit, &cause, &before, &mut after)
            .await?;
        let entry = json!({ "code": failure.code, "message": failure.message });
        let entry = Some((StreamEntryKind::RunError, entry));
        let commit = executions.add_change(commit, &before, &mut after, entry);
        match store.commit(commit).await {
            Ok(()) => return Ok(()),
            Err(error) => before = executions.after(&mut race, error, id).await?,
        }
    }
}

impl Run<'_> {
    /// Ends the run with what the model said last.
    pub(crate) async fn conclude(&mut self, text: &str, stop_reason: &str) -> Result<(), Stop> {
        if matches!(stop_reason, "refusal" | "content_filter") {
            return Err(Stop::Fail(Failure::new(
                "model_refused",
                "The model, or its provider's filter, refused to answer.",
            )));
        }
        if text.trim().is_empty() {
            return Err(Stop::Fail(Failure::new(
                "empty_answer",
                "The model ended its turn without an answer.",
            )));
        }
        let executions = self.runner.store.executions(self.tenant);
        let citations = self.sources.cited_in(text);
        let cause = self.cause();
        let data = json!({ "agent": self.execution.agent, "task": self.execution.task });
        let event = self.event(ExecutionState::Completed.event(), data);
        let mut attempt = 0;
        loop {
            let mut draft = self.draft(self.commit());
            let now = draft.now;
            let execution = &mut draft.execution;
            execution
                .transition(ExecutionState::Completed, now)
                .map_err(|_| Stop::Refused)?;
            execution.steps += 1;
            execution.answer = Some(text.to_owned());
            execution.citations.clone_from(&citations);
            let steps = execution.steps;
            let finished = json!({
                "answer": text,
                "citations": citations,
                "usage": execution.usage,
                "truncated": stop_reason == "max_tokens",
            });
            draft.tell(StreamEntryKind::StepFinished, json!({ "step": steps }));
            draft.tell(StreamEntryKind::RunFinished, finished);
            draft.also(|commit| commit.event(event.clone()));
            let commit = draft.take_commit();
            let commit = executions
                .again(attempt)
                .add_end(commit, &cause, &self.execution, &mut draft.execution)
                .await?;
            draft.also(|_| commit);
            match self.commit_draft(draft).await {
                Ok(()) => return Ok(()),
                Err(error) if error.is_raced() && attempt < TRIES => {
                    attempt += 1;
                    self.reload().await?;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}
