//! The loop of a run, and the ways in which it ends.

use std::time::Duration;

use domain::agent::Limits;
use domain::event::EventKind;
use domain::execution::{
    EffectOutcome, Execution, ExecutionState, Failure, RequestedCall, StreamEntryKind,
};
use domain::task::TaskStatus;
use kernel::ExecutionId;
use llm::ModelError;
use serde_json::json;
use store::{Store, Tenant};
use work::{Attempt, JobError, Outcome};

use crate::reply::Reply;
use crate::run::{MAX_CALLS_PER_STEP, Run, Stop};
use crate::{AgentRunner, ending, model_call, tools};

/// How often a model call is begun anew, after retries and dead workers, before the run fails.
const MAX_MODEL_ATTEMPTS: u32 = 5;

/// After how many failed attempts in a row the run is given up: the worker dies of it, or cannot
/// even begin.
const MAX_FAILED_ATTEMPTS: u32 = 20;

/// Drives a run as far as this attempt's time allows.
pub(crate) async fn drive(runner: &AgentRunner, attempt: &Attempt, id: ExecutionId) -> Outcome {
    let tenant = Tenant::authorised(attempt.job.org);
    let mut driven = go_on(runner, attempt, tenant, id).await;
    if let Err(Stop::Fail(failure)) = driven {
        driven = ending::fail(runner, attempt, tenant, id, failure).await;
    }
    match driven {
        Ok(()) => Outcome::done(),
        Err(Stop::Yield) => Outcome::Yield,
        Err(Stop::Later(error, after)) => Outcome::Retry { error, after },
        Err(Stop::Refused) => after_refusal(runner, tenant, id).await,
        Err(Stop::Fail(failure)) => Outcome::Fail {
            error: JobError::new(failure.code, failure.message),
        },
    }
}

async fn go_on(
    runner: &AgentRunner,
    attempt: &Attempt,
    tenant: Tenant,
    id: ExecutionId,
) -> Result<(), Stop> {
    let store = &runner.store;
    let Some(execution) = store.executions(tenant).get(id).await? else {
        return Ok(());
    };
    if execution.state.is_terminal() {
        return Ok(());
    }
    // Looked at before anything that could fail: a run that cannot even begin has an end as well.
    if attempt.job.attempts >= MAX_FAILED_ATTEMPTS {
        let message = format!("The worker failed {MAX_FAILED_ATTEMPTS} times in a row.");
        return Err(Stop::Fail(Failure::new("worker_failed", message)));
    }
    check_deadline(store, &execution)?;
    if store.org(tenant).get().await?.is_none() {
        let message = "The organization was deleted.";
        return Err(Stop::Fail(Failure::new("organization_deleted", message)));
    }
    Run::load(runner, attempt, tenant, execution)
        .await?
        .go_on()
        .await
}

/// What a refused commit means: nothing more to do where the run has ended; where it has not, its
/// task was changed meanwhile or another worker has it, and the next attempt finds out.
async fn after_refusal(runner: &AgentRunner, tenant: Tenant, id: ExecutionId) -> Outcome {
    let error = match runner.store.executions(tenant).get(id).await {
        Ok(None) => return Outcome::done(),
        Ok(Some(execution)) if execution.state.is_terminal() => return Outcome::done(),
        Ok(Some(_)) => JobError::new("superseded", "the run was changed meanwhile"),
        Err(error) => JobError::new("store_unavailable", error.to_string()),
    };
    Outcome::Retry {
        error,
        after: Some(Duration::ZERO),
    }
}

fn check_deadline(store: &Store, execution: &Execution) -> Result<(), Stop> {
    if store.now() < execution.deadline() {
        return Ok(());
    }
    let seconds = execution.limits.max_seconds;
    Err(Stop::Fail(Failure::new(
        "deadline_exceeded",
        format!("The execution did not end within its {seconds} seconds."),
    )))
}

