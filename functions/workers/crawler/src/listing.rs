//! Which pages a source has.
//!
//! Each sitemap is a step of its own: its pages are noted, and then that it was read. Whoever takes
//! over notes what is not noted yet.

use std::collections::HashMap;
use std::time::Duration;

use domain::execution::Failure;
use domain::source::{Crawl, CrawlStage, MAX_URL_BYTES, WebSourceKind};
use kernel::digest::sha256_hex;
use store::sources::crawls::LISTED_AT_ONCE;
use store::sources::{CrawlRow, KnownSitemap, PageRow};
use url::Url;

use crate::crawl::Crawling;
use crate::sitemap::{self, Sitemap};
use crate::trouble::Trouble;
use crate::visit::{Answer, Ask, Unanswered, site};

/// The most sitemaps of one crawl.
const MOST_SITEMAPS: usize = 100;
/// How deep indexes may name indexes.
const MOST_DEPTH: u32 = 3;
/// How many pages are held to be compared with what is found.
const MOST_KNOWN: usize = 200_000;
/// A turn at the host is waited for, however long a site wants between two.
const PATIENCE: Duration = Duration::from_secs(35);
const ACCEPT: &str = "application/xml, text/xml, application/gzip, text/plain;q=0.5, */*;q=0.1";

/// The pages that are known, by the digest of their address.
type Known = HashMap<String, PageRow>;

/// What a sitemap has come to.
enum Read {
    Listing(Sitemap),
    /// It is not there, or may not be read.
    Nothing(Failure),
}

