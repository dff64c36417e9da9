//! Journeys through the whole product: each starts a host of its own, calls it as clients do, and
//! looks at what came of it.
//!
//! | module | holds |
//! |---|---|
//! | [`matrix`] | every operation against every kind of caller |
//! | [`bad_input`] | every body, field and list with what no handler may take |
//! | [`conventions`] | idempotency, versions, request ids, problems, health |
//! | [`v1`] | the journeys of each part of the API, by its paths |
//! | [`replay`] | every sample of `events/` through the handler of its function |
//! | [`support`] | the host of a journey, its people, its clients |

mod bad_input;
mod conventions;
mod matrix;
mod replay;
mod support;
mod v1;
