//! Metrics in CloudWatch's embedded metric format: a line of JSON for each invocation. No tenant
//! is ever a dimension.

use std::sync::OnceLock;

use metrics_cloudwatch_embedded::{Builder, Collector};
use work::{Observer, WorkEvent};

const NAMESPACE: &str = "Overglass";

static COLLECTOR: OnceLock<&'static Collector> = OnceLock::new();

/// Starts gathering metrics; [`flush`] writes them.
pub(super) fn init() {
    let mut builder = Builder::new().cloudwatch_namespace(NAMESPACE);
    if let Ok(function) = std::env::var("AWS_LAMBDA_FUNCTION_NAME") {
        builder = builder.with_dimension("function", function);
    }
    match builder.init() {
        Ok(collector) => drop(COLLECTOR.set(collector)),
        Err(error) => tracing::debug!(%error, "metrics were started before"),
    }
}

/// Writes what was measured since the last time. Called at the end of each invocation, before
/// Lambda stops the clock.
pub fn flush() {
    if let Some(collector) = COLLECTOR.get()
        && let Err(error) = collector.flush(std::io::stdout())
    {
        tracing::warn!(%error, "metrics were not written");
    }
}

/// Measures what happens to jobs: how long they waited, how they ended, how long that took.
#[derive(Debug, Clone, Copy)]
pub struct WorkMetrics;

impl Observer for WorkMetrics {
    fn observe(&self, event: &WorkEvent<'_>) {
        match event {
            WorkEvent::Claimed { job, waited } => {
                metrics::histogram!("queue_age_ms", "lane" => job.lane.as_str())
                    .record(waited.as_secs_f64() * 1000.0);
            }
            WorkEvent::Settled { job, outcome, ran } => {
                let kind = job.kind.clone();
                metrics::counter!("attempts", "kind" => kind.clone(), "outcome" => *outcome)
                    .increment(1);
                metrics::histogram!("attempt_ms", "kind" => kind)
                    .record(ran.as_secs_f64() * 1000.0);
            }
            WorkEvent::LeaseLost { job, .. } => {
                metrics::counter!("leases_lost", "kind" => job.kind.clone()).increment(1);
            }
            WorkEvent::Reclaimed { job } => {
                metrics::counter!("leases_reclaimed", "kind" => job.kind.clone()).increment(1);
            }
            WorkEvent::Swept { report } => {
                metrics::counter!("jobs_rung_by_sweeper").increment(report.rung);
            }
            _ => {}
        }
    }
}
