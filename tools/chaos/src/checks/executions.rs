//! Executions, as they ended.

use domain::execution::{EffectOutcome, ExecutionState, StreamEntryKind, Usage};
use domain::task::TaskStatus;
use work::JobState;

use super::Verdict;
use crate::evidence::{Evidence, RunEvidence};
use crate::script::value_in;

/// Nothing that was acknowledged is lost.
pub(super) fn acknowledged_are_completed(evidence: &Evidence) -> Verdict {
    let mut verdict = Verdict::in_the_end(
        "every acknowledged execution is completed, or expired if it has to be",
    );
    for run in evidence.runs.iter().filter(|run| run.facts.acknowledged) {
        verdict.examine(unfinished(run));
    }
    verdict
}

/// Where the store did not say whether it took an execution, it took it whole or not at all.
pub(super) fn unacknowledged_are_whole_or_absent(evidence: &Evidence) -> Verdict {
    let mut verdict = Verdict::in_the_end(
        "one that was not acknowledged is completed, or absent with job and task",
    );
    for run in evidence.runs.iter().filter(|run| !run.facts.acknowledged) {
        let absent = run.execution.is_none() && run.job.is_none() && run.task.is_none();
        verdict.examine(if absent { None } else { unfinished(run) });
    }
    verdict
}

/// How the run has to end.
fn end_of(run: &RunEvidence) -> ExecutionState {
    match run.script.expires {
        true => ExecutionState::Expired,
        false => ExecutionState::Completed,
    }
}

fn unfinished(run: &RunEvidence) -> Option<String> {
    let number = run.facts.number;
    let Some(execution) = &run.execution else {
        return Some(format!("run {number} is gone"));
    };
    if execution.state == end_of(run) {
        return None;
    }
    let state = execution.state.name();
    let failure = execution.failure.as_ref();
    let failure = failure.map_or(String::new(), |failure| format!(" ({})", failure.code));
    let job = run.job.as_ref().map_or("gone", |job| job.state.as_str());
    let error = run.job.as_ref().and_then(|job| job.error.as_ref());
    let error = error.map_or(String::new(), |error| format!(" ({error})"));
    Some(format!(
        "run {number} is {state}{failure}, its job is {job}{error}"
    ))
}

/// The answer is the one that follows from the script and from what the journal says of the tools.
pub(super) fn answers_are_right(evidence: &Evidence) -> Verdict {
    let mut verdict =
        Verdict::always("every answer is the right one for its script and its results");
    for run in &evidence.runs {
        let Some(answer) = run.execution.as_ref().and_then(|one| one.answer.as_ref()) else {
            continue;
        };
        let values: Vec<String> = run
            .journal
            .iter()
            .filter_map(|effect| match &effect.outcome {
                Some(EffectOutcome::Tool { content, .. }) => Some(value_in(content)),
                _ => None,
            })
            .collect();
        let right = run.script.answer(&values);
        verdict.expect(*answer == right, || {
            let number = run.facts.number;
            format!("run {number} answered `{answer}`, not `{right}`")
        });
    }
    verdict
}

/// Whoever follows a stream sees every entry once, and one end.
pub(super) fn streams_are_whole(evidence: &Evidence) -> Verdict {
    let mut verdict =
        Verdict::in_the_end("every stream is 1, 2, 3, … with one terminal entry, the last");
    for run in &evidence.runs {
        let Some(execution) = &run.execution else {
            continue;
        };
        let gapless = run
            .stream
            .iter()
            .map(|entry| entry.sequence)
            .eq(1..=execution.last_sequence);
        let ends = run.stream.iter().filter(|one| one.kind.is_terminal());
        let last = run.stream.last().map(|entry| entry.kind);
        let end = match end_of(run) {
            ExecutionState::Completed => StreamEntryKind::RunFinished,
            _ => StreamEntryKind::RunError,
        };
        let ended = ends.count() == 1 && last == Some(end);
        verdict.expect(gapless && ended, || {
            let (number, entries) = (run.facts.number, run.stream.len());
            let (until, last) = (execution.last_sequence, last.map(StreamEntryKind::name));
            format!("run {number} has {entries} entries of {until}, the last is {last:?}")
        });
    }
    verdict
}

/// A task says what its execution says.
pub(super) fn tasks_agree(evidence: &Evidence) -> Verdict {
    let mut verdict =
        Verdict::in_the_end("every task has the state and the result of its execution");
    for run in evidence.runs.iter().filter(|run| run.facts.task.is_some()) {
        let Some(execution) = &run.execution else {
            continue;
        };
        let status = match end_of(run) {
            ExecutionState::Completed => TaskStatus::Completed,
            _ => TaskStatus::Blocked,
        };
        let agrees = run.task.as_ref().is_some_and(|task| {
            task.status == status
                && task.execution == Some(execution.id)
                && task.result == execution.answer
        });
        verdict.expect(agrees, || {
            let status = run.task.as_ref().map(|task| task.status.name());
            format!("the task of run {} is {status:?}", run.facts.number)
        });
    }
    verdict
}

/// No job is left behind or given up.
pub(super) fn jobs_are_done(evidence: &Evidence) -> Verdict {
    let mut verdict = Verdict::in_the_end("every job is done");
    for run in evidence.runs.iter().filter(|run| run.execution.is_some()) {
        let state = run.job.as_ref().map(|job| job.state);
        // That of a run that the sweeper ends is told to stop.
        let stopped = run.script.expires && state == Some(JobState::Cancelled);
        verdict.expect(state == Some(JobState::Done) || stopped, || {
            let state = state.map(JobState::as_str);
            format!("the job of run {} is {state:?}", run.facts.number)
        });
    }
    verdict
}

/// What is charged for is what was used: no more for all the repetitions, and no less.
pub(super) fn usage_is_the_sum_of_the_journal(evidence: &Evidence) -> Verdict {
    let mut verdict = Verdict::always("every execution's usage is the sum of its journal");
    for run in &evidence.runs {
        let Some(execution) = &run.execution else {
            continue;
        };
        let mut sum = Usage::default();
        let mut counted_right = true;
        for effect in &run.journal {
            match &effect.outcome {
                Some(EffectOutcome::Model { tokens, .. }) => {
                    sum.add_model_call(*tokens);
                    let scripted = run.script.tokens(effect.step);
                    counted_right &= tokens.input_tokens == scripted.input
                        && tokens.cached_input_tokens == scripted.cached
                        && tokens.output_tokens == scripted.output;
                }
                Some(EffectOutcome::Tool { .. }) => sum.tool_calls += 1,
                Some(EffectOutcome::Retrieval { .. }) | None => {}
            }
        }
        verdict.expect(sum == execution.usage && counted_right, || {
            let said = in_short(&execution.usage);
            format!(
                "run {} says {said}, its journal {}",
                run.facts.number,
                in_short(&sum)
            )
        });
    }
    verdict
}

fn in_short(usage: &Usage) -> String {
    let tokens = &usage.tokens;
    format!(
        "{} model and {} tool calls, {} + {} tokens",
        usage.model_calls, usage.tool_calls, tokens.input_tokens, tokens.output_tokens
    )
}
