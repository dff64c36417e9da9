//! What the job that removes a deleted source writes: page by page, its file and its row, and the
//! source itself last.

use domain::event::EventKind;
use domain::file::File;
use domain::source::WebSource;
use kernel::digest::sha256_hex;
use serde_json::json;
use work::Fence;

use super::{PageRow, Sources};
use crate::{Cause, Commit, Error, keys};

impl Sources<'_> {
    /// Forgets a page of a source on its way out, and deletes its file.
    ///
    /// # Errors
    /// [`Error::Commit`], as `FenceLost` if the attempt no longer holds its job, as `Changed` if
    /// page or file were changed meanwhile. [`Error::Read`].
    pub async fn forget_page(
        &self,
        fence: Fence,
        cause: &Cause,
        row: &PageRow,
        file: Option<&File>,
    ) -> Result<(), Error> {
        let mut commit = Commit::new(self.tenant)
            .fenced_by(fence)
            .delete(row, row.version);
        if let Some(file) = file {
            let files = self.store.files(self.tenant);
            commit = files.deleting(commit, cause, file).await?;
        }
        Ok(self.store.commit(commit).await?)
    }

    /// Forgets a source of which no page is left.
    ///
    /// # Errors
    /// As [`forget_page`](Self::forget_page).
    pub async fn forget(
        &self,
        fence: Fence,
        cause: &Cause,
        source: &WebSource,
    ) -> Result<(), Error> {
        let (org, base) = (source.org, source.knowledge_base);
        let digest = sha256_hex(source.url.as_bytes());
        let data = json!({ "knowledge_base": base, "url": source.url });
        let event = self.store.event(
            self.tenant,
            cause,
            EventKind::SourceRemoved,
            source.id,
            data,
        );
        let commit = Commit::new(self.tenant)
            .fenced_by(fence)
            .delete(source, source.version)
            .discard(keys::web_source_url(org, base, &digest))
            .discard(keys::web_crawl(org, base, source.id))
            .event(event);
        Ok(self.store.commit(commit).await?)
    }
}
