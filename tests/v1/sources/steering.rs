//! What people do to a source: make it, pause and resume it, change when it is crawled, delete it.

use http::Method;
use serde_json::{Value, json};

use super::site::Reply;
use super::{Web, counts};
use crate::support::{Api, eventually, send, text};

fn pages(web: &Web, count: usize) -> Vec<String> {
    let paths: Vec<String> = (0..count).map(|number| format!("/{number}")).collect();
    for path in &paths {
        web.site
            .set(path, Reply::html(&format!("Bearings are greased. {path}")));
    }
    let refs: Vec<&str> = paths.iter().map(String::as_str).collect();
    web.site.map("/map.xml", &refs);
    paths
}

#[tokio::test]
async fn what_no_crawl_may_reach_is_refused_at_once_with_its_place() {
    let web = Web::open().await;
    let long = format!("https://example.com/{}", "x".repeat(2_048));
    for url in [
        "ftp://example.com/a",
        "https://ada:secret@example.com/",
        "http://10.1.2.3/",
        "http://127.0.0.1:1/",
        "http://169.254.169.254/latest/meta-data/",
        "http://[fd00::1]/",
        "http://printer.local/",
        "example.com/a",
        "",
        &long,
    ] {
        let answer = web
            .admin
            .post(&web.path("/sources"), &json!({ "url": url }))
            .await;
        answer.names("/url");
        assert!(!answer.to_string().contains("secret"), "{answer}");
    }
    for (field, value) in [
        ("interval_hours", json!(0)),
        ("interval_hours", json!(8_761)),
        ("max_pages", json!(0)),
        ("max_pages", json!(10_001)),
        ("kind", json!("feed")),
    ] {
        let mut body = json!({ "url": web.site.url("/a") });
        body[field] = value;
        let answer = web.admin.post(&web.path("/sources"), &body).await;
        answer.names(&format!("/{field}"));
    }
    assert_eq!(
        web.admin.list(&web.path("/sources")).await,
        Vec::<Value>::new()
    );
}

#[tokio::test]
async fn an_address_is_one_source_of_a_knowledge_base() {
    let web = Web::open().await;
    web.site.set("/a", Reply::html("Bearings are greased."));
    web.source("/a", "page").await;
    let again = json!({ "url": web.site.url("/./a#top") });
    let answer = web.admin.post(&web.path("/sources"), &again).await;
    answer.problem(409, "already_exists");
    let other = json!({ "name": "Other" });
    let other = web.admin.create("/v1/knowledge-bases", &other).await;
    let path = format!("/v1/knowledge-bases/{}/sources", text(&other["id"]));
    web.admin.create(&path, &again).await;
}

#[tokio::test]
async fn whoever_may_not_make_files_makes_no_source() {
    let web = Web::open().await;
    let body = json!({ "url": web.site.url("/a") });
    for scopes in [&["knowledge:write"][..], &["knowledge:read", "files:write"]] {
        let machine = web.world.machine(&web.admin, scopes).await;
        let answer = machine.post(&web.path("/sources"), &body).await;
        answer.problem(403, "forbidden");
    }
    let stranger = web.world.founder("eve").await;
    let answer = stranger.post(&web.path("/sources"), &body).await;
    answer.problem(404, "not_found");
}

/// How many pages the crawl of a source has read.
async fn read(admin: &Api, path: &str) -> u64 {
    let source = admin.get(path).await.ok();
    source["crawl"]["added"].as_u64().unwrap_or_default()
}

#[tokio::test]
async fn a_paused_source_reads_nothing_and_goes_on_where_it_stood() {
    let web = Web::open().await;
    let paths = pages(&web, 30);
    let source = web.begun("/map.xml", "sitemap").await;
    eventually("some pages are read", async || {
        (read(&web.admin, &source.path).await > 0).then_some(())
    })
    .await;
    let pause = json!({ "paused": true });
    let paused = eventually("it is paused", async || {
        let answer = web.admin.patch(&source.path, &pause).await;
        (answer.status == 200).then(|| answer.ok())
    })
    .await;
    assert_eq!(paused["status"], "paused");
    let asked = |web: &Web| -> usize {
        let asked = paths.iter().map(|path| web.site.asked_for(path).len());
        asked.sum()
    };
    let refresh = format!("{}/refresh", source.path);
    web.admin
        .post(&refresh, &json!({}))
        .await
        .problem(409, "source_paused");
    let (before, read_before) = (asked(&web), read(&web.admin, &source.path).await);
    let stopped = source.get().await;
    if stopped["crawl"]["stage"] == "ended" {
        // The machine was fast: there is nothing left to go on with.
        return;
    }
    let again = json!({ "paused": false });
    let resumed = web.admin.patch(&source.path, &again).await.ok();
    assert_eq!(resumed["status"], "crawling");
    let crawl = source.crawled(1).await;
    assert_eq!(counts(&crawl), json!({ "listed": 30, "added": 30 }));
    // At most the page that was on its way when the pause came is asked for twice.
    assert!(asked(&web) <= 31, "{before} {read_before} {}", asked(&web));
}

