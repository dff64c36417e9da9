//! Sources: what a knowledge base is filled from, out of the web.
//!
//! | module | holds |
//! |---|---|
//! | here | the rows; what people do to a source |
//! | [`crawls`] | what the job that crawls a source writes |
//! | [`removal`] | what the job that removes a deleted source writes |
//!
//! A source's row says which job crawls it: a job that is no longer named there has nothing to do.
//! Whatever a crawl writes is refused once the row was changed, so that nothing of a source is added
//! after it was paused or deleted.

pub mod crawls;
pub mod removal;

use domain::event::EventKind;
use domain::source::{Crawl, WebPage, WebPageStatus, WebSource, WebSourceKind, WebSourceStatus};
use kernel::cursor::{Page, PageRequest};
use kernel::digest::sha256_hex;
use kernel::{FileId, JobId, KnowledgeBaseId, OrgId, SourceId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::json;
use work::{Lane, NewJob};

use crate::files::MAX_FILE_ATTEMPTS;
use crate::keys::{self, Key};
use crate::read::{Order, Verdict};
use crate::record::Record;
use crate::{Cause, Commit, Error, ReadError, Store, Tenant, changes as changes_between};

/// The kind of the job that crawls a source.
pub const CRAWL_JOB: &str = "source.crawl";
/// The kind of the job that removes what a deleted source has brought.
pub const REMOVE_JOB: &str = "source.remove";
/// How often a change that meets others is tried.
const TRIES: u32 = 5;

/// What the jobs of a source hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourcePayload {
    pub knowledge_base: KnowledgeBaseId,
    pub source: SourceId,
}

/// A source that is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSource {
    pub kind: WebSourceKind,
    /// In normal form.
    pub url: String,
    pub interval_hours: Option<u32>,
    pub max_pages: u32,
}

/// What is to be different; what is absent stays as it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SourceChanges {
    pub paused: Option<bool>,
    pub interval_hours: Option<Option<u32>>,
    pub max_pages: Option<u32>,
}

impl Record for WebSource {
    const NOUN: &'static str = "source";

    fn key(&self) -> Key {
        keys::web_source(self.org, self.knowledge_base, self.id)
    }

    fn version(&self) -> u64 {
        self.version
    }
}

/// A sitemap that a crawl reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownSitemap {
    pub url: String,
    /// 0 for the source itself, one more than the index that names it.
    pub depth: u32,
}

/// The latest crawl of a source, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CrawlRow {
    pub org: OrgId,
    pub knowledge_base: KnowledgeBaseId,
    pub source: SourceId,
    pub crawl: Crawl,
    /// The sitemaps that it has come to know of, in order.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub sitemaps: Vec<KnownSitemap>,
    /// How many of them it has read.
    #[serde(default)]
    pub sitemaps_read: u32,
    /// The page after which it goes on.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cursor: Option<String>,
    pub version: u64,
}

impl Record for CrawlRow {
    const NOUN: &'static str = "crawl";

    fn key(&self) -> Key {
        keys::web_crawl(self.org, self.knowledge_base, self.source)
    }

    fn version(&self) -> u64 {
        self.version
    }
}

/// A page, and what the next crawl has to know of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageRow {
    pub org: OrgId,
    pub knowledge_base: KnowledgeBaseId,
    pub source: SourceId,
    /// Of its address, in hexadecimal.
    pub digest: String,
    pub page: WebPage,
    /// The id that its file has, or will have: what is stored before a row names it is found by it.
    pub file: FileId,
    /// What the server called what it said, to be asked whether that still holds.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub etag: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub last_modified: Option<String>,
    /// Of what it said, in base64.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sha256: Option<String>,
    /// The number of the crawl that found it last.
    pub listed_in: u32,
    pub version: u64,
}

impl Record for PageRow {
    const NOUN: &'static str = "page of a source";

    fn key(&self) -> Key {
        keys::web_page(self.org, self.knowledge_base, self.source, &self.digest)
    }

    fn version(&self) -> u64 {
        self.version
    }
}

impl PageRow {
    /// A page that the crawl of this number has found.
    #[must_use]
    pub fn found(source: &WebSource, url: String, crawl: u32, now: Timestamp) -> Self {
        Self {
            org: source.org,
            knowledge_base: source.knowledge_base,
            source: source.id,
            digest: sha256_hex(url.as_bytes()),
            page: WebPage {
                url,
                status: WebPageStatus::Waiting,
                reason: None,
                file: None,
                absences: 0,
                fetched_at: None,
                changed_at: None,
                created_at: now,
            },
            file: FileId::generate(now),
            etag: None,
            last_modified: None,
            sha256: None,
            listed_in: crawl,
            version: 1,
        }
    }
}

