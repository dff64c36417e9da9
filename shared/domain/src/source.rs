//! Sources: places on the web that a knowledge base is filled from, a page or all pages of a
//! sitemap, and what became of each page.

use std::time::Duration;

use kernel::{FileId, JobId, KnowledgeBaseId, OrgId, SourceId, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::event::Actor;
use crate::execution::Failure;

/// The longest address of a source or a page, in bytes.
pub const MAX_URL_BYTES: usize = 2_048;
/// The most sources of one knowledge base.
pub const MAX_SOURCES: usize = 100;
/// The most pages that a source may be allowed.
pub const MAX_PAGES: u32 = 10_000;
/// How many pages a source may have, unless it says so itself.
pub const DEFAULT_MAX_PAGES: u32 = 1_000;
/// The longest time between two crawls, in hours.
pub const MAX_INTERVAL_HOURS: u32 = 24 * 365;
/// After so many crawls in a row that did not find a page its document is removed.
pub const ABSENCES_UNTIL_REMOVED: u32 = 2;
/// A crawl that failed is made again after this long, if its source would wait longer.
const RETRY_AFTER: Duration = Duration::from_secs(60 * 60);

/// A place on the web that a knowledge base is filled from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WebSource {
    pub id: SourceId,
    pub org: OrgId,
    pub knowledge_base: KnowledgeBaseId,
    pub kind: WebSourceKind,
    /// Its address in normal form, without a fragment.
    #[schema(example = "https://docs.example.com/sitemap.xml")]
    pub url: String,
    pub status: WebSourceStatus,
    /// How many hours after a crawl the next one begins; absent if only when asked for.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(minimum = 1, maximum = 8_760)]
    pub interval_hours: Option<u32>,
    /// The most pages that are read of it.
    #[schema(minimum = 1, maximum = 10_000)]
    pub max_pages: u32,
    /// The job that crawls it now, or will at `next_crawl_at`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub job: Option<JobId>,
    /// When the next crawl begins, while it waits for one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub next_crawl_at: Option<Timestamp>,
    pub created_by: Actor,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// Rises by one with every change; the ETag of the source.
    pub version: u64,
}

impl WebSource {
    /// When the crawl after one that ends at `now` begins.
    #[must_use]
    pub fn next_after(&self, now: Timestamp, has_failed: bool) -> Option<Timestamp> {
        let interval = Duration::from_secs(u64::from(self.interval_hours?) * 60 * 60);
        let wait = if has_failed {
            interval.min(RETRY_AFTER)
        } else {
            interval
        };
        Some(now.plus(wait))
    }
}

/// What the address of a source leads to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WebSourceKind {
    /// A page.
    #[default]
    Page,
    /// A sitemap, or an index of sitemaps, whose pages on the same host are read.
    Sitemap,
}

/// Where a source stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WebSourceStatus {
    /// A crawl is under way, or about to begin.
    Crawling,
    /// It waits for its next crawl, or to be asked for one.
    Waiting,
    /// It is not crawled until it is resumed. Its documents stay.
    Paused,
    /// It is on its way out: its documents are being removed.
    Deleting,
}

impl WebSourceStatus {
    /// Every status.
    pub const ALL: [Self; 4] = [Self::Crawling, Self::Waiting, Self::Paused, Self::Deleting];

    /// Whether a source may go from this status to `next`.
    #[must_use]
    pub const fn may_become(self, next: Self) -> bool {
        use WebSourceStatus::{Crawling, Deleting, Paused, Waiting};
        match self {
            Crawling => matches!(next, Waiting | Paused | Deleting),
            Waiting => matches!(next, Crawling | Paused | Deleting),
            Paused => matches!(next, Crawling | Waiting | Deleting),
            Deleting => false,
        }
    }
}

/// One reading of all pages of a source, and what came of it so far.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Crawl {
    /// 1 for the first crawl of a source, one more for each since.
    #[schema(minimum = 1)]
    pub number: u32,
    pub stage: CrawlStage,
    /// The pages that it found.
    pub listed: u32,
    /// Addresses of a sitemap that are passed over: of another host, not usable, or above the limits.
    pub ignored: u32,
    /// Pages that were read for the first time.
    pub added: u32,
    /// Pages that say something else than before.
    pub changed: u32,
    /// Pages that say what they said before.
    pub unchanged: u32,
    /// Pages that could not be read this time; what they said before stays.
    pub failed: u32,
    /// Pages that may not be read.
    pub refused: u32,
    /// Pages that were not there.
    pub missing: u32,
    /// Of those that were not there or may not be read: whose documents were removed.
    pub removed: u32,
    /// Why it was given up.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub failure: Option<Failure>,
    pub started_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ended_at: Option<Timestamp>,
}

/// How far a crawl is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CrawlStage {
    /// It finds out which pages there are.
    Listing,
    /// It reads them.
    Reading,
    /// It has ended.
    Ended,
}

