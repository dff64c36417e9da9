//! What runs wait for: people, each other, credits, and the end of their time.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::execution::{Effect, EffectOutcome, Execution, ExecutionState, StreamEntryKind};
use kernel::ExecutionId;
use serde_json::{Value, json};

use super::{Verdict, rules};
use crate::evidence::{Evidence, RunEvidence};
use crate::script::{HASTY_SECONDS, ScriptedTool};

/// How long after its deadline a run may be open: as long as the sweeper leaves it to its worker.
const LATEST_EXPIRY: Duration = Duration::from_secs(65);

/// A call that the journal notes while the run is paused was begun although it is paused.
pub(super) fn pauses_hold(evidence: &Evidence) -> Verdict {
    let mut verdict = Verdict::always(rules::PAUSES_HOLD);
    for (key, effect) in &evidence.facts.effects {
        let number = evidence.facts.number_of(key.execution);
        let run = number.and_then(|number| evidence.facts.runs.get(&number));
        for pause in run.into_iter().flat_map(|run| &run.pauses) {
            let until = pause.until.unwrap_or(evidence.at);
            let begun = effect
                .noted
                .iter()
                .any(|noted| (pause.from..until).contains(noted));
            verdict.expect(!begun, || {
                format!("call {}-{} of run {number:?} was", key.step, key.call)
            });
        }
    }
    verdict
}

/// What a caller is told is what became of the run that it called; and it is told soon.
pub(super) fn callers_are_told(evidence: &Evidence) -> Verdict {
    let mut verdict = Verdict::always(rules::CALLERS_ARE_TOLD);
    let by_id: BTreeMap<ExecutionId, &RunEvidence> = evidence
        .runs
        .iter()
        .map(|run| (run.facts.execution, run))
        .collect();
    for caller in &evidence.runs {
        for effect in &caller.journal {
            let Some(child) = effect.child else { continue };
            let child = by_id.get(&child).copied();
            let problem = untold(evidence, effect, child);
            verdict.examine(problem.map(|problem| {
                let (number, step, call) = (caller.facts.number, effect.step, effect.call);
                format!("run {number}, call {step}-{call}: {problem}")
            }));
        }
    }
    verdict
}

/// What is wrong with what a caller knows of a run that it called.
fn untold(evidence: &Evidence, effect: &Effect, child: Option<&RunEvidence>) -> Option<String> {
    let Some(run) = child else {
        return Some("the run that it called is in no script".to_owned());
    };
    let Some(of_child) = run.execution.as_ref() else {
        return Some("the run that it called is gone".to_owned());
    };
    let called_by = of_child.parent.map(|by| (by.execution, by.step, by.call));
    if called_by != Some((effect.execution, effect.step, effect.call)) {
        return Some(format!(
            "run {} was called by {called_by:?}",
            run.facts.number
        ));
    }
    match &effect.outcome {
        Some(EffectOutcome::Tool { content, .. }) => {
            let told: Value = serde_json::from_str(content).unwrap_or_default();
            let is_true = of_child.state.is_terminal() && is_told(&told, of_child);
            (!is_true).then(|| format!("it was told {told} of run {}", run.facts.number))
        }
        _ => {
            let limit = evidence.plan.lease + evidence.plan.grace;
            let ended = run.facts.ended?;
            let since = evidence.at.saturating_duration_since(ended);
            (since > limit).then(|| {
                let number = run.facts.number;
                format!("run {number} ended {since:.1?} ago and it was not told")
            })
        }
    }
}

fn is_told(told: &Value, child: &Execution) -> bool {
    told["execution_id"] == json!(child.id)
        && told["state"] == json!(child.state)
        && told["answer"] == json!(child.answer)
}

/// A run whose model does not answer ends when its time is over: not before, and not much later.
pub(super) fn runs_without_time_expire(evidence: &Evidence) -> Verdict {
    let mut verdict = Verdict::in_the_end("a run whose model does not answer expires in its time");
    let hasty = evidence.runs.iter().filter(|run| run.script.expires);
    for execution in hasty.filter_map(|run| run.execution.as_ref()) {
        let limit = Duration::from_secs(HASTY_SECONDS);
        let took = match (execution.started_at, execution.finished_at) {
            (Some(started), Some(finished)) => finished.since(started),
            _ => Duration::ZERO,
        };
        let code = execution.failure.as_ref().map(|why| why.code.as_str());
        let in_time = (limit..limit + LATEST_EXPIRY).contains(&took);
        let expired = execution.state == ExecutionState::Expired;
        verdict.expect(
            in_time && expired && code == Some("deadline_exceeded"),
            || {
                let state = execution.state.name();
                format!("{} is {state} after {took:.1?}, {code:?}", execution.id)
            },
        );
    }
    verdict
}

/// How often runs have met each kind of wait and call.
#[derive(Debug, Clone, Default)]
pub(crate) struct Kinds {
    /// By what stands for it in the report.
    pub(crate) counts: BTreeMap<&'static str, usize>,
}

/// How often each kind of wait and call has happened.
pub(crate) fn kinds(evidence: &Evidence) -> Kinds {
    let mut kinds = Kinds::default();
    let mut count = |what: &'static str, times: usize| {
        *kinds.counts.entry(what).or_default() += times;
    };
    for run in &evidence.runs {
        let told = |name: &str, state: Option<&str>| {
            let told = run.stream.iter().filter(|entry| {
                entry.kind == StreamEntryKind::Custom
                    && entry.data["name"] == name
                    && state.is_none_or(|state| entry.data["value"]["state"] == state)
            });
            told.count()
        };
        let calls = |tool: ScriptedTool| {
            let calls = run.journal.iter().filter(|effect| {
                let call = run.script.call(effect.step, effect.call);
                call.is_some_and(|call| call.tool == tool)
            });
            calls.count()
        };
        count("pauses by a person", told("execution_paused", None));
        count(
            "waits for credits",
            told("execution_waiting", Some("over_budget")),
        );
        count("calls of other agents", calls(ScriptedTool::CallAgent));
        count("calls of an MCP server", calls(ScriptedTool::Remote));
        count("messages to a swarm", calls(ScriptedTool::SendMessage));
        let state = run.execution.as_ref().map(|execution| execution.state);
        count(
            "expired",
            usize::from(state == Some(ExecutionState::Expired)),
        );
    }
    kinds
}
