//! Calls to the outside: what the journal says of them, and what the servers saw.

use std::time::Instant;

use domain::execution::{Effect, EffectOutcome, ExecutionState};

use super::Verdict;
use crate::evidence::{Evidence, RunEvidence};
use crate::history::{EffectFacts, EffectKey, Facts};
use crate::script::{NO_VALUE, ScriptedTool, value_in};

/// The completed executions: for those that are not, another rule has spoken.
fn completed(evidence: &Evidence) -> impl Iterator<Item = &RunEvidence> {
    evidence.runs.iter().filter(|run| {
        let execution = run.execution.as_ref();
        execution.is_some_and(|execution| execution.state == ExecutionState::Completed)
    })
}

/// The calls of servers and the commits of one effect, with the execution's job.
fn histories(evidence: &Evidence) -> impl Iterator<Item = (&RunEvidence, EffectKey, &EffectFacts)> {
    evidence.runs.iter().flat_map(move |run| {
        run.script.effects().into_iter().filter_map(move |place| {
            let key = EffectKey {
                execution: run.facts.execution,
                step: place.0,
                call: place.1,
            };
            Some((run, key, evidence.facts.effects.get(&key)?))
        })
    })
}

fn named(run: &RunEvidence, key: EffectKey) -> String {
    format!("call {}-{} of run {}", key.step, key.call, run.facts.number)
}

/// The journal is the whole trace.
pub(super) fn journals_are_complete(evidence: &Evidence) -> Verdict {
    let mut verdict = Verdict::always("every journal holds every effect of its script, settled");
    for run in completed(evidence) {
        let settled: Vec<(u32, u32)> = run
            .journal
            .iter()
            .filter(|effect| effect.outcome.is_some() && effect.settled_at.is_some())
            .map(|effect| (effect.step, effect.call))
            .collect();
        let expected = run.script.effects();
        let open = run.journal.len() - settled.len();
        verdict.expect(settled == expected && open == 0, || {
            let number = run.facts.number;
            format!("run {number} has {settled:?} and {open} open, not {expected:?}")
        });
    }
    verdict
}

/// A result is the one that the tool gave. A call that was interrupted, that may not be made twice
/// and that a person gives up has none.
pub(super) fn results_are_right(evidence: &Evidence) -> Verdict {
    let mut verdict =
        Verdict::always("every tool result is right, or given up by a person who was asked");
    for run in completed(evidence) {
        for effect in &run.journal {
            let Some(EffectOutcome::Tool { content, .. }) = &effect.outcome else {
                continue;
            };
            let Some(call) = run.script.call(effect.step, effect.call) else {
                continue;
            };
            let (value, right) = (value_in(content), call.value(evidence.plan.seed));
            let given_up =
                value == NO_VALUE && call.tool.may_not_repeat() && effect.approval.is_some();
            verdict.expect(value == right || given_up, || {
                let name = named(run, key_of(effect));
                format!("{name} has `{content}`, not `{right}`")
            });
        }
    }
    verdict
}

/// People are asked about a call only if it was interrupted, and if it may not be made twice.
pub(super) fn asked_only_where_interrupted(evidence: &Evidence) -> Verdict {
    let mut verdict =
        Verdict::always("people are asked only about interrupted calls that may not be repeated");
    for run in completed(evidence) {
        for effect in run.journal.iter().filter(|one| one.approval.is_some()) {
            let call = run.script.call(effect.step, effect.call);
            let may_not_repeat = call.is_some_and(|call| call.tool.may_not_repeat());
            let history = evidence.facts.effects.get(&key_of(effect));
            let since = history.and_then(|history| history.noted.first().copied());
            let until = history.and_then(|history| history.settled.first().copied());
            let interrupted = match (since, until) {
                (Some(since), Some(until)) => was_interrupted(&evidence.facts, run, since, until),
                _ => false,
            };
            verdict.expect(may_not_repeat && interrupted, || {
                format!(
                    "{} was asked about for no reason",
                    named(run, key_of(effect))
                )
            });
        }
    }
    verdict
}

/// About how many calls people were asked, and how many of them they gave up.
pub(crate) fn asked_of_people(evidence: &Evidence) -> (usize, usize) {
    let effects = evidence.runs.iter().flat_map(|run| &run.journal);
    let asked = effects.filter(|effect| effect.approval.is_some());
    let given_up = asked.clone().filter(|effect| match &effect.outcome {
        Some(EffectOutcome::Tool { content, .. }) => value_in(content) == NO_VALUE,
        _ => false,
    });
    (asked.count(), given_up.count())
}

