//! The loop of a run.

use std::time::Duration;

use domain::agent::{Limits, ToolRef};
use domain::execution::{EffectOutcome, Execution, ExecutionState, Failure};
use domain::tool::{Tool, ToolAction};
use kernel::{ExecutionId, ToolId};
use llm::ModelError;
use store::Tenant;
use store::executions::expiry;
use work::{Attempt, JobError, Outcome};

use crate::model_call::Settlement;
use crate::run::{Run, cause_of};
use crate::stop::Stop;
use crate::toolbox::Toolbox;
use crate::{AgentRunner, ending, model_call, tools, waits};

/// How often a model call is begun anew, after retries and dead workers, before the run fails.
const MAX_MODEL_ATTEMPTS: u32 = 5;

/// After how many failed attempts in a row the run is given up: the worker dies of it, or cannot
/// even begin.
const MAX_FAILED_ATTEMPTS: u32 = 20;

/// Drives a run as far as this attempt's time allows.
pub(crate) async fn drive(runner: &AgentRunner, attempt: &Attempt, id: ExecutionId) -> Outcome {
    let tenant = Tenant::authorised(attempt.job.org);
    let mut driven = go_on(runner, attempt, tenant, id).await;
    let end = match &driven {
        Err(Stop::Fail(failure)) => Some((ExecutionState::Failed, failure.clone())),
        Err(Stop::Expire(failure)) => Some((ExecutionState::Expired, failure.clone())),
        _ => None,
    };
    if let Some((state, failure)) = end {
        driven = ending::without_answer(runner, attempt, tenant, id, state, failure).await;
    }
    match driven {
        Ok(()) => Outcome::done(),
        Err(Stop::Yield) => Outcome::Yield,
        Err(Stop::Wait(until)) => Outcome::Park { until },
        Err(Stop::Later(error, after)) => Outcome::Retry { error, after },
        Err(Stop::Refused) => after_refusal(runner, tenant, id).await,
        Err(Stop::Fail(failure) | Stop::Expire(failure)) => Outcome::Fail {
            error: JobError::new(failure.code, failure.message),
        },
    }
}

/// Ends a run whose caller has ended, and with it those that it called.
pub(crate) async fn cancel(runner: &AgentRunner, attempt: &Attempt, id: ExecutionId) -> Outcome {
    let tenant = Tenant::authorised(attempt.job.org);
    let executions = runner.store.executions(tenant);
    let ended = async {
        let Some(execution) = executions.get(id).await? else {
            return Ok(());
        };
        let failure = Failure::new(
            "caller_ended",
            "The execution that called this one has ended.",
        );
        let state = ExecutionState::Cancelled;
        executions
            .end(&cause_of(&execution), execution, state, failure)
            .await
            .map(drop)
    };
    match ended.await {
        Ok(()) => Outcome::done(),
        Err(error) => {
            let error: store::Error = error;
            Outcome::retry("store_unavailable", store::explain(&error))
        }
    }
}

