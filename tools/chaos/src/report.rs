//! What is printed in the end.

use std::fmt::Write as _;
use std::time::Duration;

use crate::checks::{Recovery, Verdict, asked_of_people, kinds, recoveries};
use crate::evidence::Evidence;
use crate::history::Trouble;
use crate::proxy::Fault;

/// The most violations of one rule that are shown, and of each so many characters.
const MOST_SHOWN: usize = 5;
const MOST_CHARS: usize = 600;

/// Everything about one run.
pub(crate) fn report(evidence: &Evidence, verdicts: &[Verdict]) -> String {
    let parts = [
        heading(evidence),
        counts(evidence),
        faults(evidence),
        judgement(verdicts),
    ];
    parts.join("\n")
}

fn heading(evidence: &Evidence) -> String {
    let plan = &evidence.plan;
    let control = plan.control.map_or(String::new(), |control| {
        format!(", negative control `{}`", control.name())
    });
    format!(
        "chaos: seed {}, {} executions, {} kills, {} workers, lease {} s{control}; took {} s\n",
        plan.seed,
        plan.executions,
        plan.kills,
        plan.workers,
        plan.lease.as_secs(),
        evidence.took.as_secs(),
    )
}

fn counts(evidence: &Evidence) -> String {
    let facts = &evidence.facts;
    let asked_for = evidence.runs.iter().filter(|run| run.facts.is_asked_for());
    let acknowledged = asked_for.filter(|run| run.facts.acknowledged);
    let unknown_starts = evidence.runs.iter().filter(|run| !run.facts.acknowledged);
    let present = unknown_starts.clone().filter(|run| run.execution.is_some());
    let calls = |model: bool| {
        let of_kind = facts
            .effects
            .iter()
            .filter(move |(key, _)| (key.call == 0) == model);
        let all = of_kind
            .clone()
            .map(|(_, one)| one.calls.len())
            .sum::<usize>();
        let again = of_kind.map(|(_, one)| one.calls.len().saturating_sub(1));
        (all, again.sum::<usize>())
    };
    let cut_short = facts.effects.values().flat_map(|one| &one.calls);
    let cut_short = cut_short.filter(|call| !call.whole);
    let mid_reply = cut_short.clone().filter(|call| call.pieces_read > 0);
    let lapses = facts.troubles.values().flatten();
    let lapses = lapses.filter(|(_, trouble)| *trouble == Trouble::Lapse);
    let found = recoveries(facts);
    let (model, tools) = (calls(true), calls(false));
    let (rings, late) = (facts.rings, facts.late);
    let mut table = Table::default();
    table.row("executions acknowledged", acknowledged.count());
    table.row(
        "  not acknowledged, of them there",
        format!("{}, {}", unknown_starts.count(), present.count()),
    );
    for (kind, times) in kinds(evidence).counts {
        table.row(&format!("  {kind}"), times);
    }
    table.row("workers killed", facts.killed.len());
    table.row("  jobs they held", facts.holds.len());
    table.row("leases that the living lost", lapses.count());
    table.row(
        "model calls, of them again",
        format!("{}, {}", model.0, model.1),
    );
    table.row(
        "tool calls, of them again",
        format!("{}, {}", tools.0, tools.1),
    );
    table.row(
        "replies cut short, of them midway",
        format!("{}, {}", cut_short.count(), mid_reply.count()),
    );
    let (asked, given_up) = asked_of_people(evidence);
    table.row(
        "interrupted calls asked about, given up",
        format!("{asked}, {given_up}"),
    );
    table.row(
        "doorbells rung, of them by the sweeper",
        format!("{}, {}", rings.sent, rings.by_sweeper),
    );
    table.row(
        "  dropped, doubled, delayed, overtaken",
        format!(
            "{}, {}, {}, {}",
            rings.dropped, rings.duplicated, rings.delayed, rings.overtaken
        ),
    );
    table.row(
        "writes after their attempt, of them done",
        format!("{}, {}", late.stale, late.stale_applied),
    );
    table.row("late writes within their attempt", late.in_time);
    if facts.thrown_away > 0 {
        table.row("transactions thrown away", facts.thrown_away);
    }
    table.row("recovery p50, p95, longest", spread(took(&found.plain)));
    table.row(
        "  where two kills came in a row",
        format!("{} jobs; {}", found.twice.len(), spread(took(&found.twice))),
    );
    table.text
}

fn took(recoveries: &[Recovery]) -> Vec<Duration> {
    recoveries.iter().map(|recovery| recovery.took).collect()
}

fn spread(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let Some(longest) = times.last() else {
        return "none".to_owned();
    };
    let at = |part: usize| times[(times.len() - 1) * part / 100];
    format!("{:.1?}, {:.1?}, {longest:.1?}", at(50), at(95))
}

/// For each operation of the workers, how often it met each fault.
fn faults(evidence: &Evidence) -> String {
    let facts = &evidence.facts;
    let mut text = format!("{:<20} {:>9}", "DynamoDB", "requests");
    for fault in Fault::ALL {
        let _ = write!(text, " {:>12}", fault.name());
    }
    text.push('\n');
    for (operation, requests) in &facts.requests {
        let _ = write!(
            text,
            "{operation:<20} {requests:>9}",
            operation = operation.0
        );
        for fault in Fault::ALL {
            let met = facts.faults.get(&(operation.clone(), fault));
            let cell = match (met, fault.suits(operation)) {
                (Some(met), _) => met.to_string(),
                (None, true) => "0".to_owned(),
                (None, false) => "-".to_owned(),
            };
            let _ = write!(text, " {cell:>12}");
        }
        text.push('\n');
    }
    let _ = writeln!(text, "and {} of starter and sweeper", facts.other_faults);
    text
}

fn judgement(verdicts: &[Verdict]) -> String {
    let mut text = format!("{:<80} {:>9} {:>9}\n", "invariant", "examined", "violated");
    for verdict in verdicts {
        let violated = verdict.violations.len();
        let _ = writeln!(
            text,
            "{:<80} {:>9} {violated:>9}",
            verdict.rule, verdict.examined
        );
        for violation in verdict.violations.iter().take(MOST_SHOWN) {
            let shown: String = violation.chars().take(MOST_CHARS).collect();
            let _ = writeln!(text, "    {shown}");
        }
        if violated > MOST_SHOWN {
            let _ = writeln!(text, "    and {} more", violated - MOST_SHOWN);
        }
    }
    text
}

#[derive(Debug, Default)]
struct Table {
    text: String,
}

impl Table {
    fn row(&mut self, name: &str, value: impl std::fmt::Display) {
        let _ = writeln!(self.text, "{name:<44} {value}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_names_the_middle_and_the_end() {
        assert_eq!(spread(Vec::new()), "none");
        let times: Vec<Duration> = (1..=100).rev().map(Duration::from_secs).collect();
        assert_eq!(spread(times), "50.0s, 95.0s, 100.0s");
    }
}
