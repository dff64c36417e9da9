//! What happens beside a running handler: the lease is kept, a cancellation is passed on, the
//! deadline is watched.

use kernel::Timestamp;
use tokio::sync::watch;
use tracing::{info, warn};

use super::Runner;
use crate::{Fence, Job, Progress, protocol};

/// How often one renewal is tried when others write the row at the same time.
const TRIES: u32 = 4;

/// Why a handler is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// Its time is over.
    Deadline,
    /// It was told to cancel and went on.
    CancelIgnored,
    /// The job is no longer its own, or may not be.
    LeaseLost,
}

enum Beat {
    Kept,
    Unanswered,
    Lost,
}

impl Runner {
    /// Runs until the handler must be stopped. `job` is kept at the row as last known.
    pub(super) async fn supervise(
        &self,
        job: &mut Job,
        stop_at: Timestamp,
        cancel: &watch::Sender<bool>,
        mut progress: watch::Receiver<Option<Progress>>,
    ) -> Stop {
        let fence = job.fence();
        let mut last_beat = self.clock.now();
        let mut next_beat = last_beat.plus(self.config.heartbeat);
        let mut patience_ends: Option<Timestamp> = None;
        let mut reporting = true;
        loop {
            let now = self.clock.now();
            if now >= stop_at {
                return Stop::Deadline;
            }
            if patience_ends.is_some_and(|end| now >= end) {
                return Stop::CancelIgnored;
            }
            if now < next_beat {
                let wake_at = patience_ends
                    .map_or(next_beat, |end| end.min(next_beat))
                    .min(stop_at);
                tokio::select! {
                    biased;
                    changed = progress.changed(), if reporting => {
                        // The reporter goes when the handler does.
                        reporting = changed.is_ok();
                        next_beat = next_beat.min(last_beat.plus(self.config.progress_every));
                    }
                    () = tokio::time::sleep(wake_at.since(now)) => {}
                }
                continue;
            }

            let report = progress.borrow_and_update().clone();
            match self.beat(job, fence, report.as_ref()).await {
                Beat::Kept => {
                    last_beat = self.clock.now();
                    next_beat = last_beat.plus(self.config.heartbeat);
                }
                Beat::Unanswered => {
                    let now = self.clock.now();
                    if job.lease_until.is_none_or(|until| now >= until) {
                        return Stop::LeaseLost;
                    }
                    next_beat = now.plus(self.config.heartbeat / 8);
                }
                Beat::Lost => return Stop::LeaseLost,
            }
            if job.cancel_requested && patience_ends.is_none() {
                info!("cancellation passed on");
                cancel.send_replace(true);
                patience_ends = Some(self.clock.now().plus(self.config.cancel_grace));
            }
        }
    }

    /// Renews the lease once.
    async fn beat(&self, job: &mut Job, fence: Fence, progress: Option<&Progress>) -> Beat {
        for _ in 0..TRIES {
            let now = self.clock.now();
            let lease = self.config.lease;
            let Ok(next) = protocol::heartbeat(job, fence, now, lease, progress) else {
                return Beat::Lost;
            };
            match self.replace(&next, job.version).await {
                Ok(true) => {
                    *job = next;
                    return Beat::Kept;
                }
                Ok(false) => match self.load(job.org, job.id).await {
                    Ok(Some(current)) => *job = current,
                    Ok(None) => return Beat::Lost,
                    Err(error) => {
                        warn!(%error, "lease not read");
                        return Beat::Unanswered;
                    }
                },
                Err(error) => {
                    warn!(%error, "lease not renewed");
                    return Beat::Unanswered;
                }
            }
        }
        Beat::Unanswered
    }
}