async fn go_on(
    runner: &AgentRunner,
    attempt: &Attempt,
    tenant: Tenant,
    id: ExecutionId,
) -> Result<(), Stop> {
    let store = &runner.store;
    let executions = store.executions(tenant);
    let orgs = store.org(tenant);
    let (execution, org) = tokio::try_join!(executions.get(id), orgs.get())?;
    let Some(mut execution) = execution else {
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
    if execution.state.is_waiting() {
        execution = waits::come_back(runner, attempt, tenant, execution).await?;
    }
    check_deadline(runner, &execution)?;
    if org.is_none() {
        let message = "The organization was deleted.";
        return Err(Stop::Fail(Failure::new("organization_deleted", message)));
    }
    let mut run = if execution.state == ExecutionState::Queued {
        let load = Run::load(runner, attempt, tenant, execution.clone());
        let enter = waits::enter(runner, attempt, tenant, &execution);
        tokio::try_join!(load, enter)?.0
    } else {
        Run::load(runner, attempt, tenant, execution).await?
    };
    match run.go_on().await {
        // What the next change was to tell, and there is none.
        Err(stop @ (Stop::Fail(_) | Stop::Expire(_))) => {
            run.write_held().await?;
            Err(stop)
        }
        ended => ended,
    }
}

/// What a refused commit means: nothing more to do where the run has ended, a wait where it was
/// paused; where neither, something else was changed meanwhile or another worker has it, and the
/// next attempt finds out.
async fn after_refusal(runner: &AgentRunner, tenant: Tenant, id: ExecutionId) -> Outcome {
    let error = match runner.store.executions(tenant).get(id).await {
        Ok(None) => return Outcome::done(),
        Ok(Some(execution)) if execution.state.is_terminal() => return Outcome::done(),
        Ok(Some(execution)) if execution.state.is_waiting() => {
            return Outcome::Park {
                until: execution.deadline(),
            };
        }
        Ok(Some(execution)) if execution.state == ExecutionState::Queued => {
            return Outcome::Yield;
        }
        Ok(Some(_)) => JobError::new("superseded", "the run was changed meanwhile"),
        Err(error) => JobError::new("store_unavailable", error.to_string()),
    };
    Outcome::Retry {
        error,
        after: Some(Duration::ZERO),
    }
}

fn check_deadline(runner: &AgentRunner, execution: &Execution) -> Result<(), Stop> {
    if runner.store.now() < execution.deadline() {
        return Ok(());
    }
    Err(Stop::Expire(expiry(execution)))
}

impl Run<'_> {
    async fn go_on(&mut self) -> Result<(), Stop> {
        self.equip().await?;
        if let Some(tool) = self.toolbox.locked() {
            let name = tool.to_string();
            return Err(self.wait_for_credential(tool, &name, |_| {}).await);
        }
        self.ground().await?;
        loop {
            self.check_limits()?;
            let step = self.steps() + 1;
            let (outcome, unsettled) = self.model_turn(step).await?;
            let EffectOutcome::Model {
                text,
                tool_calls,
                stop_reason,
                ..
            } = outcome
            else {
                return Err(Stop::Fail(Failure::new(
                    "journal",
                    "The journal is not readable.",
                )));
            };
            if tool_calls.is_empty() {
                return self.conclude(&text, &stop_reason, unsettled).await;
            }
            self.settle_turn(unsettled).await?;
            tools::call_all(self, step, &tool_calls).await?;
            // Told with the beginning of the next step.
            self.held.finished_step = Some(step);
        }
    }

    /// Finds the tools that the agent may call. Servers are asked for theirs by a run that runs.
    async fn equip(&mut self) -> Result<(), Stop> {
        let registered = self.spec.tools.iter().filter_map(|tool| match tool {
            ToolRef::Registered(id) => Some(*id),
            ToolRef::Builtin(_) => None,
        });
        let registered: Vec<ToolId> = registered.collect();
        let tools = self.runner.store.tools(self.tenant);
        let tools = tools.get_many(&registered).await?;
        let asks_servers = |tool: &Tool| matches!(tool.spec.action, ToolAction::Mcp(_));
        if tools.iter().any(asks_servers) {
            self.write_held().await?;
        }
        let (execution, swarm) = (&self.execution, self.swarm.as_ref());
        let opened = Toolbox::open(
            self.runner,
            self.tenant,
            execution,
            &self.spec,
            swarm,
            tools,
        );
        self.toolbox = opened.await?;
        Ok(())
    }

    fn check_limits(&self) -> Result<(), Stop> {
        let limits: Limits = self.execution.limits;
        check_deadline(self.runner, &self.execution)?;
        if self.steps() >= limits.max_steps {
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

    /// The model's turn of a step: from the journal, or by asking. Then it is still to be settled.
    async fn model_turn(&mut self, step: u32) -> Result<(EffectOutcome, Option<Settlement>), Stop> {
        if let Some(outcome) = self.journal.settled(step, 0) {
            return Ok((outcome.clone(), None));
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
                Ok((outcome, settlement)) => return Ok((outcome, Some(settlement))),
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
        check_deadline(self.runner, &self.execution)
    }
}
