//! Workers that die in the middle of a crawl, messages that come again, and the clock.

use std::time::Duration;

use lambda::batch;
use outbound::{Client, Policy};
use serde_json::{Value, json};
use store::Store;
use work::{JobState, Runner, RunnerConfig};

use super::site::{Reply, Site};
use crate::support::bare::Bare;
use crate::support::tables::Side;
use crate::support::{Api, tenant, text, within};

const INVOCATION: Duration = Duration::from_secs(300);

struct Stage {
    bare: Bare,
    api: Api,
    site: Site,
    base: String,
}

impl Stage {
    async fn open() -> Self {
        let site = Site::open().await;
        let bare = Bare::reaching(Policy::public().allow_loopback_ports([site.port])).await;
        let api = bare.founder("ada").await;
        let base = json!({ "name": "Handbooks" });
        let base = api.create("/v1/knowledge-bases", &base).await;
        Self {
            bare,
            api,
            site,
            base: text(&base["id"]),
        }
    }

    fn path(&self, rest: &str) -> String {
        format!("/v1/knowledge-bases/{}{rest}", self.base)
    }

    fn crawler(&self, store: &Store) -> Runner {
        let outbound = Policy::public().allow_loopback_ports([self.site.port]);
        let outbound = Client::new(outbound).expect("a client");
        let settings = crawler::Settings {
            pace: Duration::ZERO,
            ..crawler::Settings::default()
        };
        let handlers = crawler::handlers(store, outbound, settings);
        batch::runner(store, handlers, RunnerConfig::default())
    }

    /// Makes a source, and gives its path.
    async fn source(&self, body: Value) -> String {
        let source = self.api.create(&self.path("/sources"), &body).await;
        self.path(&format!("/sources/{}", text(&source["id"])))
    }

    async fn crawl_job(&self) -> work::Job {
        let org = tenant(&self.api).org();
        self.bare.job_of_kind(org, "source.crawl").await
    }
}

#[tokio::test]
async fn a_worker_that_dies_between_the_page_and_its_commit_leaves_no_second_document() {
    let stage = Stage::open().await;
    stage.site.set("/a", Reply::html("Bearings are greased."));
    let (tables, watched) = stage.bare.watched().await;
    for side in [Side::Before, Side::After] {
        let path = stage
            .source(json!({ "url": stage.site.url(&format!("/a?{side:?}")) }))
            .await;
        let job = stage.crawl_job().await;
        let dying = stage.crawler(&watched);
        let held = tables.hold("file.confirmed", side);
        let deadline = kernel::Clock::now(&stage.bare.clock).plus(INVOCATION);
        tokio::select! {
            _ = dying.run(job.doorbell(), deadline) => panic!("it does not end"),
            () = within("the page is told of", held.arrived()) => {}
        }
        stage.bare.bury_worker().await;
        let heir = stage.crawler(&stage.bare.store);
        for _ in 0..2 {
            stage.bare.ring(&heir, &job, INVOCATION).await;
        }
        assert_eq!(stage.bare.job(&job).await.state, JobState::Done);
        // What the dead worker had sent comes now, and is too late.
        held.open();
        let source = stage.api.get(&path).await.ok();
        assert_eq!(
            (&source["crawl"]["added"], &source["status"]),
            (&json!(1), &json!("waiting")),
            "{side:?} {source}"
        );
    }
    let documents = stage.api.list(&stage.path("/documents")).await;
    assert_eq!(documents.len(), 2, "one for each source: {documents:?}");
    let files = stage.api.list("/v1/files").await;
    assert_eq!(files.len(), 2, "{files:?}");
    // What the dead worker stored, and no row names, was not written over.
    let mut contents: Vec<&Value> = files.iter().map(|file| &file["content_version"]).collect();
    contents.sort_by_key(|number| number.as_u64());
    assert_eq!(contents, [1, 2]);
}

#[tokio::test]
async fn messages_that_come_again_and_jobs_that_were_superseded_do_nothing() {
    let stage = Stage::open().await;
    stage.site.set("/a", Reply::html("Bearings are greased."));
    let path = stage.source(json!({ "url": stage.site.url("/a") })).await;
    let first = stage.crawl_job().await;
    let pause = json!({ "paused": true });
    stage.api.patch(&path, &pause).await.ok();
    let resume = json!({ "paused": false });
    stage.api.patch(&path, &resume).await.ok();
    let crawler = stage.crawler(&stage.bare.store);
    for _ in 0..3 {
        stage.bare.ring(&crawler, &first, INVOCATION).await;
    }
    assert_eq!(
        stage.site.asked_for("/a").len(),
        0,
        "another job crawls it now"
    );
    let second = stage.crawl_job().await;
    assert_ne!(first.id, second.id);
    for _ in 0..3 {
        stage.bare.ring(&crawler, &second, INVOCATION).await;
    }
    assert_eq!(stage.site.asked_for("/a").len(), 1);
}

#[tokio::test]
async fn a_source_is_crawled_again_when_its_interval_is_over_and_not_before() {
    let stage = Stage::open().await;
    stage.site.set("/a", Reply::html("Bearings are greased."));
    let body = json!({ "url": stage.site.url("/a"), "interval_hours": 2 });
    stage.source(body).await;
    let crawler = stage.crawler(&stage.bare.store);
    let first = stage.crawl_job().await;
    stage.bare.ring(&crawler, &first, INVOCATION).await;
    let next = stage.crawl_job().await;
    stage
        .bare
        .clock
        .advance(Duration::from_secs(2 * 60 * 60 - 60));
    stage.bare.ring(&crawler, &next, INVOCATION).await;
    assert_eq!(stage.site.asked_for("/a").len(), 1);
    stage.bare.clock.advance(Duration::from_secs(61));
    stage.bare.ring(&crawler, &next, INVOCATION).await;
    assert_eq!(stage.site.asked_for("/a").len(), 2);
    assert_ne!(stage.crawl_job().await.id, next.id);
}

#[tokio::test]
async fn two_workers_share_the_turns_at_a_host() {
    let stage = Stage::open().await;
    let gap = Duration::from_millis(200);
    let hosts = stage.bare.store.hosts(tenant(&stage.api));
    let now = kernel::Clock::now(&stage.bare.clock);
    let patience = Duration::from_secs(60);
    let turns = (0..10).map(|_| hosts.take_turn("example.com:443", gap, patience));
    let turns = futures::future::join_all(turns).await;
    let mut turns: Vec<i64> = turns
        .into_iter()
        .map(|turn| match turn.expect("an answer") {
            store::hosts::Turn::At(at) => at.as_millis() - now.as_millis(),
            store::hosts::Turn::NotBefore(_) => -1,
        })
        .filter(|at| *at >= 0)
        .collect();
    turns.sort_unstable();
    assert!(turns.len() > 1);
    for pair in turns.windows(2) {
        assert!(pair[1] - pair[0] >= 200, "{turns:?}");
    }
    let late = hosts
        .take_turn("example.com:443", gap, Duration::ZERO)
        .await;
    assert!(matches!(late, Ok(store::hosts::Turn::NotBefore(_))));
    // Another org has turns of its own.
    let other = stage.bare.founder("eve").await;
    let others = stage.bare.store.hosts(tenant(&other));
    let turn = others
        .take_turn("example.com:443", gap, Duration::ZERO)
        .await;
    assert!(matches!(turn, Ok(store::hosts::Turn::At(_))));
}
