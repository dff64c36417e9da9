//! From a ring to a lease.

use std::time::Duration;

use kernel::Timestamp;
use tracing::{debug, error, warn};

use super::{Delivery, Runner};
use crate::protocol::{self, ClaimRefused};
use crate::{Doorbell, Job, WorkEvent};

/// How often a claim that lost a race, or had no answer, is tried again.
const TRIES: u32 = 8;

/// A ring that comes this early (clocks differ) is sent back to come in time. One that comes
/// earlier is dropped: the job's own ring or the sweeper will follow.
const EARLY: Duration = Duration::from_secs(5);

/// The delay of a ring that is handed over, so that a worker whose whole time is too short rings
/// slowly instead of hotly until somebody reads its log.
const HAND_OVER: Duration = Duration::from_secs(1);

impl Runner {
    /// Claims the job, or says what becomes of the ring.
    pub(super) async fn claim(
        &self,
        doorbell: &Doorbell,
        deadline: Timestamp,
    ) -> Result<Job, Delivery> {
        let token = self.draw();
        for attempt in 0..TRIES {
            if attempt > 0 {
                self.pause(attempt).await;
            }
            let job = match self.load(doorbell.org, doorbell.job).await {
                Ok(Some(job)) => job,
                Ok(None) => {
                    warn!(org = %doorbell.org, job = %doorbell.job, "rang for a job that is not there");
                    return Err(Delivery::Acknowledge);
                }
                Err(error) if error.is_transient() => {
                    warn!(org = %doorbell.org, job = %doorbell.job, %error, "job not loaded");
                    continue;
                }
                Err(error) => {
                    error!(org = %doorbell.org, job = %doorbell.job, %error, "job cannot be read");
                    return Err(Delivery::Redeliver);
                }
            };
            if job.lease_token == Some(token) {
                // The claim had arrived; only its answer was lost.
                return Ok(job);
            }
            let now = self.clock.now();
            let claimed = match protocol::claim(&job, now, self.config.lease, token) {
                Ok(claimed) => claimed,
                Err(ClaimRefused::MustEnd) => {
                    if self.bury_lost(&job, now).await {
                        return Err(Delivery::Acknowledge);
                    }
                    continue;
                }
                Err(reason) => return Err(self.refused(&job, reason, now).await),
            };
            let config = &self.config;
            let least = config.stop_margin + config.yield_margin + config.least_work;
            if deadline.since(now) < least {
                return Err(self.hand_over(&job).await);
            }
            match self.replace(&claimed, job.version).await {
                Ok(true) => return Ok(claimed),
                Ok(false) => debug!(org = %job.org, job = %job.id, "claim raced"),
                Err(error) => {
                    warn!(org = %job.org, job = %job.id, %error, "claim not answered");
                }
            }
        }
        Err(Delivery::Redeliver)
    }

    async fn refused(&self, job: &Job, reason: ClaimRefused, now: Timestamp) -> Delivery {
        debug!(org = %job.org, job = %job.id, %reason, "ring without effect");
        self.observer.observe(&WorkEvent::Refused { job, reason });
        if let ClaimRefused::NotDue { due_at } = reason
            && due_at.since(now) <= EARLY
        {
            self.ring(job).await;
        }
        Delivery::Acknowledge
    }

    /// Ends a job whose last attempt died. `false` if somebody else changed it meanwhile.
    async fn bury_lost(&self, job: &Job, now: Timestamp) -> bool {
        let Some(ended) = protocol::reclaim(job, now) else {
            return false;
        };
        match self.replace(&ended, job.version).await {
            Ok(true) => {
                warn!(org = %job.org, job = %job.id, state = %ended.state, "last attempt lost");
                self.observer.observe(&WorkEvent::Reclaimed { job: &ended });
                true
            }
            Ok(false) => false,
            Err(error) => {
                warn!(org = %job.org, job = %job.id, %error, "job not ended");
                false
            }
        }
    }

    /// Too little time is left to begin: another worker shall have the ring, now rather than after
    /// the visibility timeout.
    async fn hand_over(&self, job: &Job) -> Delivery {
        warn!(org = %job.org, job = %job.id, "too little time to begin, ring handed over");
        match self.bell.ring(&job.doorbell(), HAND_OVER).await {
            Ok(()) => Delivery::Acknowledge,
            Err(error) => {
                warn!(org = %job.org, job = %job.id, %error, "ring not handed over");
                Delivery::Redeliver
            }
        }
    }
}