#[tokio::test]
async fn a_source_says_when_it_is_crawled_next() {
    let web = Web::open().await;
    web.site.set("/a", Reply::html("Bearings are greased."));
    let source = web.source("/a", "page").await;
    assert_eq!(source.get().await["next_crawl_at"], Value::Null);
    let daily = json!({ "interval_hours": 24 });
    let etag = format!("\"{}\"", source.get().await["version"]);
    let request = web.admin.request(Method::PATCH, &source.path);
    let changed = send(request.header("if-match", &etag).json(&daily))
        .await
        .ok();
    assert!(changed["next_crawl_at"].is_string(), "{changed}");
    let request = web.admin.request(Method::PATCH, &source.path);
    let stale = send(request.header("if-match", &etag).json(&daily)).await;
    stale.problem(412, "precondition_failed");

    let paused = json!({ "paused": true });
    let paused = web.admin.patch(&source.path, &paused).await.ok();
    assert_eq!(paused["next_crawl_at"], Value::Null);
    let resumed = json!({ "paused": false });
    let resumed = web.admin.patch(&source.path, &resumed).await.ok();
    assert_eq!(resumed["next_crawl_at"], changed["next_crawl_at"]);
    let never = json!({ "interval_hours": null });
    let never = web.admin.patch(&source.path, &never).await.ok();
    assert_eq!(
        (&never["next_crawl_at"], &never["status"]),
        (&Value::Null, &json!("waiting"))
    );
    assert_eq!(web.site.asked_for("/a").len(), 1);
}

#[tokio::test]
async fn a_deleted_source_takes_its_documents_with_it_and_no_others() {
    let web = Web::open().await;
    let paths = pages(&web, 3);
    let text_of = json!({ "name": "note.md", "text": "# Note\n\nBearings are greased by hand." });
    let note = web.admin.create(&web.path("/documents"), &text_of).await;
    let source = web.source("/map.xml", "sitemap").await;
    assert_eq!(web.documents().await.len(), 4);
    let base = web.path("");
    web.admin.delete(&base).await.problem(409, "not_empty");

    web.admin.delete(&source.path).await.gone();
    eventually("the source is gone", async || {
        let answer = web.admin.get(&source.path).await;
        if answer.status == 200 {
            assert_eq!(answer.ok()["status"], "deleting");
            return None;
        }
        answer.problem(404, "not_found");
        Some(())
    })
    .await;
    let left = web.documents().await;
    assert_eq!((left.len(), &left[0]["file"]), (1, &note["file"]));
    for found in web.search("Bearings are greased").await {
        assert_eq!(found["file"], note["file"]);
    }
    // Their files are deleted as people delete files.
    let deleted = web.admin.list("/v1/files?status=deleted").await;
    assert_eq!(deleted.len(), paths.len());
    let restore = format!("/v1/files/{}/restore", text(&deleted[0]["id"]));
    web.admin.post(&restore, &json!({})).await.ok();
    // The same address may be a source again.
    web.source("/map.xml", "sitemap").await;
}

#[tokio::test]
async fn a_knowledge_base_with_a_source_is_not_deleted() {
    let web = Web::open().await;
    let source = web.source("/nothing", "page").await;
    web.admin
        .delete(&web.path(""))
        .await
        .problem(409, "has_sources");
    web.admin.delete(&source.path).await.gone();
    eventually("the knowledge base can be deleted", async || {
        (web.admin.delete(&web.path("")).await.status == 204).then_some(())
    })
    .await;
}

#[tokio::test]
async fn every_change_of_a_source_is_an_event() {
    let web = Web::open().await;
    web.site.set("/a", Reply::html("Bearings are greased."));
    let source = web.source("/a", "page").await;
    source.again().await;
    let paused = json!({ "paused": true });
    web.admin.patch(&source.path, &paused).await.ok();
    web.admin.delete(&source.path).await.gone();
    let id = source.path.rsplit('/').next().expect("an id").to_owned();
    let wanted = [
        "source.crawled",
        "source.created",
        "source.deleted",
        "source.refresh_requested",
        "source.removed",
        "source.updated",
    ];
    eventually("the log is sealed", async || {
        let search = json!({ "subject": id });
        let found = web.admin.post("/v1/audit/search", &search).await.ok();
        let found = found["items"].as_array().expect("a list").clone();
        let mut kinds: Vec<String> = found.iter().map(|one| text(&one["type"])).collect();
        kinds.sort();
        kinds.dedup();
        (kinds == wanted).then_some(())
    })
    .await;
}