/// What a crawl found of one page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Finding {
    Added,
    Changed,
    Unchanged,
    Failed,
    Refused,
    Missing,
}

impl Crawl {
    /// A crawl that begins.
    #[must_use]
    pub const fn begun(number: u32, now: Timestamp) -> Self {
        Self {
            number,
            stage: CrawlStage::Listing,
            listed: 0,
            ignored: 0,
            added: 0,
            changed: 0,
            unchanged: 0,
            failed: 0,
            refused: 0,
            missing: 0,
            removed: 0,
            failure: None,
            started_at: now,
            ended_at: None,
        }
    }

    /// The crawl with one page more.
    #[must_use]
    pub fn counting(&self, finding: Finding, is_removed: bool) -> Self {
        let mut crawl = self.clone();
        let counter = match finding {
            Finding::Added => &mut crawl.added,
            Finding::Changed => &mut crawl.changed,
            Finding::Unchanged => &mut crawl.unchanged,
            Finding::Failed => &mut crawl.failed,
            Finding::Refused => &mut crawl.refused,
            Finding::Missing => &mut crawl.missing,
        };
        *counter += 1;
        crawl.removed += u32::from(is_removed);
        crawl
    }

    /// The crawl at its end.
    #[must_use]
    pub fn ended(&self, failure: Option<Failure>, now: Timestamp) -> Self {
        Self {
            stage: CrawlStage::Ended,
            failure,
            ended_at: Some(now),
            ..self.clone()
        }
    }
}

/// A page of a source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WebPage {
    /// Its address in normal form, without a fragment.
    #[schema(example = "https://docs.example.com/guide/setup")]
    pub url: String,
    pub status: WebPageStatus,
    /// Why it stands so, where that is not plain.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<Failure>,
    /// The file that holds what it said when it was last read.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub file: Option<FileId>,
    /// In how many crawls in a row it was not there or could not be read for good. At two its
    /// document is removed; at once where the site says that it is gone for ever.
    pub absences: u32,
    /// When it was last asked for.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub fetched_at: Option<Timestamp>,
    /// When what it says last changed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub changed_at: Option<Timestamp>,
    pub created_at: Timestamp,
}

/// Where a page stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WebPageStatus {
    /// It was found and not read yet.
    Waiting,
    /// What it says is in its document.
    Read,
    /// It could not be read this time. Its document, if it has one, holds what it said before.
    Failed,
    /// It may not be read: `robots.txt` or the rules of the platform forbid it.
    Refused,
    /// It was not there this time.
    Missing,
    /// It was away too often; its document is removed.
    Removed,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_767_225_600_000);

    fn source(interval_hours: Option<u32>) -> WebSource {
        WebSource {
            id: SourceId::from_u128(1),
            org: OrgId::from_u128(2),
            knowledge_base: KnowledgeBaseId::from_u128(3),
            kind: WebSourceKind::Page,
            url: "https://example.com/".to_owned(),
            status: WebSourceStatus::Crawling,
            interval_hours,
            max_pages: 1,
            job: None,
            next_crawl_at: None,
            created_by: Actor::System,
            created_at: NOW,
            updated_at: NOW,
            version: 1,
        }
    }

    #[test]
    fn a_failed_crawl_is_made_again_within_an_hour_if_the_source_is_crawled_by_itself() {
        let hours = |hours: u64| Some(NOW.plus(Duration::from_secs(hours * 60 * 60)));
        assert_eq!(source(Some(24)).next_after(NOW, false), hours(24));
        assert_eq!(source(Some(24)).next_after(NOW, true), hours(1));
        assert_eq!(source(Some(1)).next_after(NOW, true), hours(1));
        assert_eq!(source(None).next_after(NOW, true), None);
    }

    proptest! {
        #[test]
        fn no_way_leads_out_of_a_deletion_and_every_other_status_can_be_left_for_it(
            steps in proptest::collection::vec(0..WebSourceStatus::ALL.len(), 0..20)
        ) {
            let mut status = WebSourceStatus::Crawling;
            let mut deleted = false;
            for step in steps {
                let next = WebSourceStatus::ALL[step];
                prop_assert!(!status.may_become(status));
                if status.may_become(next) {
                    prop_assert!(!deleted);
                    status = next;
                }
                deleted = status == WebSourceStatus::Deleting;
                prop_assert!(deleted || status.may_become(WebSourceStatus::Deleting));
            }
        }

        #[test]
        fn every_page_is_counted_once(findings in proptest::collection::vec(0..6usize, 0..50)) {
            let all = [
                Finding::Added, Finding::Changed, Finding::Unchanged,
                Finding::Failed, Finding::Refused, Finding::Missing,
            ];
            let mut crawl = Crawl::begun(1, NOW);
            for finding in &findings {
                crawl = crawl.counting(all[*finding], false);
            }
            let sum = crawl.added + crawl.changed + crawl.unchanged + crawl.failed
                + crawl.refused + crawl.missing;
            prop_assert_eq!(sum as usize, findings.len());
        }
    }
}
