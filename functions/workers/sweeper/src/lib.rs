//! Sweeps the due index, every minute: rings what is due, takes back what a dead worker held. A
//! lost doorbell costs a job one sweep and nothing else.

use std::sync::Arc;

use kernel::Timestamp;
use store::Store;
use work::{Sweeper, SweeperConfig};

/// One sweep. A part that failed is reported as an error, so that it alarms; the rest is done.
///
/// # Errors
/// Says how much could not be swept.
pub async fn sweep(store: &Store, now: Timestamp) -> Result<(), lambda::Error> {
    let sweeper = Sweeper::new(
        Arc::new(store.clone()),
        store.bell(),
        store.clock(),
        SweeperConfig::default(),
    )
    .observer(Arc::new(lambda::telemetry::WorkMetrics));
    let report = sweeper.sweep(now).await;
    if report.failed > 0 {
        return Err(format!("{} jobs or shards could not be swept", report.failed).into());
    }
    Ok(())
}
