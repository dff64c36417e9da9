//! What must hold after all of it. An invariant is a function from the [`Evidence`] to a
//! [`Verdict`], and a line in [`INVARIANTS`].
//!
//! | module | holds |
//! |---|---|
//! | [`executions`] | nothing is lost, answers are right, streams and tasks agree |
//! | [`effects`] | calls to the outside: none repeated that was settled, none lost |
//! | [`ledger`] | credits are neither lost nor spent twice |
//! | [`waits`] | pauses hold, callers are told, what has no time left ends |
//! | [`recovery`] | how soon a killed worker is replaced, and what it still writes |
//! | [`stage`] | that what was to happen did happen |

mod effects;
mod executions;
mod ledger;
mod recovery;
pub(crate) mod rules;
mod stage;
mod waits;

use crate::evidence::Evidence;

pub(crate) use effects::asked_of_people;
pub(crate) use recovery::{Recovery, recoveries};
pub(crate) use waits::kinds;

/// What one invariant came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// What must hold, in words.
    pub(crate) rule: &'static str,
    /// Whether it must hold at every moment, and not only in the end: what breaks it cannot be
    /// that time was short.
    pub(crate) always: bool,
    /// How many things it was held against.
    pub(crate) examined: u64,
    /// Each thing for which it does not hold, in words.
    pub(crate) violations: Vec<String>,
}

impl Verdict {
    /// A rule about the end.
    fn in_the_end(rule: &'static str) -> Self {
        Self {
            rule,
            always: false,
            examined: 0,
            violations: Vec::new(),
        }
    }

    /// A rule about every moment, seen in the rows or by the servers.
    fn always(rule: &'static str) -> Self {
        Self {
            always: true,
            ..Self::in_the_end(rule)
        }
    }

    /// Looks at one more thing, and says what is wrong with it, if anything is.
    fn examine(&mut self, problem: Option<String>) {
        self.examined += 1;
        self.violations.extend(problem);
    }

    /// Looks at one more thing, which must be so.
    fn expect(&mut self, holds: bool, otherwise: impl FnOnce() -> String) {
        self.examine((!holds).then(otherwise));
    }
}

/// A check of one invariant.
type Invariant = fn(&Evidence) -> Verdict;

/// Every invariant. A new one is added here; what it needs of the store is gathered in
/// [`crate::evidence`], and what it needs of the servers in [`crate::history`].
const INVARIANTS: &[Invariant] = &[
    stage::all_was_done,
    stage::everything_happened,
    executions::acknowledged_are_completed,
    executions::unacknowledged_are_whole_or_absent,
    executions::answers_are_right,
    executions::streams_are_whole,
    executions::tasks_agree,
    executions::jobs_are_done,
    executions::usage_is_the_sum_of_the_journal,
    ledger::ledgers_add_up,
    ledger::nothing_stays_set_aside,
    ledger::charged_for_what_was_used,
    effects::journals_are_complete,
    effects::results_are_right,
    effects::asked_only_where_interrupted,
    effects::settled_once,
    effects::no_settled_call_is_repeated,
    effects::repeated_only_where_interrupted,
    effects::charged_at_most_once,
    effects::changes_happen_once,
    effects::no_strange_calls,
    waits::pauses_hold,
    waits::callers_are_told,
    waits::runs_without_time_expire,
    recovery::lost_jobs_are_taken_up_in_time,
    recovery::replaced_attempts_write_nothing,
    stage::every_fault_met_every_operation,
];

/// Judges.
pub(crate) fn judge(evidence: &Evidence) -> Vec<Verdict> {
    INVARIANTS.iter().map(|check| check(evidence)).collect()
}
