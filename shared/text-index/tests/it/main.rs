//! The writer and readers of an index over a real store: crashes, races, repetitions.

mod crashes;
mod large;
mod rebuilds;
mod stage;
mod updates;
