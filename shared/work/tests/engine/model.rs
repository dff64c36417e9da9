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

use crate::say;
use explore::explore;
use rules::{Rules, Scope};

fn check(name: &str, scope: &Scope) {
    let explored = explore(scope, &Rules::HONEST);
    say(&format!(
        "model, {name}: {} states, {} transitions, depth {}, {} ended",
        explored.states, explored.transitions, explored.depth, explored.ended
    ));
    if let Some(counterexample) = &explored.counterexample {
        panic!("{name}: {counterexample}");
    }
    assert!(explored.ended > 0, "nothing ever came to its end");
    assert!(
        explored.states > 10_000,
        "{} states are too few",
        explored.states
    );
}

const SMALL: Scope = Scope {
    jobs: 1,
    workers: 2,
    steps: 1,
    max_attempts: 2,
    strays: 1,
    approvals: false,
    parks: false,
    slow_sweeps: false,
    cancels: false,
    redrives: false,
};

#[test]
fn two_workers_on_one_job() {
    let scope = Scope {
        steps: 2,
        slow_sweeps: true,
        cancels: true,
        redrives: true,
        ..SMALL
    };
    check("two workers on one job, cancels, redrives", &scope);
}

#[test]
fn two_workers_on_one_job_that_parks() {
    let scope = Scope {
        approvals: true,
        parks: true,
        ..SMALL
    };
    check("two workers on one job that parks for an approval", &scope);
}

#[test]
fn three_workers_on_one_job() {
    let scope = Scope {
        workers: 3,
        ..SMALL
    };
    check("three workers on one job", &scope);
}

#[test]
fn two_workers_on_two_jobs() {
    let scope = Scope {
        jobs: 2,
        max_attempts: 1,
        strays: 0,
        ..SMALL
    };
    check("two workers on two jobs", &scope);
}

#[test]
#[ignore = "takes minutes: for changes of the protocol"]
fn two_workers_on_one_job_with_everything() {
    let scope = Scope {
        steps: 2,
        strays: 2,
        approvals: true,
        parks: true,
        slow_sweeps: true,
        cancels: true,
        redrives: true,
        ..SMALL
    };
    check("two workers on one job, everything", &scope);
}

#[test]
#[ignore = "takes minutes: for changes of the protocol"]
fn three_workers_on_one_job_with_more() {
    let scope = Scope {
        workers: 3,
        parks: true,
        slow_sweeps: true,
        cancels: true,
        redrives: true,
        ..SMALL
    };
    check("three workers on one job, parks, cancels, redrives", &scope);
}
