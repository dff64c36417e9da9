//! A page: read, read again, changed, gone.

use llm::ChatRequest;
use llm::scripted::{Scripted, Turn};
use serde_json::json;

use super::site::Reply;
use super::{Web, counts};
use crate::support::{Setup, ended, text};

const OIL: &str = "The gearbox oil of the turbine is changed every 500 hours of operation.";
const NEW_OIL: &str = "The gearbox oil of the turbine is changed every 900 hours of operation.";

/// A model that looks for oil and cites what it finds.
fn reader() -> Scripted {
    Scripted::computed(|request: &ChatRequest, _| match request.messages.len() {
        1 => Turn::calls([("search_knowledge", json!({ "query": "gearbox oil" }))]),
        _ => Turn::text("Every 500 hours. [1]"),
    })
}

#[tokio::test]
async fn a_page_becomes_a_document_that_is_found_and_cited_by_its_address() {
    let web = Web::with(Setup {
        model: reader(),
        ..Setup::default()
    })
    .await;
    web.site.set("/guide/oil", Reply::html(OIL));
    let source = web.source("/guide/../guide/oil#part", "page").await;
    let url = web.site.url("/guide/oil");
    let crawl = source.crawled(1).await;
    assert_eq!(counts(&crawl), json!({ "listed": 1, "added": 1 }));
    assert_eq!(source.get().await["url"], url);
    assert_eq!(source.get().await["status"], "waiting");

    let documents = web.documents().await;
    assert_eq!(documents.len(), 1);
    assert_eq!(
        (
            &documents[0]["url"],
            &documents[0]["name"],
            &documents[0]["status"]
        ),
        (&json!(url), &json!("oil.html"), &json!("ready"))
    );
    let file = format!("/v1/files/{}", text(&documents[0]["file"]));
    let file = web.admin.get(&file).await.ok();
    assert_eq!(
        (&file["url"], &file["format"]),
        (&json!(url), &json!("html"))
    );
    let page = source.page("/guide/oil").await;
    assert_eq!(
        (&page["status"], &page["file"]),
        (&json!("read"), &documents[0]["file"])
    );
    let found = web.search("How often is gearbox oil changed?").await;
    assert_eq!(found[0]["url"], url);
    assert!(text(&found[0]["text"]).contains("500 hours"));

    let agent = json!({
        "name": "Guide", "instructions": "Answer.", "tools": ["search_knowledge"],
        "knowledge_bases": [web.base],
    });
    let agent = web.admin.create("/v1/agents", &agent).await;
    let run = json!({ "agent_id": agent["id"], "input": "How often?" });
    let run = web.admin.create("/v1/executions", &run).await;
    let run = ended(&web.admin, &text(&run["id"])).await;
    assert_eq!(run["citations"][0]["url"], url, "{run}");

    let asked = web.site.asked_for("/guide/oil");
    assert_eq!(asked.len(), 1);
    let agent = asked[0].headers["user-agent"].to_str().expect("a text");
    assert!(agent.starts_with("Overglass/"), "{agent}");
    assert_eq!(web.site.asked_for("/robots.txt").len(), 1);
}

#[tokio::test]
async fn what_has_not_changed_makes_no_new_version_and_is_not_embedded_again() {
    let web = Web::open().await;
    web.site.set("/plain", Reply::html(OIL));
    web.site.set("/tagged", Reply::html(OIL).tagged("one"));
    web.site.map("/map.xml", &["/plain", "/tagged"]);
    let source = web.source("/map.xml", "sitemap").await;
    let before = web.documents().await;

    let crawl = source.again().await;
    assert_eq!(counts(&crawl), json!({ "listed": 2, "unchanged": 2 }));
    assert_eq!(web.documents().await, before);
    let asked = web.site.asked_for("/tagged");
    assert_eq!((asked[0].status, asked[1].status), (200, 304));
    assert_eq!(web.site.asked_for("/plain")[1].status, 200);
    for document in &before {
        let path = format!("/v1/files/{}/versions", text(&document["file"]));
        assert_eq!(web.admin.list(&path).await.len(), 1);
    }
}

