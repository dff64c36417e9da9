//! Credits: what was set aside for calls of killed workers is neither lost nor spent twice.

use std::collections::BTreeMap;

use domain::budget::{Account, Budget};
use domain::execution::EffectOutcome;
use kernel::{MicroCredits, OrgId};

use super::{Verdict, rules};
use crate::evidence::Evidence;

/// Every ledger sums to its balance, and what is missing was spent by runs, or is set aside.
pub(super) fn ledgers_add_up(evidence: &Evidence) -> Verdict {
    let mut verdict = Verdict::always(rules::LEDGERS_ADD_UP);
    let mut spent: BTreeMap<(OrgId, Account), i64> = BTreeMap::new();
    for execution in evidence
        .runs
        .iter()
        .filter_map(|run| run.execution.as_ref())
    {
        for account in Account::of_run(execution) {
            let of_run = execution.spending.spent.as_micros();
            *spent.entry((execution.org, account)).or_default() += of_run;
        }
    }
    for account in &evidence.accounts {
        let (budget, ledger) = (&account.budget, &account.ledger);
        let by_runs = spent.get(&(budget.org, budget.account));
        let by_runs = by_runs.copied().unwrap_or_default();
        let left = budget.granted.as_micros() - by_runs - budget.reserved.as_micros();
        let adds_up = ledger.sum == ledger.balance
            && ledger.balance == budget.available
            && budget.spent.as_micros() == by_runs
            && budget.available.as_micros() == left;
        verdict.expect(adds_up, || {
            format!(
                "{}: its ledger is {}, its executions spent {by_runs}",
                in_short(budget),
                ledger.sum.as_micros()
            )
        });
    }
    verdict
}

/// An execution is charged for what its journal holds, once.
pub(super) fn charged_for_what_was_used(evidence: &Evidence) -> Verdict {
    let mut verdict = Verdict::always("every execution is charged the sum of its journal");
    for run in &evidence.runs {
        let Some(execution) = &run.execution else {
            continue;
        };
        let costs = run
            .journal
            .iter()
            .filter_map(|effect| match &effect.outcome {
                Some(EffectOutcome::Model { cost, .. }) => cost.map(MicroCredits::as_micros),
                _ => None,
            });
        let (sum, charged) = (costs.sum::<i64>(), execution.spending.spent.as_micros());
        verdict.expect(sum == charged, || {
            let number = run.facts.number;
            format!("run {number} is charged {charged}, its journal costs {sum}")
        });
    }
    verdict
}

/// What was set aside for a call is given back or spent, whoever was killed during it.
pub(super) fn nothing_stays_set_aside(evidence: &Evidence) -> Verdict {
    let mut verdict = Verdict::in_the_end("nothing stays set aside for calls that are over");
    for account in &evidence.accounts {
        let budget = &account.budget;
        verdict.expect(budget.reserved == MicroCredits::ZERO, || in_short(budget));
    }
    for run in &evidence.runs {
        let execution = run.execution.as_ref();
        let reserved = execution.and_then(|execution| execution.spending.reserved.as_ref());
        verdict.expect(reserved.is_none(), || {
            format!("run {} keeps {reserved:?}", run.facts.number)
        });
    }
    verdict
}

fn in_short(budget: &Budget) -> String {
    format!(
        "an {} was granted {}, spent {}, sets aside {}, has {}",
        budget.account.kind(),
        budget.granted.as_micros(),
        budget.spent.as_micros(),
        budget.reserved.as_micros(),
        budget.available.as_micros()
    )
}
