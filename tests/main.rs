//! Journeys through the whole product: each starts a host of its own, calls it as clients do, and
//! looks at what came of it.
//!
//! | module | holds |
//! |---|---|
//! | [`matrix`] | every operation against every kind of caller |
//! | [`support`] | the host of a journey, its people, its clients |

mod bad_input;
mod conventions;
mod matrix;
mod support;
mod v1;
