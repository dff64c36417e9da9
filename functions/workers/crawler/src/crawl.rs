//! `source.crawl`: reads the pages of a source.

use std::time::Duration;

use async_trait::async_trait;
use domain::event::Actor;
use domain::execution::Failure;
use domain::source::{CrawlStage, WebSource, WebSourceStatus};
use store::sources::{CRAWL_JOB, CrawlRow, SourcePayload};
use store::{Cause, Store, Tenant};
use work::{Attempt, Handler, Job, Outcome};

use crate::trouble::Trouble;
use crate::visit::{MOST_TIME, Visitor, Web};

/// How often an attempt looks again because somebody changed what it is about.
const LOOKS: u32 = 20;
/// How long the slowest step may take: to ask for a sitemap or a page, and to tell what came.
const LONGEST_STEP: Duration = MOST_TIME.saturating_add(Duration::from_secs(15));
/// After so many attempts that died no further one is made.
const MOST_DEATHS: u32 = 3;
/// How the engine names attempts that did not end by themselves.
const DEATHS: [&str; 3] = ["worker_lost", "deadline_exceeded", "panicked"];
const PAGES_AT_ONCE: u32 = 25;

/// Does `source.crawl`.
pub(crate) struct CrawlSource {
    pub(crate) store: Store,
    pub(crate) web: Web,
}

#[async_trait]
impl Handler for CrawlSource {
    fn kinds(&self) -> &[&'static str] {
        &[CRAWL_JOB]
    }

    async fn run(&self, attempt: Attempt) -> Outcome {
        let payload = match attempt.payload::<SourcePayload>() {
            Ok(payload) => payload,
            Err(outcome) => return outcome,
        };
        let mut trouble = Trouble::Changed;
        for _ in 0..LOOKS {
            match self.crawl(&attempt, payload).await {
                Ok(()) => return Outcome::done(),
                Err(Trouble::Changed) => {}
                Err(Trouble::Permanent(error)) => {
                    let failure = Failure::new(error.code.clone(), error.message.clone());
                    trouble = Trouble::Permanent(error);
                    // The source must not wait for ever for a job that is dead.
                    if self.give_up(&attempt, payload, failure).await.is_ok() {
                        return Outcome::done();
                    }
                    break;
                }
                Err(other) => {
                    trouble = other;
                    break;
                }
            }
        }
        trouble.outcome()
    }
}

/// One look at a source, and all that follows from it.
pub(crate) struct Crawling<'a> {
    pub(crate) visitor: Visitor<'a>,
    pub(crate) attempt: &'a Attempt,
    pub(crate) cause: Cause,
    pub(crate) source: WebSource,
    pub(crate) row: CrawlRow,
}

impl CrawlSource {
    /// Goes on with the crawl of a source, to its end.
    async fn crawl(&self, attempt: &Attempt, payload: SourcePayload) -> Result<(), Trouble> {
        let Some(source) = self.wanted(attempt, payload).await? else {
            return Ok(());
        };
        let tenant = Tenant::authorised(attempt.job.org);
        let sources = self.store.sources(tenant);
        let (source, row) = match sources.crawl(&source).await? {
            Some(row) if row.crawl.ended_at.is_none() => (source, row),
            before => {
                sources
                    .begin(attempt.fence, &source, before.as_ref())
                    .await?
            }
        };
        let mut crawling = Crawling {
            visitor: Visitor {
                web: &self.web,
                store: &self.store,
                tenant,
            },
            attempt,
            cause: cause(attempt),
            source,
            row,
        };
        if is_deadly(&attempt.job) {
            return crawling.end(Some(deadly())).await;
        }
        let failure = crawling.go_on().await?;
        crawling.end(failure).await
    }

    /// The source, if this job is the one that crawls it now.
    async fn wanted(
        &self,
        attempt: &Attempt,
        payload: SourcePayload,
    ) -> Result<Option<WebSource>, Trouble> {
        let tenant = Tenant::authorised(attempt.job.org);
        let sources = self.store.sources(tenant);
        let source = sources.get(payload.knowledge_base, payload.source).await?;
        let Some(source) = source.filter(|source| source.job == Some(attempt.job.id)) else {
            return Ok(None);
        };
        if !matches!(
            source.status,
            WebSourceStatus::Crawling | WebSourceStatus::Waiting
        ) {
            return Ok(None);
        }
        let knowledge = self.store.knowledge(tenant);
        if knowledge.base(source.knowledge_base).await?.is_none() {
            // Made while its knowledge base was deleted.
            sources.delete(&cause(attempt), &source).await?;
            return Ok(None);
        }
        Ok(Some(source))
    }

    /// Ends a crawl that no attempt can bring to its end.
    async fn give_up(
        &self,
        attempt: &Attempt,
        payload: SourcePayload,
        failure: Failure,
    ) -> Result<(), Trouble> {
        let Some(source) = self.wanted(attempt, payload).await? else {
            return Ok(());
        };
        let sources = self.store.sources(Tenant::authorised(attempt.job.org));
        let Some(row) = sources.crawl(&source).await? else {
            return Ok(());
        };
        let cause = cause(attempt);
        sources
            .end(attempt.fence, &cause, &source, &row, Some(failure))
            .await?;
        Ok(())
    }
}

impl Crawling<'_> {
    /// Lists the pages, as far as they are not, and reads them. Says why that is given up, if it is.
    async fn go_on(&mut self) -> Result<Option<Failure>, Trouble> {
        if self.row.crawl.stage == CrawlStage::Listing
            && let Err(failure) = self.list().await?
        {
            return Ok(Some(failure));
        }
        let sources = self.visitor.store.sources(self.visitor.tenant);
        loop {
            let rows = sources
                .pages_ahead(&self.source, &self.row, PAGES_AT_ONCE)
                .await?;
            if rows.is_empty() {
                return Ok(None);
            }
            for row in &rows {
                self.check_time()?;
                self.see_to(row).await?;
                let read = u64::from(self.pages_seen());
                let total = u64::from(self.row.crawl.listed).max(read);
                let progress = &self.attempt.progress;
                progress.report(read, Some(total), "Reading pages");
            }
        }
    }

    /// Whether there is time for one more step.
    pub(crate) fn check_time(&self) -> Result<(), Trouble> {
        if self.attempt.budget.should_yield() || !self.attempt.budget.fits(LONGEST_STEP) {
            return Err(Trouble::OutOfTime);
        }
        Ok(())
    }

    fn pages_seen(&self) -> u32 {
        let crawl = &self.row.crawl;
        crawl.added + crawl.changed + crawl.unchanged + crawl.failed + crawl.refused + crawl.missing
    }

    async fn end(&self, failure: Option<Failure>) -> Result<(), Trouble> {
        let sources = self.visitor.store.sources(self.visitor.tenant);
        sources
            .end(
                self.attempt.fence,
                &self.cause,
                &self.source,
                &self.row,
                failure,
            )
            .await?;
        Ok(())
    }
}

/// The platform, on the thread of the request that made the job.
pub(crate) fn cause(attempt: &Attempt) -> Cause {
    Cause {
        actor: Actor::System,
        correlation_id: attempt.job.correlation_id.clone(),
    }
}

/// Whether attempts at this job die, so that it is better not to make another.
fn is_deadly(job: &Job) -> bool {
    let died = job
        .error
        .as_ref()
        .is_some_and(|error| DEATHS.contains(&error.code.as_str()));
    died && job.attempts >= MOST_DEATHS
}

fn deadly() -> Failure {
    Failure::new(
        "crawl_failed",
        "Crawling this source stopped our worker several times, and was given up.",
    )
}
