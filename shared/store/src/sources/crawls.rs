//! What the job that crawls a source writes: that a crawl begins, which pages there are, what became
//! of each, that it ends. Every change stands under the job's fence and under the version of the
//! source that the job has read.

use domain::event::EventKind;
use domain::execution::Failure;
use domain::file::File;
use domain::knowledge::KnowledgeBase;
use domain::source::{Crawl, Finding, WebPage, WebSource, WebSourceStatus};
use kernel::cursor::{Cursor, PageRequest};
use kernel::{FileId, JobId};
use serde_json::json;
use work::Fence;

use super::{CrawlRow, PageRow, Sources};
use crate::files::received::{Origin, Received};
use crate::read::Order;
use crate::{Cause, Commit, Error, ReadError, keys};

/// How many pages one transaction tells of, when they are listed.
pub const LISTED_AT_ONCE: usize = 80;

/// What becomes of the file of a page.
#[derive(Debug, Clone)]
pub enum FileChange {
    /// Nothing.
    None,
    /// It gets one.
    Created {
        received: Received,
        origin: Origin,
        base: Box<KnowledgeBase>,
        /// The file that it had, which has had as many contents as a file may.
        instead_of: Option<Box<File>>,
    },
    /// It gets another content.
    Changed { current: File, received: Received },
    /// It is deleted.
    Removed { current: File },
}

/// What a crawl found of a page, and what becomes of it.
#[derive(Debug, Clone)]
pub struct Settled {
    pub finding: Finding,
    pub page: WebPage,
    pub etag: Option<String>,
    pub last_modified: Option<String>,
    pub sha256: Option<String>,
    pub file: FileChange,
}

