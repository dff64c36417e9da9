//! Every interleaving of a small case.
//!
//! The transitions are the protocol's own functions. Around them stands everything that may happen
//! between two of them: a request is applied now, later, or never, and its answer comes or does
//! not; a worker dies at any point or waits at any point for any time; rings are lost, repeated and
//! late; leases run out; people cancel, redrive and approve.
//!
//! The state space is finite without a bound on faults or time, because a state keeps only what can
//! matter: times as ticks from now (the past is all alike), fences by their order, and of an
//! outstanding write whether the row is still the one it was computed from.
//!
//! Two kinds of property are checked. *Safety*: the audit of every change, and what is said in
//! [`step`] where it is checked. *Liveness*: from every state that can be reached, without any
//! further fault and without anybody cancelling, all jobs can reach their end.

mod action;
mod explore;
mod mutants;
mod rules;
mod state;
mod step;

use explore::{Explored, explore};
use rules::{Rules, Scope};

#[expect(clippy::print_stdout, reason = "the figures are the point")]
fn check(name: &str, scope: &Scope) -> Explored {
    let explored = explore(scope, &Rules::HONEST);
    println!(
        "model, {name}: {} states, {} transitions, depth {}, {} ended",
        explored.states, explored.transitions, explored.depth, explored.ended
    );
    if let Some(counterexample) = &explored.counterexample {
        panic!("{name}: {counterexample}");
    }
    assert!(explored.ended > 0, "nothing ever came to its end");
    explored
}

#[test]
fn one_job_and_two_workers_with_everything() {
    let scope = Scope {
        jobs: 1,
        workers: 2,
        steps: 2,
        max_attempts: 2,
        strays: 2,
        approvals: true,
        cancels: true,
        redrives: true,
    };
    let explored = check("one job, two workers, approvals", &scope);
    assert!(explored.states > 10_000, "{} states", explored.states);
}

#[test]
fn one_job_and_three_workers() {
    let scope = Scope {
        jobs: 1,
        workers: 3,
        steps: 1,
        max_attempts: 2,
        strays: 1,
        approvals: false,
        cancels: true,
        redrives: true,
    };
    let explored = check("one job, three workers", &scope);
    assert!(explored.states > 10_000, "{} states", explored.states);
}

#[test]
fn two_jobs_and_two_workers() {
    let scope = Scope {
        jobs: 2,
        workers: 2,
        steps: 1,
        max_attempts: 1,
        strays: 1,
        approvals: false,
        cancels: false,
        redrives: false,
    };
    let explored = check("two jobs, two workers", &scope);
    assert!(explored.states > 10_000, "{} states", explored.states);
}
