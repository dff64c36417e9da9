//! Sweeps, every minute. The due index: rings what is due, takes back what a dead worker held. The
//! deadlines of executions: ends those whose time is over, whatever became of their jobs. A lost
//! doorbell costs a job one sweep and nothing else, and no execution is open for ever.

mod deadlines;

use std::sync::Arc;

use kernel::Timestamp;
use store::Store;
use work::{Sweeper, SweeperConfig};

pub use deadlines::{GRACE, expire};

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
    let expired = deadlines::expire(store, now).await;
    let failed = report.failed + expired.failed;
    if failed > 0 {
        return Err(format!("{failed} jobs, executions or shards could not be swept").into());
    }
    Ok(())
}
