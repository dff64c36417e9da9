//! The work engine: every piece of background work is a job row, and this crate decides what may
//! happen to it.
//!
//! ```text
//!            ┌──────────── retry, yield, lease over ────────────┐
//!            ▼                                                  │
//!   insert ► ready ──── claim: fence + 1 ────► leased ──────────┼──► done
//!            │  ▲                               ▲ │             ├──► dead ──► ready (redrive)
//!            │  └── wake ── parked ── claim ────┘ └── park ──►  └──► cancelled
//!            └────────────── cancel ──────────────────────────────► cancelled
//! ```
//!
//! - [`protocol`] holds the transitions as pure functions, the only place that decides them.
//! - [`JobStore`] replaces a row by compare-and-set on its version; [`Bell`] tells a worker that a
//!   job may be run. A lost, repeated, late or early ring changes nothing: the claim decides, and
//!   the [`Sweeper`] rings again.
//! - [`Runner`] takes a ring to its end: claim, heartbeat, run the [`Handler`], settle, ring the
//!   successor.
//! - [`Control`] cancels, redrives and wakes jobs.
//!
//! **What is promised.** A job that was inserted reaches `done`, `dead` or `cancelled`. At any
//! moment at most one attempt holds the job's [`Fence`], and a commit that carries the fence as a
//! condition is refused once the attempt has lost or settled it. Effects outside that condition (a
//! call to a third party) happen at least once.

mod attempt;
mod control;
mod job;
mod new_job;
mod observer;
mod outcome;
mod ports;
pub mod protocol;
mod runner;
mod sweeper;

pub use attempt::{Attempt, Budget, CancelSignal, Handler, ProgressReporter};
pub use control::{Control, ControlError};
pub use job::{DUE_SHARDS, due_shard};
pub use job::{DeadReason, Doorbell, Fence, Job, JobError, JobState, Lane, Progress};
pub use new_job::NewJob;
pub use observer::{Observer, Silent, WorkEvent};
pub use outcome::Outcome;
pub use ports::{Bell, BellError, JobStore, MAX_RING_DELAY, StoreError};
pub use runner::{Delivery, Runner, RunnerConfig};
pub use sweeper::{SweepReport, Sweeper, SweeperConfig};
