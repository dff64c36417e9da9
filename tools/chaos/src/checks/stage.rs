//! That what was to happen did happen: a run without kills or faults shows nothing.

use super::{Verdict, kinds};
use crate::evidence::Evidence;
use crate::proxy::Fault;

/// As many executions and kills as the plan asks for.
pub(super) fn all_was_done(evidence: &Evidence) -> Verdict {
    let mut verdict =
        Verdict::in_the_end("as many executions were started, and workers killed, as asked");
    let asked_for = evidence.runs.iter().filter(|run| run.facts.is_asked_for());
    let started = asked_for.filter(|run| run.facts.acknowledged);
    let killed = evidence.facts.killed.len();
    for (what, counted, asked) in [
        ("started", started.count(), evidence.plan.executions),
        ("killed", killed, evidence.plan.kills),
    ] {
        verdict.expect(u64::try_from(counted) == Ok(asked), || {
            format!("{counted} of {asked} were {what}")
        });
    }
    verdict
}

/// Every kind of wait and call was there to be disturbed.
pub(super) fn everything_happened(evidence: &Evidence) -> Verdict {
    let mut verdict = Verdict::in_the_end("every kind of wait and call happened");
    for (kind, times) in kinds(evidence).counts {
        verdict.expect(times > 0, || format!("there were no {kind}"));
    }
    verdict
}

/// In the long form, every fault has met every operation of the workers that it suits.
pub(super) fn every_fault_met_every_operation(evidence: &Evidence) -> Verdict {
    let mut verdict = Verdict::in_the_end("every fault met every operation of the workers");
    if !evidence.plan.covers_everything {
        return verdict;
    }
    let facts = &evidence.facts;
    for operation in facts.requests.keys() {
        for fault in Fault::ALL
            .into_iter()
            .filter(|fault| fault.suits(operation))
        {
            let met = facts.faults.contains_key(&(operation.clone(), fault));
            verdict.expect(met, || format!("{operation} never met `{}`", fault.name()));
        }
    }
    verdict
}