impl Sources<'_> {
    /// Begins a crawl: the first, or the next after one that has ended.
    ///
    /// # Errors
    /// [`Error::Commit`], as `FenceLost` if the attempt no longer holds its job, as `Changed` if
    /// the source is no longer at `current`'s version.
    pub async fn begin(
        &self,
        fence: Fence,
        current: &WebSource,
        before: Option<&CrawlRow>,
    ) -> Result<(WebSource, CrawlRow), Error> {
        let row = CrawlRow {
            org: current.org,
            knowledge_base: current.knowledge_base,
            source: current.id,
            crawl: Crawl::begun(
                before.map_or(1, |before| before.crawl.number + 1),
                self.store.now(),
            ),
            sitemaps: Vec::new(),
            sitemaps_read: 0,
            cursor: None,
            version: before.map_or(1, |before| before.version + 1),
        };
        let commit = Commit::new(self.tenant).fenced_by(fence);
        let commit = match before {
            Some(before) => commit.replace(&row, before.version),
            None => commit.create(&row),
        };
        if current.status == WebSourceStatus::Crawling {
            let commit = commit.unless_changed(current, current.version);
            self.store.commit(commit).await?;
            return Ok((current.clone(), row));
        }
        let source = WebSource {
            status: WebSourceStatus::Crawling,
            next_crawl_at: None,
            ..self.next(current)
        };
        let commit = commit.replace(&source, current.version);
        self.store.commit(commit).await?;
        Ok((source, row))
    }

    /// Every page of a source that is known, at most `most`.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn known_pages(
        &self,
        source: &WebSource,
        most: usize,
    ) -> Result<Vec<PageRow>, ReadError> {
        let list = keys::web_pages(source.org, source.knowledge_base, source.id);
        self.store.all(&list, most).await
    }

    /// Notes that a crawl has found these pages, at most [`LISTED_AT_ONCE`]: those that are new, and
    /// those that were known.
    ///
    /// # Errors
    /// As [`begin`](Self::begin); as `Exists` or `Changed` if another attempt has noted one.
    pub async fn list_pages(
        &self,
        fence: Fence,
        source: &WebSource,
        number: u32,
        new: &[PageRow],
        known: &[PageRow],
    ) -> Result<(), Error> {
        let mut commit = self.held(fence, source);
        for row in new {
            commit = commit.create(row);
        }
        for row in known {
            let listed = PageRow {
                listed_in: number,
                version: row.version + 1,
                ..row.clone()
            };
            commit = commit.replace(&listed, row.version);
        }
        Ok(self.store.commit(commit).await?)
    }

    /// Notes how far a crawl has come.
    ///
    /// # Errors
    /// As [`begin`](Self::begin).
    pub async fn go_on(
        &self,
        fence: Fence,
        source: &WebSource,
        current: &CrawlRow,
        next: CrawlRow,
    ) -> Result<CrawlRow, Error> {
        let row = CrawlRow {
            version: current.version + 1,
            ..next
        };
        let commit = self.held(fence, source).replace(&row, current.version);
        self.store.commit(commit).await?;
        Ok(row)
    }

    /// The pages of a source after the place where a crawl stands, in the order in which it reads them.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn pages_ahead(
        &self,
        source: &WebSource,
        crawl: &CrawlRow,
        limit: u32,
    ) -> Result<Vec<PageRow>, ReadError> {
        let list = keys::web_pages(source.org, source.knowledge_base, source.id);
        let page = PageRequest {
            limit,
            after: crawl.cursor.clone().map(Cursor::after),
        };
        let rows = self.store.page(&list, &page, Order::Ascending).await?;
        Ok(rows.items)
    }

    /// Forgets a page that is in no crawl any more, and passes over it.
    ///
    /// # Errors
    /// As [`begin`](Self::begin).
    pub async fn drop_page(
        &self,
        fence: Fence,
        source: &WebSource,
        current: &CrawlRow,
        page: &PageRow,
    ) -> Result<CrawlRow, Error> {
        let row = CrawlRow {
            cursor: Some(page.digest.clone()),
            ..after(current, current.crawl.clone())
        };
        let commit = self.held(fence, source).replace(&row, current.version);
        self.store.commit(commit.delete(page, page.version)).await?;
        Ok(row)
    }

    /// Tells what became of a page: page, crawl, file, document, events and jobs in one transaction.
    ///
    /// # Errors
    /// As [`begin`](Self::begin); as `Changed` also if the knowledge base or the file were changed
    /// meanwhile. [`Error::Read`].
    pub async fn settle(
        &self,
        fence: Fence,
        cause: &Cause,
        source: &WebSource,
        current: &CrawlRow,
        before: &PageRow,
        settled: Settled,
    ) -> Result<CrawlRow, Error> {
        let is_removed = matches!(settled.file, FileChange::Removed { .. });
        let crawl = current.crawl.counting(settled.finding, is_removed);
        let row = CrawlRow {
            cursor: Some(before.digest.clone()),
            ..after(current, crawl)
        };
        let mut page = PageRow {
            page: settled.page,
            etag: settled.etag,
            last_modified: settled.last_modified,
            sha256: settled.sha256,
            version: before.version + 1,
            ..before.clone()
        };
        let files = self.store.files(self.tenant);
        let mut commit = self.held(fence, source).replace(&row, current.version);
        match settled.file {
            FileChange::None => {}
            FileChange::Created {
                received,
                origin,
                base,
                instead_of,
            } => {
                page.file = received.content.file;
                page.page.file = Some(page.file);
                (commit, _) = files.receiving(commit, cause, &received, &origin, &base);
                if let Some(file) = instead_of {
                    commit = files.deleting(commit, cause, &file).await?;
                }
            }
            FileChange::Changed { current, received } => {
                commit = files.receiving_version(commit, cause, &current, &received);
            }
            FileChange::Removed { current } => {
                page.file = FileId::generate(self.store.now());
                page.page.file = None;
                commit = files.deleting(commit, cause, &current).await?;
            }
        }
        let commit = commit.replace(&page, before.version);
        self.store.commit(commit).await?;
        Ok(row)
    }

    /// Ends a crawl, and has the next one begin when it is due.
    ///
    /// # Errors
    /// As [`begin`](Self::begin).
    pub async fn end(
        &self,
        fence: Fence,
        cause: &Cause,
        source: &WebSource,
        current: &CrawlRow,
        failure: Option<Failure>,
    ) -> Result<(), Error> {
        let now = self.store.now();
        let next_crawl_at = source.next_after(now, failure.is_some());
        let waiting = WebSource {
            status: WebSourceStatus::Waiting,
            next_crawl_at,
            job: next_crawl_at.map(|_| JobId::generate(now)),
            ..self.next(source)
        };
        let row = after(current, current.crawl.ended(failure, now));
        let kind = if row.crawl.failure.is_some() {
            EventKind::SourceCrawlFailed
        } else {
            EventKind::SourceCrawled
        };
        let data = json!({
            "knowledge_base": source.knowledge_base, "url": source.url, "crawl": row.crawl,
        });
        let event = self.store.event(self.tenant, cause, kind, source.id, data);
        let commit = Commit::new(self.tenant)
            .fenced_by(fence)
            .replace(&waiting, source.version)
            .replace(&row, current.version)
            .event(event);
        let commit = self.with_crawl(commit, cause, &waiting);
        Ok(self.store.commit(commit).await?)
    }

    /// A change that is refused unless the attempt holds its job and the source is as it was read.
    fn held(&self, fence: Fence, source: &WebSource) -> Commit {
        Commit::new(self.tenant)
            .fenced_by(fence)
            .unless_changed(source, source.version)
    }
}

fn after(current: &CrawlRow, crawl: Crawl) -> CrawlRow {
    CrawlRow {
        crawl,
        version: current.version + 1,
        ..current.clone()
    }
}
