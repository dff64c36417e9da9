//! Logs and metrics: one JSON object a line, one schema, nothing secret.

use work::{Observer, WorkEvent};

/// Starts logging. The level is `OVERGLASS_LOG`, in the syntax of `tracing`'s filters; `info` if
/// it is not set.
pub fn init() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("OVERGLASS_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    let started = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_current_span(true)
        .with_span_list(false)
        .with_env_filter(filter)
        .with_ansi(false)
        .try_init();
    if started.is_err() {
        tracing::debug!("logging was started before");
    }
}

/// Turns what happens to jobs into metrics.
#[derive(Debug, Clone, Copy)]
pub struct WorkMetrics;

impl Observer for WorkMetrics {
    fn observe(&self, event: &WorkEvent<'_>) {
        tracing::debug!(?event, "work");
    }
}
