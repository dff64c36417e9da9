//! `file.purge`: removes what a deleted file has left behind, once it cannot be restored.
//!
//! It says first that the removal has begun, under the version that it has read: of a restoration at
//! the same moment one of the two is refused. Then the file is taken out of each of its knowledge
//! bases, and its contents go. Upload URLs outlive a deletion by minutes, so the job waits until none
//! works any more, removes what may have come since, and forgets the file itself.

use std::time::Duration;

use async_trait::async_trait;
use domain::file::{File, FileStatus, FileVersionStatus};
use kernel::cursor::PageRequest;
use kernel::{FileId, Timestamp};
use store::files::{FilePayload, PURGE_JOB};
use store::objects::{UPLOAD_GRACE, URL_LIFETIME};
use store::{Store, Tenant};
use work::{Attempt, Handler, Outcome};

use crate::process::cause;
use crate::trouble::{Trouble, ended};

/// How long after an announcement something may still come in.
const UPLOADS_END: Duration = URL_LIFETIME.saturating_add(UPLOAD_GRACE);

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
        let deletion = match &file.deletion {
            Some(deletion) if file.status == FileStatus::Deleted => deletion,
            // Restored.
            _ => return Ok(Outcome::done()),
        };
        let now = self.store.now();
        if now < deletion.purge_at {
            // Deleted once more after it was restored.
            return Ok(Outcome::Park {
                until: deletion.purge_at,
            });
        }
        if !deletion.purging {
            // A restoration, or a knowledge base that goes, may come first; then this is tried again.
            files.begin_purge(attempt.fence, &file, deletion).await?;
        }
        let cause = cause(attempt);
        let knowledge = self.store.knowledge(tenant);
        for base in &file.knowledge_bases {
            knowledge.remove(&cause, *base, id).await?;
        }
        let until = self.remove_contents(tenant, &file).await?;
        if now < until {
            return Ok(Outcome::Park { until });
        }
        // Being taken out of knowledge bases has changed it.
        if let Some(file) = files.get_any(id).await? {
            files.forget(attempt.fence, &cause, &file).await?;
        }
        Ok(Outcome::done())
    }

    /// Removes every content; when no upload of any of them can end any more.
    async fn remove_contents(&self, tenant: Tenant, file: &File) -> Result<Timestamp, Trouble> {
        let (files, objects) = (self.store.files(tenant), self.store.objects(tenant));
        let mut announced = file.created_at;
        let mut page = PageRequest::first(100);
        loop {
            let contents = files.versions(file.id, &page).await?;
            for content in &contents.items {
                announced = announced.max(content.created_at);
                if let Some(parts) = &content.parts
                    && content.status != FileVersionStatus::Uploaded
                {
                    objects
                        .give_up_parts(content.content(), &parts.upload_id)
                        .await?;
                }
                objects.remove(content.content()).await?;
            }
            if contents.next.is_none() {
                // And what no row names.
                objects.remove_file(file.id).await?;
                return Ok(announced.plus(UPLOADS_END));
            }
            page.after = contents.next;
        }
    }
}
