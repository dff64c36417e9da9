//! Logs and metrics: one JSON object a line, one schema, nothing secret.
//!
//! A log line has `timestamp`, `level`, `target`, `message`, the fields of the message, and under
//! `span` what is known of the request or job that it belongs to: `correlation_id` above all, which
//! is one from the request through its event and jobs to the worker. Whatever looks like a
//! credential or a mail address is masked on the way out, wherever it stands.

mod metering;
mod redaction;

use std::io::Write;
use std::sync::Mutex;

use tracing_subscriber::EnvFilter;

pub use metering::{WorkMetrics, flush};
pub use redaction::{Redacting, redact};

/// Starts logging and metrics on standard output. The level is `OVERGLASS_LOG`, in the syntax of
/// `tracing`'s filters; `info` if it is not set.
pub fn init() {
    let filter =
        EnvFilter::try_from_env("OVERGLASS_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    init_to(std::io::stdout(), filter);
    metering::init();
}

/// Starts logging to a writer. Does nothing where logging was started before.
pub fn init_to<W: Write + Send + 'static>(writer: W, filter: EnvFilter) {
    let started = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_current_span(true)
        .with_span_list(false)
        .with_env_filter(filter)
        .with_ansi(false)
        .with_writer(Mutex::new(Redacting::new(writer)))
        .try_init();
    if started.is_err() {
        tracing::debug!("logging was started before");
    }
}
