//! Whole worlds under faults, one per seed, each repeatable from its seed alone.
//!
//! A world has a few jobs, workers and a sweeper on clocks that disagree, people who cancel, redrive
//! and approve, and for some minutes everything that can go wrong: requests and answers lost or
//! long overdue, rings lost, repeated and reordered, workers that die at any await or stand still
//! beyond their lease and go on. Then the faults end. From there every job must reach its end.
//!
//! `OVERGLASS_SIMULATION_SEEDS` sets how many seeds run, `OVERGLASS_SIMULATION_SEED` runs one and
//! prints its history.

mod life;
mod script;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use self::life::{Verdict, simulate};
use crate::say;
use crate::world::lock;
use crate::world::store::Sabotage;

/// The sums over many worlds.
#[derive(Default)]
struct Totals {
    counts: BTreeMap<&'static str, u64>,
    failures: Vec<(u64, Vec<String>)>,
}

impl Totals {
    fn add(&mut self, seed: u64, verdict: Verdict) {
        let (tally, incidents) = (verdict.tally, verdict.incidents);
        for (name, count) in [
            ("claims", tally.claims),
            ("takeovers of dead leases", tally.takeovers),
            ("leases reclaimed", tally.reclaims),
            ("heartbeats", tally.heartbeats),
            ("fenced effects", tally.effects),
            ("stale effects refused", tally.stale_effects_refused),
            ("stale writes refused", tally.stale_writes_refused),
            ("requests lost", tally.requests_lost),
            ("replies lost", tally.replies_lost),
            ("requests late", tally.requests_late),
            ("redrives", tally.redrives),
            ("jobs done", tally.done),
            ("jobs dead", tally.dead),
            ("jobs cancelled", tally.cancelled),
            ("workers crashed", incidents.crashes),
            ("workers frozen", incidents.freezes),
            ("workers killed", incidents.kills),
            ("rings redelivered", incidents.redelivered),
        ] {
            *self.counts.entry(name).or_default() += count;
        }
        if !verdict.violations.is_empty() {
            self.failures.push((seed, verdict.violations));
        }
    }
}

/// Runs worlds on all processors until `count` are done, or `enough` says stop.
fn run_seeds(count: u64, sabotage: Sabotage, enough: fn(&Totals) -> bool) -> (u64, Totals) {
    script::silence_expected_panics();
    let next = AtomicU64::new(0);
    let finished = AtomicU64::new(0);
    let totals = Mutex::new(Totals::default());
    let threads = std::thread::available_parallelism().map_or(2, |number| number.get());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while !enough(&lock(&totals)) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= count {
                        break;
                    }
                    let verdict = simulate(seed, sabotage, false);
                    lock(&totals).add(seed, verdict);
                    finished.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    let finished = finished.load(Ordering::Relaxed);
    (
        finished,
        totals.into_inner().expect("no thread panicked here"),
    )
}

fn from_env(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn no_fault_loses_a_job_or_repeats_an_effect() {
    if let Some(seed) = from_env("OVERGLASS_SIMULATION_SEED") {
        let verdict = simulate(seed, Sabotage::Nothing, true);
        for line in &verdict.history {
            say(line);
        }
        assert_eq!(verdict.violations, Vec::<String>::new(), "seed {seed}");
        return;
    }
    let seeds = from_env("OVERGLASS_SIMULATION_SEEDS").unwrap_or(10_000);
    let (finished, totals) = run_seeds(seeds, Sabotage::Nothing, |_| false);
    say(&format!("simulation: {finished} seeds"));
    for (name, count) in &totals.counts {
        say(&format!("  {name}: {count}"));
    }
    if let Some((seed, violations)) = totals.failures.first() {
        panic!(
            "{} of {finished} seeds failed, first {seed}: {violations:#?}\n\
             repeat it with OVERGLASS_SIMULATION_SEED={seed}",
            totals.failures.len(),
        );
    }
    assert_eq!(finished, seeds);
    // A simulation in which nothing went wrong proves nothing.
    for (name, count) in &totals.counts {
        assert!(*count > 0, "it never came to this: {name}");
    }
}

#[test]
fn a_seed_repeats_itself_exactly() {
    script::silence_expected_panics();
    for seed in 0..20 {
        let once = simulate(seed, Sabotage::Nothing, true);
        let again = simulate(seed, Sabotage::Nothing, true);
        assert!(!once.history.is_empty());
        assert_eq!(once.history, again.history, "seed {seed}");
    }
}

/// Each broken rule must be noticed by its consequence, not only by the audit of single writes.
fn assert_noticed(sabotage: Sabotage, consequences: &[&str]) {
    let (finished, totals) = run_seeds(2_000, sabotage, |totals| totals.failures.len() >= 40);
    let texts: Vec<&String> = totals
        .failures
        .iter()
        .flat_map(|(_, violations)| violations)
        .collect();
    for consequence in consequences {
        assert!(
            texts.iter().any(|text| text.contains(consequence)),
            "{sabotage:?} went unnoticed as `{consequence}` in {finished} seeds: {texts:#?}"
        );
    }
}

#[test]
fn effects_without_a_fence_are_noticed() {
    assert_noticed(
        Sabotage::EffectsWithoutFence,
        &["effect of stale fence", "a step was done twice"],
    );
}

#[test]
fn claims_without_a_look_at_the_lease_are_noticed() {
    assert_noticed(Sabotage::ClaimsWithoutLease, &["no live lease is taken"]);
}

#[test]
fn writes_without_a_version_are_noticed() {
    assert_noticed(
        Sabotage::WritesWithoutVersion,
        &["versions count up by one", "are final"],
    );
}

#[test]
fn forgotten_wakes_are_noticed() {
    assert_noticed(Sabotage::ForgetsWakes, &["lost while parked"]);
}

#[test]
fn a_missing_sweeper_is_noticed() {
    assert_noticed(Sabotage::NobodySweeps, &["lost while"]);
}