impl Run<'_> {
    async fn go_on(&mut self) -> Result<(), Stop> {
        if self.execution.state == ExecutionState::Queued {
            self.begin().await?;
        }
        loop {
            self.check_limits()?;
            let step = self.execution.steps + 1;
            let EffectOutcome::Model {
                text,
                tool_calls,
                stop_reason,
                ..
            } = self.model_turn(step).await?
            else {
                return Err(Stop::Fail(Failure::new(
                    "journal",
                    "The journal is not readable.",
                )));
            };
            if tool_calls.is_empty() {
                return self.conclude(&text, &stop_reason).await;
            }
            self.call_tools(step, &tool_calls).await?;
            self.finish_step(step).await?;
        }
    }

    fn check_limits(&self) -> Result<(), Stop> {
        let limits: Limits = self.execution.limits;
        check_deadline(&self.runner.store, &self.execution)?;
        if self.execution.steps >= limits.max_steps {
            return Err(Stop::Fail(Failure::new(
                "step_limit",
                format!(
                    "The agent did not answer within its {} steps.",
                    limits.max_steps
                ),
            )));
        }
        if self.attempt.budget.should_yield() || self.attempt.cancel.is_cancelled() {
            return Err(Stop::Yield);
        }
        Ok(())
    }

    /// The model's turn of a step: from the journal, or by asking.
    async fn model_turn(&mut self, step: u32) -> Result<EffectOutcome, Stop> {
        if let Some(outcome) = self.journal.settled(step, 0) {
            return Ok(outcome.clone());
        }
        loop {
            let attempts = self.journal.attempts(step, 0);
            if attempts >= MAX_MODEL_ATTEMPTS {
                return Err(Stop::Fail(Failure::new(
                    "model_unavailable",
                    "The model did not answer, after several attempts.",
                )));
            }
            match model_call::ask(self, step).await? {
                Ok(outcome) => return Ok(outcome),
                Err(error) => self.wait_before_retry(&error, attempts).await?,
            }
        }
    }

    /// Waits as a failed model call asks, or stops where another attempt cannot help.
    async fn wait_before_retry(&self, error: &ModelError, attempts: u32) -> Result<(), Stop> {
        tracing::warn!(code = error.code(), attempts, "a model call failed");
        let worth_repeating = error.is_retry_safe()
            || matches!(
                error,
                ModelError::ConnectionLost { .. }
                    | ModelError::Interrupted { .. }
                    | ModelError::Timeout { .. }
            );
        if !worth_repeating {
            return Err(Stop::Fail(Failure::new(
                format!("model_{}", error.code()),
                format!("{error}."),
            )));
        }
        // Whatever a model asks for, the run does not wait beyond its own deadline.
        let wait = error
            .retry_after()
            .unwrap_or_else(|| Duration::from_millis(500 << attempts.min(5)))
            .min(self.until_deadline());
        if !self.attempt.budget.fits(wait) {
            let later = JobError::new(error.code(), error.to_string());
            return Err(Stop::Later(later, Some(wait)));
        }
        tokio::time::sleep(wait).await;
        check_deadline(&self.runner.store, &self.execution)
    }

    async fn call_tools(&mut self, step: u32, calls: &[RequestedCall]) -> Result<(), Stop> {
        for (index, call) in calls.iter().enumerate() {
            let number = u32::try_from(index + 1).unwrap_or(u32::MAX);
            if self.journal.settled(step, number).is_some() {
                continue;
            }
            if self.attempt.budget.should_yield() {
                return Err(Stop::Yield);
            }
            if index >= MAX_CALLS_PER_STEP {
                let refusal = format!("At most {MAX_CALLS_PER_STEP} tools can be called at once.");
                self.settle_tool(step, number, call, Reply::error(refusal))
                    .await?;
                continue;
            }
            tools::call(self, step, number, call).await?;
        }
        Ok(())
    }

    async fn begin(&mut self) -> Result<(), Stop> {
        let now = self.runner.store.now();
        let version = self.execution.version;
        self.execution
            .transition(ExecutionState::Running, now)
            .map_err(|error| Stop::Fail(Failure::new("illegal_transition", error.to_string())))?;
        let data = json!({ "agent": self.execution.agent, "input": self.execution.input });
        let entry = self
            .execution
            .next_stream_entry(StreamEntryKind::RunStarted, data, now);
        let data = json!({ "agent": self.execution.agent, "task": self.execution.task });
        let event = self.event(EventKind::ExecutionStarted, data);
        let commit = self.commit().event(event);
        self.write(commit, version, vec![entry]).await
    }

    async fn finish_step(&mut self, step: u32) -> Result<(), Stop> {
        let version = self.execution.version;
        self.execution.steps = step;
        let now = self.runner.store.now();
        let data = json!({ "step": step });
        let entry = self
            .execution
            .next_stream_entry(StreamEntryKind::StepFinished, data, now);
        self.write(self.commit(), version, vec![entry]).await
    }

    /// Ends the run with what the model said last.
    async fn conclude(&mut self, text: &str, stop_reason: &str) -> Result<(), Stop> {
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
        let now = self.runner.store.now();
        let version = self.execution.version;
        self.execution.steps += 1;
        self.execution.answer = Some(text.to_owned());
        self.execution.citations = self.sources.cited_in(text);
        self.execution
            .transition(ExecutionState::Completed, now)
            .map_err(|error| Stop::Fail(Failure::new("illegal_transition", error.to_string())))?;
        let step = json!({ "step": self.execution.steps });
        let finished = json!({
            "answer": text,
            "citations": self.execution.citations,
            "usage": self.execution.usage,
            "truncated": stop_reason == "max_tokens",
        });
        let entries = vec![
            self.execution
                .next_stream_entry(StreamEntryKind::StepFinished, step, now),
            self.execution
                .next_stream_entry(StreamEntryKind::RunFinished, finished, now),
        ];
        let data = json!({ "agent": self.execution.agent, "task": self.execution.task });
        let commit = self
            .commit()
            .event(self.event(EventKind::ExecutionCompleted, data));
        let executions = self.runner.store.executions(self.tenant);
        let commit = executions
            .end_task(
                commit,
                &self.cause(),
                &self.execution,
                TaskStatus::Completed,
                Some(text),
            )
            .await?;
        self.write(commit, version, entries).await
    }
}
