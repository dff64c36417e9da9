//! `source.remove`: removes what a deleted source has brought, page by page, and then the source.
//!
//! A file that a page has become is deleted as people delete files: it can be restored for a while.

use async_trait::async_trait;
use domain::source::{WebSource, WebSourceStatus};
use kernel::cursor::PageRequest;
use store::sources::{PageRow, REMOVE_JOB, SourcePayload};
use store::{Store, Tenant};
use work::{Attempt, Handler, Outcome};

use crate::crawl::cause;
use crate::trouble::Trouble;

const PAGES_AT_ONCE: u32 = 25;
/// How often an attempt looks again because somebody changed what it is about.
const LOOKS: u32 = 20;

/// Does `source.remove`.
pub(crate) struct RemoveSource {
    pub(crate) store: Store,
}

#[async_trait]
impl Handler for RemoveSource {
    fn kinds(&self) -> &[&'static str] {
        &[REMOVE_JOB]
    }

    async fn run(&self, attempt: Attempt) -> Outcome {
        let payload = match attempt.payload::<SourcePayload>() {
            Ok(payload) => payload,
            Err(outcome) => return outcome,
        };
        for _ in 0..LOOKS {
            match self.remove(&attempt, payload).await {
                Ok(()) => return Outcome::done(),
                Err(Trouble::Changed) => {}
                Err(trouble) => return trouble.outcome(),
            }
        }
        Trouble::Changed.outcome()
    }
}

impl RemoveSource {
    async fn remove(&self, attempt: &Attempt, payload: SourcePayload) -> Result<(), Trouble> {
        let tenant = Tenant::authorised(attempt.job.org);
        let sources = self.store.sources(tenant);
        let source = sources.get(payload.knowledge_base, payload.source).await?;
        let is_wanted = |source: &WebSource| source.status == WebSourceStatus::Deleting;
        let Some(source) = source.filter(is_wanted) else {
            return Ok(());
        };
        loop {
            // What is removed is not listed again, so each page of the list is the first.
            let first = PageRequest::first(PAGES_AT_ONCE);
            let rows = sources.pages(&source, None, &first).await?.items;
            if rows.is_empty() {
                break;
            }
            for row in &rows {
                self.forget_page(attempt, tenant, row).await?;
                if attempt.budget.should_yield() {
                    return Err(Trouble::OutOfTime);
                }
            }
        }
        sources
            .forget(attempt.fence, &cause(attempt), &source)
            .await?;
        Ok(())
    }

    async fn forget_page(
        &self,
        attempt: &Attempt,
        tenant: Tenant,
        row: &PageRow,
    ) -> Result<(), Trouble> {
        let file = match row.page.file {
            Some(file) => self.store.files(tenant).get(file).await?,
            None => {
                // Whoever stored something for it died before a row named it.
                let objects = self.store.objects(tenant);
                objects.remove_file(row.file).await.map_err(Trouble::from)?;
                None
            }
        };
        let sources = self.store.sources(tenant);
        sources
            .forget_page(attempt.fence, &cause(attempt), row, file.as_ref())
            .await?;
        Ok(())
    }
}