fn key_of(effect: &Effect) -> EffectKey {
    EffectKey {
        execution: effect.execution,
        step: effect.step,
        call: effect.call,
    }
}

/// A settled effect is not settled again.
pub(super) fn settled_once(evidence: &Evidence) -> Verdict {
    let mut verdict = Verdict::always("every effect is settled by one write");
    for (run, key, history) in histories(evidence) {
        let times = history.settled.len();
        verdict.expect(times <= 1, || {
            format!("{} was settled {times} times", named(run, key))
        });
    }
    verdict
}

/// What is in the journal is not asked for again.
pub(super) fn no_settled_call_is_repeated(evidence: &Evidence) -> Verdict {
    let mut verdict = Verdict::always("no call begins after its effect is settled");
    for (run, key, history) in histories(evidence) {
        let Some(settled) = history.settled.first() else {
            continue;
        };
        let after = history.calls.iter().filter(|call| call.began > *settled);
        let times = after.count();
        verdict.expect(times == 0, || {
            format!("{} was made {times} times after it", named(run, key))
        });
    }
    verdict
}

/// A call is made again only if the one before it was cut short.
pub(super) fn repeated_only_where_interrupted(evidence: &Evidence) -> Verdict {
    let mut verdict = Verdict::always(
        "a call is repeated only where a kill, a fault or a lost lease came between",
    );
    for (run, key, history) in histories(evidence) {
        for pair in history.calls.windows(2) {
            let (first, second) = (pair[0].began, pair[1].began);
            // From the moment that it was noted: a fault may have hit that write.
            let noted = history.noted.iter().rev().find(|noted| **noted <= first);
            let since = noted.copied().unwrap_or(first);
            verdict.expect(was_interrupted(&evidence.facts, run, since, second), || {
                let story = evidence.facts.story(run.facts.job, since, second);
                let ago = second.duration_since(since).as_secs_f64();
                format!("{} was repeated after {ago:.1}: {story}", named(run, key))
            });
        }
    }
    verdict
}

fn was_interrupted(facts: &Facts, run: &RunEvidence, since: Instant, until: Instant) -> bool {
    let troubles = facts.troubles.get(&run.facts.job);
    troubles.is_some_and(|troubles| {
        let mut troubles = troubles.iter();
        troubles.any(|(at, _)| (since..=until).contains(at))
    })
}

/// A tool that does not declare itself idempotent is never called twice.
pub(super) fn charged_at_most_once(evidence: &Evidence) -> Verdict {
    let mut verdict = Verdict::always("a tool that is not idempotent is called at most once");
    for (run, key, history) in histories(evidence) {
        let call = run.script.call(key.step, key.call);
        if call.is_some_and(|call| call.tool.may_not_repeat()) {
            let times = history.calls.len();
            verdict.expect(times <= 1, || {
                format!("{} was made {times} times", named(run, key))
            });
        }
    }
    verdict
}

/// What a built-in tool changes is changed once.
pub(super) fn changes_happen_once(evidence: &Evidence) -> Verdict {
    let mut verdict = Verdict::always("every change by a built-in tool happened once");
    for run in completed(evidence) {
        let calls = (1..=run.script.steps()).flat_map(|step| run.script.calls(step));
        let changes = [ScriptedTool::CreateTask, ScriptedTool::SendMessage];
        for call in calls.filter(|call| changes.contains(&call.tool)) {
            let times = evidence.titles.get(&call.item).copied().unwrap_or(0);
            verdict.expect(times == 1, || {
                format!("{} is there {times} times", call.item)
            });
        }
    }
    verdict
}

/// Nobody asks for what is in no script.
pub(super) fn no_strange_calls(evidence: &Evidence) -> Verdict {
    let mut verdict = Verdict::always("every call is one of a script");
    let scripted: usize = histories(evidence)
        .map(|(.., known)| known.calls.len())
        .sum();
    verdict.examined = u64::try_from(scripted).unwrap_or(u64::MAX);
    let all: usize = evidence
        .facts
        .effects
        .values()
        .map(|known| known.calls.len())
        .sum();
    for strange in &evidence.facts.strange_calls {
        verdict.examine(Some(strange.clone()));
    }
    if all != scripted {
        verdict.examine(Some(format!("{} calls are of no effect", all - scripted)));
    }
    verdict
}