/// The sources of one org.
#[derive(Debug, Clone, Copy)]
pub struct Sources<'a> {
    store: &'a Store,
    tenant: Tenant,
}

impl Store {
    /// The sources of an org.
    #[must_use]
    pub fn sources(&self, tenant: Tenant) -> Sources<'_> {
        Sources {
            store: self,
            tenant,
        }
    }
}

impl Sources<'_> {
    /// The source with this id.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn get(
        &self,
        base: KnowledgeBaseId,
        id: SourceId,
    ) -> Result<Option<WebSource>, ReadError> {
        let key = keys::web_source(self.tenant.org(), base, id);
        self.store.get(&key).await
    }

    /// The sources of a knowledge base, newest first.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn of(
        &self,
        base: KnowledgeBaseId,
        page: &PageRequest,
    ) -> Result<Page<WebSource>, ReadError> {
        let list = keys::web_sources(self.tenant.org(), base);
        self.store.page(&list, page, Order::Descending).await
    }

    /// The latest crawl of a source, if one has begun.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn crawl(&self, source: &WebSource) -> Result<Option<CrawlRow>, ReadError> {
        let key = keys::web_crawl(source.org, source.knowledge_base, source.id);
        self.store.get(&key).await
    }

    /// The pages of a source, in no order that means anything. With a status, a page of the list may
    /// come short with more behind it.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn pages(
        &self,
        source: &WebSource,
        status: Option<WebPageStatus>,
        page: &PageRequest,
    ) -> Result<Page<PageRow>, ReadError> {
        let list = keys::web_pages(source.org, source.knowledge_base, source.id);
        let wanted =
            |row: &PageRow| Verdict::take_if(status.is_none_or(|status| row.page.status == status));
        self.store
            .page_where(&list, page, Order::Ascending, wanted)
            .await
    }

    /// Makes a source of an address, and has it crawled. `None` if there is no such knowledge base.
    ///
    /// # Errors
    /// [`Error::Commit`], as `Exists` if the address is a source of it already, as `Changed` if the
    /// knowledge base was changed again and again meanwhile.
    pub async fn create(
        &self,
        cause: &Cause,
        base: KnowledgeBaseId,
        new: &NewSource,
    ) -> Result<Option<WebSource>, Error> {
        let knowledge = self.store.knowledge(self.tenant);
        let mut tries = 0;
        loop {
            let Some(base) = knowledge.base(base).await? else {
                return Ok(None);
            };
            let source = self.new_source(cause, base.id, new);
            let data = json!({ "knowledge_base": base.id, "url": source.url });
            let event = self.store.event(
                self.tenant,
                cause,
                EventKind::SourceCreated,
                source.id,
                data,
            );
            let digest = sha256_hex(source.url.as_bytes());
            let commit = Commit::new(self.tenant)
                .create(&source)
                .claim(
                    keys::web_source_url(self.tenant.org(), base.id, &digest),
                    WebSource::NOUN,
                )
                .unless_changed(&base, base.version)
                .event(event);
            let commit = self.with_crawl(commit, cause, &source);
            match self.store.commit(commit).await.map_err(Error::from) {
                Err(error) if error.is_changed() && tries < TRIES => tries += 1,
                result => return result.map(|()| Some(source)),
            }
        }
    }

    fn new_source(&self, cause: &Cause, base: KnowledgeBaseId, new: &NewSource) -> WebSource {
        let now = self.store.now();
        WebSource {
            id: SourceId::generate(now),
            org: self.tenant.org(),
            knowledge_base: base,
            kind: new.kind,
            url: new.url.clone(),
            status: WebSourceStatus::Crawling,
            interval_hours: new.interval_hours,
            max_pages: new.max_pages,
            job: Some(JobId::generate(now)),
            next_crawl_at: None,
            created_by: cause.actor,
            created_at: now,
            updated_at: now,
            version: 1,
        }
    }

    /// Changes how a source is crawled, pauses or resumes it. A crawl that was interrupted by a pause
    /// goes on; after one that had ended the next comes when it would have.
    ///
    /// # Errors
    /// [`Error::Commit`], as `Changed` if it is no longer at `current`'s version. [`Error::Read`].
    pub async fn update(
        &self,
        cause: &Cause,
        current: &WebSource,
        changes: SourceChanges,
    ) -> Result<WebSource, Error> {
        let mut source = self.next(current);
        source.max_pages = changes.max_pages.unwrap_or(source.max_pages);
        source.interval_hours = changes.interval_hours.unwrap_or(source.interval_hours);
        let is_rescheduled = source.interval_hours != current.interval_hours;
        let is_paused = current.status == WebSourceStatus::Paused;
        match changes.paused {
            Some(true) => {
                source.status = WebSourceStatus::Paused;
                source.job = None;
                source.next_crawl_at = None;
            }
            Some(false) if is_paused => self.schedule(&mut source).await?,
            _ if is_rescheduled && current.status == WebSourceStatus::Waiting => {
                self.schedule(&mut source).await?;
            }
            _ => {}
        }
        let data = changes_between(current, &source);
        let event = self.store.event(
            self.tenant,
            cause,
            EventKind::SourceUpdated,
            source.id,
            data,
        );
        let mut commit = Commit::new(self.tenant)
            .replace(&source, current.version)
            .event(event);
        if source.job != current.job {
            commit = self.with_crawl(commit, cause, &source);
        }
        self.store.commit(commit).await?;
        Ok(source)
    }

    /// Gives a source the job that its latest crawl, its interval and the present ask for.
    async fn schedule(&self, source: &mut WebSource) -> Result<(), ReadError> {
        let now = self.store.now();
        let latest = self.crawl(source).await?;
        let ended = latest.and_then(|row| {
            let has_failed = row.crawl.failure.is_some();
            row.crawl.ended_at.map(|at| (at, has_failed))
        });
        let Some((at, has_failed)) = ended else {
            source.status = WebSourceStatus::Crawling;
            source.job = Some(JobId::generate(now));
            source.next_crawl_at = None;
            return Ok(());
        };
        source.status = WebSourceStatus::Waiting;
        source.next_crawl_at = source.next_after(at, has_failed).map(|next| next.max(now));
        source.job = source.next_crawl_at.map(|_| JobId::generate(now));
        Ok(())
    }

    /// Has a source that waits crawled now.
    ///
    /// # Errors
    /// [`Error::Commit`], as `Changed` if it is no longer at `current`'s version.
    pub async fn refresh(&self, cause: &Cause, current: &WebSource) -> Result<WebSource, Error> {
        let source = WebSource {
            status: WebSourceStatus::Crawling,
            job: Some(JobId::generate(self.store.now())),
            next_crawl_at: None,
            ..self.next(current)
        };
        let kind = EventKind::SourceRefreshRequested;
        let data = json!({ "url": source.url });
        let event = self.store.event(self.tenant, cause, kind, source.id, data);
        let commit = Commit::new(self.tenant)
            .replace(&source, current.version)
            .event(event);
        self.store
            .commit(self.with_crawl(commit, cause, &source))
            .await?;
        Ok(source)
    }

    /// Deletes a source. Nothing of it is added from now on; a job removes its documents, and then
    /// the source itself.
    ///
    /// # Errors
    /// [`Error::Commit`], as `Changed` if it is no longer at `current`'s version.
    pub async fn delete(&self, cause: &Cause, current: &WebSource) -> Result<(), Error> {
        let source = WebSource {
            status: WebSourceStatus::Deleting,
            job: Some(JobId::generate(self.store.now())),
            next_crawl_at: None,
            ..self.next(current)
        };
        let data = json!({ "knowledge_base": source.knowledge_base, "url": source.url });
        let event = self.store.event(
            self.tenant,
            cause,
            EventKind::SourceDeleted,
            source.id,
            data,
        );
        let job = self.job(REMOVE_JOB, cause, &source);
        let commit = Commit::new(self.tenant)
            .replace(&source, current.version)
            .event(event)
            .job(job);
        Ok(self.store.commit(commit).await?)
    }

    fn next(&self, current: &WebSource) -> WebSource {
        WebSource {
            version: current.version + 1,
            updated_at: self.store.now(),
            ..current.clone()
        }
    }

    /// The same change, with the job that the source names, due when it says.
    fn with_crawl(&self, commit: Commit, cause: &Cause, source: &WebSource) -> Commit {
        if source.job.is_none() {
            return commit;
        }
        let job = self.job(CRAWL_JOB, cause, source);
        commit.job(match source.next_crawl_at {
            Some(at) => job.due_at(at),
            None => job,
        })
    }

    fn job(&self, kind: &str, cause: &Cause, source: &WebSource) -> NewJob {
        let payload = json!({ "knowledge_base": source.knowledge_base, "source": source.id });
        let job = NewJob::new(self.tenant.org(), kind, Lane::Web, payload)
            .max_attempts(MAX_FILE_ATTEMPTS)
            .correlation_id(&cause.correlation_id);
        match source.job {
            Some(id) => job.id(id),
            None => job,
        }
    }
}
