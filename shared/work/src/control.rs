//! What people and other parts of the product do to jobs from outside.

use std::sync::Arc;
use std::time::Duration;

use kernel::{Clock, JobId, OrgId, Timestamp};
use tracing::warn;

use crate::protocol::{self, Illegal};
use crate::{Bell, Job, JobStore, StoreError};

const TRIES: u32 = 8;
const PAUSE: Duration = Duration::from_millis(20);

/// Cancels, redrives and wakes jobs.
#[derive(Clone)]
pub struct Control {
    store: Arc<dyn JobStore>,
    bell: Arc<dyn Bell>,
    clock: Arc<dyn Clock>,
}

/// Why an operation on a job was not done.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The org has no such job.
    #[error("there is no such job")]
    NotFound,
    /// The job's state does not allow it.
    #[error(transparent)]
    Illegal(#[from] Illegal),
    /// The store did not answer. The operation may or may not be done; asking again is safe.
    #[error(transparent)]
    Store(StoreError),
    /// The job changed again and again meanwhile. Asking again is safe.
    #[error("the job changed too often meanwhile")]
    Contended,
}

type Operation = fn(&Job, Timestamp) -> Result<Option<Job>, Illegal>;

impl Control {
    /// Operations on the jobs of `store`.
    #[must_use]
    pub fn new(store: Arc<dyn JobStore>, bell: Arc<dyn Bell>, clock: Arc<dyn Clock>) -> Self {
        Self { store, bell, clock }
    }

    /// Cancels the job, and gives it as it stands then: `cancelled`, or still `leased` with
    /// `cancel_requested` while its attempt is told to stop. Asking twice is asking once.
    pub async fn cancel(&self, org: OrgId, id: JobId) -> Result<Job, ControlError> {
        self.apply(org, id, protocol::request_cancel).await
    }

    /// Gives a dead job a new life. Asking twice is asking once.
    pub async fn redrive(&self, org: OrgId, id: JobId) -> Result<Job, ControlError> {
        let job = self.apply(org, id, protocol::redrive).await?;
        self.ring(&job).await;
        Ok(job)
    }

    /// Says that what the job is parked for has happened. Safe against the attempt that is about
    /// to park: it will not.
    pub async fn wake(&self, org: OrgId, id: JobId) -> Result<Job, ControlError> {
        let job = self.apply(org, id, protocol::wake).await?;
        self.ring(&job).await;
        Ok(job)
    }

    async fn apply(
        &self,
        org: OrgId,
        id: JobId,
        operation: Operation,
    ) -> Result<Job, ControlError> {
        let mut failure = ControlError::Contended;
        for attempt in 0..TRIES {
            if attempt > 0 {
                tokio::time::sleep(PAUSE * attempt).await;
            }
            let job = match self.store.load(org, id).await {
                Ok(Some(job)) => job,
                Ok(None) => return Err(ControlError::NotFound),
                Err(error) if error.is_transient() => {
                    failure = ControlError::Store(error);
                    continue;
                }
                Err(error) => return Err(ControlError::Store(error)),
            };
            let Some(next) = operation(&job, self.clock.now())? else {
                return Ok(job);
            };
            match self.store.replace(&next, job.version).await {
                Ok(true) => return Ok(next),
                Ok(false) => failure = ControlError::Contended,
                Err(error) if error.is_transient() => failure = ControlError::Store(error),
                Err(error) => return Err(ControlError::Store(error)),
            }
        }
        Err(failure)
    }

    async fn ring(&self, job: &Job) {
        let Some(delay) = job.ring_delay(self.clock.now()) else {
            return;
        };
        if let Err(error) = self.bell.ring(&job.doorbell(), delay).await {
            warn!(org = %job.org, job = %job.id, %error, "ring failed, the sweeper will ring");
        }
    }
}
