//! The ends of a run.

use domain::execution::{ExecutionState, Failure, StreamEntryKind};
use kernel::ExecutionId;
use serde_json::json;
use store::executions::Race;
use store::{Commit, CommitError, Tenant};
use work::{Attempt, Job, JobError, JobStore as _, StoreError};

use crate::AgentRunner;
use crate::model_call::Settlement;
use crate::record::Refused;
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
        let entry = (StreamEntryKind::RunError, entry);
        let commit = executions
            .add_told_change(commit, &before, &mut after, entry)
            .await?;
        match store.commit(commit).await {
            Ok(()) => return Ok(()),
            Err(error) => before = executions.after(&mut race, error, id).await?,
        }
    }
}

impl Run<'_> {
    /// Ends the run with what the model said last, whose turn may still be to be settled: that is
    /// written with the end, or without it where there is none.
    pub(crate) async fn conclude(
        &mut self,
        text: &str,
        stop_reason: &str,
        unsettled: Option<Settlement>,
    ) -> Result<(), Stop> {
        if let Some(failure) = no_answer(text, stop_reason) {
            self.settle_turn(unsettled).await?;
            return Err(Stop::Fail(failure));
        }
        match self.complete(text, stop_reason, unsettled.as_ref()).await {
            Err(refused) if refused.wrote_nothing() => {
                self.settle_turn(unsettled).await?;
                Err(refused.into())
            }
            completed => Ok(completed?),
        }
    }

    /// Completes the run and its job in one transaction.
    async fn complete(
        &mut self,
        text: &str,
        stop_reason: &str,
        unsettled: Option<&Settlement>,
    ) -> Result<(), Refused> {
        let store = self.runner.store.clone();
        let executions = store.executions(self.tenant);
        let citations = self.sources.checked(&store, self.tenant, text).await;
        let citations = citations.map_err(Stop::from)?;
        let cause = self.cause();
        let data = json!({ "agent": self.execution.agent, "task": self.execution.task });
        let event = self.event(ExecutionState::Completed.event(), data);
        let mut job = self.attempt.job.clone();
        let mut attempt = 0;
        loop {
            let done = self.attempt.done(&job, store.now());
            let done = done.map_err(|_| CommitError::FenceLost)?;
            let commit = Commit::new(self.tenant).move_job(&done, job.version);
            let mut draft = self.draft(commit);
            if let Some(settlement) = unsettled {
                settlement.add_to(&mut draft);
            }
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
                .await
                .map_err(Stop::from)?;
            draft.also(|_| commit);
            match self.commit_draft(draft).await {
                Ok(()) => {
                    self.attempt.was_settled(done);
                    return Ok(());
                }
                Err(error) if error.is_raced() && attempt < TRIES => {
                    attempt += 1;
                    self.reload().await?;
                    // Its lease was renewed meanwhile, perhaps.
                    job = self.job().await?;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The job that drives the run, as others have left it.
    async fn job(&self) -> Result<Job, Stop> {
        let job = &self.attempt.job;
        let unavailable = |error: StoreError| {
            let error = JobError::new("store_unavailable", error.to_string());
            Stop::Later(error, None)
        };
        let fresh = self.runner.store.load(job.org, job.id).await;
        fresh.map_err(unavailable)?.ok_or(Stop::Refused)
    }
}

/// Why what a model said last is no answer, if it is none.
fn no_answer(text: &str, stop_reason: &str) -> Option<Failure> {
    if matches!(stop_reason, "refusal" | "content_filter") {
        return Some(Failure::new(
            "model_refused",
            "The model, or its provider's filter, refused to answer.",
        ));
    }
    text.trim().is_empty().then(|| {
        let message = "The model ended its turn without an answer.";
        Failure::new("empty_answer", message)
    })
}
