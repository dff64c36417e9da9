//! `file.purge`: removes what a deleted file has left behind.
//!
//! The file is taken out of each of its knowledge bases, where a job of its own removes its chunks;
//! then its content goes. Upload URLs outlive the deletion by minutes, so the job waits until none
//! works any more, removes what may have come since, and forgets the file itself.

use std::time::Duration;

use async_trait::async_trait;
use domain::file::FileStatus;
use kernel::FileId;
use store::files::{FilePayload, PURGE_JOB};
use store::objects::URL_LIFETIME;
use store::{Store, Tenant};
use work::{Attempt, Handler, Outcome};

use crate::process::cause;
use crate::trouble::{Trouble, ended};

/// By how much S3's clock and ours may differ, and an upload that has begun may take longer.
const AFTER_EXPIRY: Duration = Duration::from_secs(5 * 60);

/// Does `file.purge`.
pub(crate) struct PurgeFile {
    pub(crate) store: Store,
}

#[async_trait]
impl Handler for PurgeFile {
    fn kinds(&self) -> &[&'static str] {
        &[PURGE_JOB]
    }

    async fn run(&self, attempt: Attempt) -> Outcome {
        match attempt.payload::<FilePayload>() {
            Ok(payload) => ended(self.purge(&attempt, payload.file).await),
            Err(outcome) => outcome,
        }
    }
}

impl PurgeFile {
    async fn purge(&self, attempt: &Attempt, id: FileId) -> Result<Outcome, Trouble> {
        let tenant = Tenant::authorised(attempt.job.org);
        let files = self.store.files(tenant);
        let Some(file) = files.get_any(id).await? else {
            return Ok(Outcome::done());
        };
        if file.status != FileStatus::Deleted {
            return Ok(Outcome::done());
        }
        let cause = cause(attempt);
        for base in &file.knowledge_bases {
            self.store
                .knowledge(tenant)
                .remove(&cause, *base, id)
                .await?;
        }
        self.store.objects(tenant).remove(id).await?;
        let until = file.created_at.plus(URL_LIFETIME + AFTER_EXPIRY);
        if self.store.now() < until {
            return Ok(Outcome::Park { until });
        }
        // Being taken out of knowledge bases has changed it.
        if let Some(file) = files.get_any(id).await? {
            files.forget(attempt.fence, &file).await?;
        }
        Ok(Outcome::done())
    }
}