#[tokio::test]
async fn what_has_changed_gets_a_new_version_and_the_old_text_is_found_no_more() {
    let web = Web::open().await;
    web.site.set("/oil", Reply::html(OIL).tagged("one"));
    let source = web.source("/oil", "page").await;
    let before = web.documents().await;
    web.site.set("/oil", Reply::html(NEW_OIL).tagged("two"));

    let crawl = source.again().await;
    assert_eq!(counts(&crawl), json!({ "listed": 1, "changed": 1 }));
    let after = crate::support::eventually("the new content is indexed", async || {
        let documents = web.documents().await;
        (documents[0]["content_version"] == 2).then_some(documents)
    })
    .await;
    assert_eq!(after[0]["file"], before[0]["file"]);
    let found = web.search("gearbox oil").await;
    let texts: Vec<String> = found.iter().map(|one| text(&one["text"])).collect();
    assert!(
        texts.iter().any(|text| text.contains("900 hours")),
        "{texts:?}"
    );
    assert!(
        !texts.iter().any(|text| text.contains("500 hours")),
        "{texts:?}"
    );
}

#[tokio::test]
async fn a_page_that_is_not_there_twice_is_removed_and_one_that_is_gone_at_once() {
    let web = Web::open().await;
    for path in ["/stays", "/away", "/gone", "/back"] {
        web.site.set(path, Reply::html(&format!("{OIL} {path}")));
    }
    web.site
        .map("/map.xml", &["/stays", "/away", "/gone", "/back"]);
    let source = web.source("/map.xml", "sitemap").await;
    assert_eq!(web.addresses().await.len(), 4);

    web.site.remove("/away");
    web.site.remove("/back");
    web.site.set("/gone", Reply::Status(410));
    let crawl = source.again().await;
    assert_eq!(
        counts(&crawl),
        json!({ "listed": 4, "unchanged": 1, "missing": 3, "removed": 1 })
    );
    let standing = |status: &str| (status.to_owned(), Some("http_status".to_owned()));
    assert_eq!(source.standing("/away").await, standing("missing"));
    assert_eq!(source.standing("/gone").await, standing("removed"));
    assert_eq!(web.addresses().await.len(), 3);

    web.site.set("/back", Reply::html(&format!("{OIL} /back")));
    let crawl = source.again().await;
    assert_eq!(
        counts(&crawl),
        json!({ "listed": 4, "unchanged": 2, "missing": 2, "removed": 1 })
    );
    assert_eq!(source.standing("/away").await, standing("removed"));
    assert_eq!(source.page("/back").await["absences"], 0);
    let left = [web.site.url("/back"), web.site.url("/stays")];
    assert_eq!(web.addresses().await, left);
    for found in web.search("gearbox oil").await {
        assert!(left.contains(&text(&found["url"])), "{found}");
    }

    // What comes back after that is a new document.
    web.site.set("/away", Reply::html(OIL));
    source.again().await;
    assert_eq!(web.addresses().await.len(), 3);
}

#[tokio::test]
async fn a_page_that_cannot_be_read_this_time_keeps_what_it_said() {
    let web = Web::open().await;
    web.site.set("/oil", Reply::html(OIL));
    let source = web.source("/oil", "page").await;
    web.documents().await;
    for _ in 0..3 {
        web.site.set("/oil", Reply::Status(500));
        let crawl = source.again().await;
        assert_eq!(counts(&crawl), json!({ "listed": 1, "failed": 1 }));
        assert_eq!(web.addresses().await, [web.site.url("/oil")]);
    }
    let page = source.page("/oil").await;
    assert_eq!(page["reason"]["message"], "The site answered 500.");
    assert_eq!(page["status"], "failed");
}

#[tokio::test]
async fn a_document_that_somebody_deleted_comes_back_with_the_next_crawl() {
    let web = Web::open().await;
    web.site.set("/oil", Reply::html(OIL).tagged("one"));
    let source = web.source("/oil", "page").await;
    let before = web.documents().await;
    let file = format!("/v1/files/{}", text(&before[0]["file"]));
    web.admin.delete(&file).await.gone();
    assert_eq!(web.addresses().await, Vec::<String>::new());
    let crawl = source.again().await;
    assert_eq!(counts(&crawl), json!({ "listed": 1, "added": 1 }));
    assert_eq!(web.addresses().await, [web.site.url("/oil")]);
}
