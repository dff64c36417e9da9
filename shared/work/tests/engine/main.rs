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
