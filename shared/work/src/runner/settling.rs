//! From an outcome to the row that keeps it.

use std::time::Duration;

use kernel::Timestamp;
use tracing::{error, warn};

use super::Runner;
use crate::protocol::{self, Jitter, StaleFence};
use crate::{Fence, Job, Outcome, Progress};

/// How long before the deadline settling is given up.
const LAST_MOMENT: Duration = Duration::from_millis(500);

impl Runner {
    /// Writes the outcome under the attempt's own fence, against races and lost answers, until it
    /// stands or the deadline comes. The job as settled and the name of the outcome; `None` if it
    /// does not stand: then the lease ends by itself and a next attempt finds what was committed.
    pub(super) async fn settle(
        &self,
        mut job: Job,
        fence: Fence,
        mut outcome: Outcome,
        mut progress: Option<Progress>,
        deadline: Timestamp,
    ) -> Option<(Job, &'static str)> {
        let jitter = Jitter::of(self.draw());
        let mut failures = 0;
        loop {
            let now = self.clock.now();
            let settled =
                match protocol::settle(&job, fence, &outcome, progress.as_ref(), now, jitter) {
                    Ok(settled) => settled,
                    Err(StaleFence::Settled) => return Some((job, outcome.as_str())),
                    Err(StaleFence::Replaced) => {
                        warn!(outcome = outcome.as_str(), "lease lost before settling");
                        return None;
                    }
                };
            match self.replace(&settled, job.version).await {
                Ok(true) => return Some((settled, outcome.as_str())),
                Ok(false) => {}
                Err(error) if error.is_transient() => warn!(%error, "outcome not written"),
                Err(error) => {
                    error!(%error, outcome = outcome.as_str(), "outcome cannot be written");
                    if matches!(&outcome, Outcome::Fail { error } if error.code == "unwritable") {
                        return None;
                    }
                    let reason = "the outcome of the attempt could not be stored";
                    outcome = Outcome::fail("unwritable", reason);
                    progress = None;
                    continue;
                }
            }
            loop {
                failures += 1;
                self.pause(failures).await;
                if self.clock.now().plus(LAST_MOMENT) >= deadline {
                    error!(outcome = outcome.as_str(), "outcome not written in time");
                    return None;
                }
                match self.load(job.org, job.id).await {
                    Ok(Some(current)) => {
                        job = current;
                        break;
                    }
                    Ok(None) => {
                        error!("the job was removed while it ran");
                        return None;
                    }
                    Err(error) => warn!(%error, "job not loaded"),
                }
            }
        }
    }
}
