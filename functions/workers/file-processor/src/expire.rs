//! `file.expire`: gives up an upload that nobody confirmed.
//!
//! Due when no upload that has begun in time can still end. A file that never had a content goes
//! with it; of a further content only the object goes. Whoever confirms at the same moment commits
//! before this does, or is refused.

use async_trait::async_trait;
use domain::file::{FileStatus, FileVersionStatus};
use store::files::versions::{EXPIRE_JOB, UploadPayload};
use store::{Store, Tenant};
use work::{Attempt, Handler, Outcome};

use crate::process::cause;
use crate::trouble::{Trouble, ended};

/// Does `file.expire`.
pub(crate) struct ExpireUpload {
    pub(crate) store: Store,
}

#[async_trait]
impl Handler for ExpireUpload {
    fn kinds(&self) -> &[&'static str] {
        &[EXPIRE_JOB]
    }

    async fn run(&self, attempt: Attempt) -> Outcome {
        match attempt.payload::<UploadPayload>() {
            Ok(payload) => ended(self.expire(&attempt, payload).await),
            Err(outcome) => outcome,
        }
    }
}

impl ExpireUpload {
    async fn expire(&self, attempt: &Attempt, payload: UploadPayload) -> Result<Outcome, Trouble> {
        let tenant = Tenant::authorised(attempt.job.org);
        let files = self.store.files(tenant);
        let cause = cause(attempt);
        let file = files.get(payload.file).await?;
        let content = files.version(payload.file, payload.content_version).await?;
        let (Some(file), Some(content)) = (file, content) else {
            // Deleted: its removal takes every content with it.
            return Ok(Outcome::done());
        };
        match content.status {
            FileVersionStatus::Uploaded => return Ok(Outcome::done()),
            FileVersionStatus::Pending if file.status == FileStatus::Pending => {
                files.expire(attempt.fence, &cause, &file, &content).await?;
                return Ok(Outcome::done());
            }
            FileVersionStatus::Pending => {
                files.abandon(Some(attempt.fence), &cause, &content).await?;
            }
            FileVersionStatus::Abandoned => {}
        }
        // Nothing confirms it any more, so what was uploaded goes.
        let objects = self.store.objects(tenant);
        if let Some(parts) = &content.parts {
            objects
                .give_up_parts(content.content(), &parts.upload_id)
                .await?;
        }
        objects.remove(content.content()).await?;
        Ok(Outcome::done())
    }
}
