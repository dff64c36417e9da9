//! Overglass on one machine: every function in one process, over embedded stores, with the very
//! handlers that Lambda runs.
//!
//! | module | holds |
//! |---|---|
//! | [`commands`] | the command line, a file for each command |
//! | [`session`] | the API over a data folder: of the host that is there, or of one for a command |
//! | [`host`] | the process: stores, API, workers, and their end |
//! | [`issuer`] | the local issuer, which signs people in as presets |
//! | [`workers`] | pollers that hand workers the events Lambda would |
//! | [`secrets`] | what the host keeps in its data folder beside the stores |
//! | [`client`] | a client of the API, as a person's program would be |
//! | [`journey`] | the first job: documents in, a question answered with its sources |
//! | [`terminal`] | what the person sees |

mod address;
pub mod client;
pub mod commands;
pub mod host;
pub mod issuer;
pub mod journey;
pub mod secrets;
pub mod session;
pub mod terminal;
pub mod workers;

pub use host::{Host, HostOptions};

/// What the host logs, unless `OVERGLASS_LOG` says otherwise.
pub const LOG_LEVELS: &str = "info,dynoxide=error,work::sweeper=warn";
