//! The engine as a whole: its promises under faults ([`simulation`]), over every interleaving of a
//! small case ([`model`]), over random sequences of transitions ([`properties`]), and the behaviour
//! of runner and sweeper one by one.

mod audit;
mod model;
mod properties;
mod runner;
mod simulation;
mod sweeper;
mod world;

/// Prints a figure even where the test passes: what was covered is the point.
fn say(line: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stdout(), "{line}");
}
