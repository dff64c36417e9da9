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

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

pub use metering::{WorkMetrics, flush};
pub use redaction::{Redacting, redact};

/// Starts logging and metrics on standard output.
pub fn init() {
    init_to(std::io::stdout(), levels("info"));
    metering::init();
}

/// What is logged: `OVERGLASS_LOG`, a level for everything and others for modules, such as
/// `info,work=debug`; `otherwise`, in the same form, if it is not set or not of that form.
#[must_use]
pub fn levels(otherwise: &str) -> Targets {
    let wanted = std::env::var("OVERGLASS_LOG").ok();
    wanted
        .and_then(|levels| levels.parse().ok())
        .or_else(|| otherwise.parse().ok())
        .unwrap_or_else(|| Targets::new().with_default(LevelFilter::INFO))
}

/// Starts logging to a writer. Does nothing where logging was started before.
pub fn init_to<W: Write + Send + 'static>(writer: W, levels: Targets) {
    let lines = fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(true)
        .with_span_list(false)
        .with_ansi(false)
        .with_writer(Mutex::new(Redacting::new(writer)));
    let started = tracing_subscriber::registry()
        .with(levels)
        .with(lines)
        .try_init();
    if started.is_err() {
        tracing::debug!("logging was started before");
    }
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn a_module_may_have_a_level_of_its_own() {
        let some = levels("warn,work=debug");
        assert!(some.would_enable("work::runner", &Level::DEBUG));
        assert!(some.would_enable("store", &Level::WARN));
        assert!(!some.would_enable("store", &Level::INFO));
    }

    #[test]
    fn what_cannot_be_read_leaves_the_usual_level() {
        let usual = levels("work=loud");
        assert!(usual.would_enable("work", &Level::INFO));
        assert!(!usual.would_enable("work", &Level::DEBUG));
    }
}