impl Crawling<'_> {
    /// Finds out which pages there are. The inner error is why that cannot be.
    pub(crate) async fn list(&mut self) -> Result<Result<(), Failure>, Trouble> {
        let sources = self.visitor.store.sources(self.visitor.tenant);
        let known = sources.known_pages(&self.source, MOST_KNOWN).await?;
        let mut known: Known = known
            .into_iter()
            .map(|row| (row.digest.clone(), row))
            .collect();
        if self.source.kind == WebSourceKind::Page {
            let only = vec![self.source.url.clone()];
            let listed = self.note_pages(&mut known, only).await?;
            let crawl = Crawl {
                stage: CrawlStage::Reading,
                listed,
                ..self.row.crawl.clone()
            };
            let row = CrawlRow {
                crawl,
                ..self.row.clone()
            };
            self.advance(row).await?;
            return Ok(Ok(()));
        }
        while self.row.crawl.stage == CrawlStage::Listing {
            self.check_time()?;
            if let Err(failure) = self.list_next(&mut known).await? {
                return Ok(Err(failure));
            }
        }
        Ok(Ok(()))
    }

    /// Reads the next sitemap, if there is one and there is room for its pages.
    async fn list_next(&mut self, known: &mut Known) -> Result<Result<(), Failure>, Trouble> {
        let mut row = self.row.clone();
        if row.sitemaps.is_empty() {
            row.sitemaps.push(KnownSitemap {
                url: self.source.url.clone(),
                depth: 0,
            });
        }
        let next = row.sitemaps.get(row.sitemaps_read as usize).cloned();
        let Some(next) = next.filter(|_| row.crawl.listed < self.source.max_pages) else {
            row.crawl.stage = CrawlStage::Reading;
            self.advance(row).await?;
            return Ok(Ok(()));
        };
        match self.read_sitemap(&next.url).await? {
            Err(failure) => return Ok(Err(naming(&next, failure))),
            Ok(Read::Nothing(failure)) if next.depth == 0 => return Ok(Err(failure)),
            Ok(Read::Nothing(_)) => row.crawl.ignored += 1,
            Ok(Read::Listing(map)) => self.take(known, &mut row, &next, map).await?,
        }
        row.sitemaps_read += 1;
        self.advance(row).await?;
        Ok(Ok(()))
    }

    /// Notes the pages of a sitemap, and the sitemaps that it names.
    async fn take(
        &self,
        known: &mut Known,
        row: &mut CrawlRow,
        from: &KnownSitemap,
        map: Sitemap,
    ) -> Result<(), Trouble> {
        row.crawl.ignored = row.crawl.ignored.saturating_add(map.beyond);
        for url in map.sitemaps {
            let url = self.own(&url);
            let is_new = |url: &String| !row.sitemaps.iter().any(|known| known.url == *url);
            let has_room = row.sitemaps.len() < MOST_SITEMAPS && from.depth < MOST_DEPTH;
            match url.filter(is_new) {
                Some(url) if has_room => row.sitemaps.push(KnownSitemap {
                    url,
                    depth: from.depth + 1,
                }),
                _ => row.crawl.ignored += 1,
            }
        }
        let room = (self.source.max_pages - row.crawl.listed.min(self.source.max_pages)) as usize;
        let number = row.crawl.number;
        let mut pages: HashMap<String, String> = HashMap::new();
        for url in map.pages {
            let Some(url) = self.own(&url) else {
                row.crawl.ignored += 1;
                continue;
            };
            let digest = sha256_hex(url.as_bytes());
            // Named twice, by this sitemap or by one before.
            let is_listed = known
                .get(&digest)
                .is_some_and(|row| row.listed_in == number);
            if pages.len() < room || is_listed {
                pages.insert(digest, url);
            } else if !pages.contains_key(&digest) {
                row.crawl.ignored += 1;
            }
        }
        // In an order of its own, so that an attempt that takes over takes the same.
        let mut pages: Vec<String> = pages.into_values().collect();
        pages.sort_unstable();
        self.note_pages(known, pages).await?;
        let listed = known.values().filter(|row| row.listed_in == number).count();
        row.crawl.listed = u32::try_from(listed).unwrap_or(u32::MAX);
        Ok(())
    }

    /// An address of this source's own site in normal form; `None` of any other.
    fn own(&self, text: &str) -> Option<String> {
        let target = self.visitor.web.outbound.policy().check_url(text).ok()?;
        let url = Url::parse(target.as_str()).ok()?;
        let ours = Url::parse(&self.source.url).ok()?;
        let is_ours = site(&url) == site(&ours);
        (is_ours && url.as_str().len() <= MAX_URL_BYTES).then(|| url.into())
    }

    /// Notes that these pages are in this crawl. Returns how many there are.
    async fn note_pages(&self, known: &mut Known, pages: Vec<String>) -> Result<u32, Trouble> {
        let number = self.row.crawl.number;
        let count = u32::try_from(pages.len()).unwrap_or(u32::MAX);
        let now = self.visitor.store.now();
        let (mut new, mut again) = (Vec::new(), Vec::new());
        for url in pages {
            let found = PageRow::found(&self.source, url, number, now);
            match known.get(&found.digest) {
                Some(row) if row.listed_in == number => {}
                Some(row) => again.push(row.clone()),
                None => new.push(found),
            }
        }
        let sources = self.visitor.store.sources(self.visitor.tenant);
        let (fence, source) = (self.attempt.fence, &self.source);
        for new in new.chunks(LISTED_AT_ONCE) {
            sources.list_pages(fence, source, number, new, &[]).await?;
            known.extend(new.iter().map(|row| (row.digest.clone(), row.clone())));
        }
        for again in again.chunks(LISTED_AT_ONCE) {
            sources
                .list_pages(fence, source, number, &[], again)
                .await?;
            for row in again {
                if let Some(row) = known.get_mut(&row.digest) {
                    row.listed_in = number;
                    row.version += 1;
                }
            }
        }
        Ok(count)
    }

    /// The inner error is why nothing can be known of the sitemap this time.
    async fn read_sitemap(&self, url: &str) -> Result<Result<Read, Failure>, Trouble> {
        let ask = Ask {
            url,
            accept: ACCEPT,
            etag: None,
            last_modified: None,
            most_bytes: sitemap::MOST_BYTES,
            patience: PATIENCE,
        };
        let answer = match self.visitor.get(&ask).await {
            Ok(answer) => answer,
            Err(Unanswered::Refused(failure)) => return Ok(Ok(Read::Nothing(failure))),
            Err(Unanswered::Failed(failure)) => return Ok(Err(failure)),
            Err(Unanswered::Trouble(trouble)) => return Err(trouble),
        };
        if !answer.status.is_success() {
            return Ok(
                if answer.status.is_client_error() && !is_asking_for_patience(&answer) {
                    Ok(Read::Nothing(status(&answer)))
                } else {
                    Err(status(&answer))
                },
            );
        }
        let read = tokio::task::spawn_blocking(move || Sitemap::read(answer.body)).await;
        Ok(match read {
            Ok(Ok(map)) => Ok(Read::Listing(map)),
            Ok(Err(error)) => Err(Failure::new(error.code(), error.to_string())),
            Err(panic) => {
                tracing::error!(%panic, "a sitemap could not be read");
                Err(Failure::new(
                    "sitemap_invalid",
                    "The sitemap cannot be read.",
                ))
            }
        })
    }

    /// Notes how far the crawl is.
    pub(crate) async fn advance(&mut self, row: CrawlRow) -> Result<(), Trouble> {
        let sources = self.visitor.store.sources(self.visitor.tenant);
        self.row = sources
            .go_on(self.attempt.fence, &self.source, &self.row, row)
            .await?;
        Ok(())
    }
}

fn is_asking_for_patience(answer: &Answer) -> bool {
    answer.status == http::StatusCode::TOO_MANY_REQUESTS
        || answer.status == http::StatusCode::REQUEST_TIMEOUT
}

/// What an answer that is none says.
pub(crate) fn status(answer: &Answer) -> Failure {
    let status = answer.status.as_u16();
    Failure::new("http_status", format!("The site answered {status}."))
}

/// The failure of one sitemap of many, with its address.
fn naming(sitemap: &KnownSitemap, failure: Failure) -> Failure {
    if sitemap.depth == 0 {
        return failure;
    }
    Failure {
        message: format!("{}: {}", sitemap.url, failure.message),
        ..failure
    }
}
