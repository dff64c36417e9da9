//! Sitemaps, and what `robots.txt` says.

use serde_json::json;

use super::site::{Reply, index, packed, sitemap};
use super::{Web, counts};
use crate::support::text;

#[tokio::test]
async fn the_pages_of_a_sitemap_become_documents_and_those_of_others_do_not() {
    let web = Web::open().await;
    for page in ["/a", "/b", "/c"] {
        web.site
            .set(page, Reply::html(&format!("Bearings are greased. {page}")));
    }
    let mut urls: Vec<String> = ["/a", "/b#part", "/b", "/c"]
        .map(|path| web.site.url(path))
        .into();
    urls.extend([
        "https://other.example.com/d".to_owned(),
        "http://169.254.169.254/latest/".to_owned(),
        "ftp://127.0.0.1/e".to_owned(),
        "nonsense".to_owned(),
        web.site.url(&format!("/{}", "x".repeat(2_100))),
    ]);
    web.site
        .set("/map.xml", Reply::of("text/xml", sitemap(&urls)));
    let source = web.source("/map.xml", "sitemap").await;
    let crawl = source.crawled(1).await;
    assert_eq!(
        counts(&crawl),
        json!({ "listed": 3, "ignored": 5, "added": 3 })
    );
    let addresses = ["/a", "/b", "/c"].map(|path| web.site.url(path));
    assert_eq!(web.addresses().await, addresses);
}

#[tokio::test]
async fn an_index_of_packed_sitemaps_is_followed_and_what_is_unlisted_twice_is_removed() {
    let web = Web::open().await;
    for page in ["/a", "/b"] {
        web.site
            .set(page, Reply::html(&format!("Bearings are greased. {page}")));
    }
    let one = sitemap(&[web.site.url("/a")]);
    web.site.set(
        "/1.xml.gz",
        Reply::of("application/gzip", packed(one.as_bytes())),
    );
    web.site
        .set("/2.txt", Reply::of("text/plain", web.site.url("/b")));
    let both = [web.site.url("/1.xml.gz"), web.site.url("/2.txt")];
    web.site
        .set("/map.xml", Reply::of("text/xml", index(&both)));
    let source = web.source("/map.xml", "sitemap").await;
    assert_eq!(web.addresses().await.len(), 2);

    web.site.set("/2.txt", Reply::of("text/xml", sitemap(&[])));
    let crawl = source.again().await;
    assert_eq!(
        counts(&crawl),
        json!({ "listed": 1, "unchanged": 1, "missing": 1 })
    );
    assert_eq!(web.addresses().await.len(), 2);
    let page = source.page("/b").await;
    assert_eq!(page["reason"]["code"], "not_listed");
    let crawl = source.again().await;
    assert_eq!(
        counts(&crawl),
        json!({ "listed": 1, "unchanged": 1, "missing": 1, "removed": 1 })
    );
    assert_eq!(web.addresses().await, [web.site.url("/a")]);
    assert_eq!(source.pages("?status=removed").await.len(), 1);
    // Then it is forgotten.
    source.again().await;
    assert_eq!(source.pages("").await.len(), 1);
}

#[tokio::test]
async fn what_robots_forbids_is_not_asked_for_and_says_so() {
    let web = Web::open().await;
    let robots = "User-agent: *\nDisallow: /\n\nUser-agent: Overglass\nDisallow: /private\n\
                  Allow: /private/open\nCrawl-delay: 0\n";
    web.site.set("/robots.txt", Reply::of("text/plain", robots));
    for page in ["/public", "/private/a", "/private/open"] {
        web.site.set(page, Reply::html("Bearings are greased."));
    }
    web.site.set("/moved", Reply::To("/private/a".to_owned()));
    let pages = ["/public", "/private/a", "/private/open", "/moved"];
    web.site.map("/map.xml", &pages);
    let source = web.source("/map.xml", "sitemap").await;
    let crawl = source.crawled(1).await;
    assert_eq!(
        counts(&crawl),
        json!({ "listed": 4, "added": 2, "refused": 2 })
    );
    let refused = ("refused".to_owned(), Some("robots_disallowed".to_owned()));
    for path in ["/private/a", "/moved"] {
        assert_eq!(source.standing(path).await, refused);
    }
    assert_eq!(web.site.asked_for("/private/a").len(), 0);
    let refused = source.pages("?status=refused").await;
    assert_eq!(refused.len(), 2);
    let reason = text(&refused[0]["reason"]["message"]);
    assert!(reason.contains("robots.txt"), "{reason}");
}

#[tokio::test]
async fn a_site_whose_robots_cannot_be_had_is_not_read() {
    let web = Web::open().await;
    web.site.set("/robots.txt", Reply::Status(503));
    web.site.set("/a", Reply::html("Bearings are greased."));
    web.site.map("/map.xml", &["/a"]);
    let source = web.begun("/map.xml", "sitemap").await;
    let crawl = source.crawled(1).await;
    assert_eq!(crawl["failure"]["code"], "robots_unreachable", "{crawl}");
    assert_eq!(web.site.asked_for("/map.xml").len(), 0);
    let page = web.source("/a", "page").await;
    let failed = ("failed".to_owned(), Some("robots_unreachable".to_owned()));
    assert_eq!(page.standing("/a").await, failed);
    assert_eq!(web.site.asked_for("/a").len(), 0);
}

#[tokio::test]
async fn a_sitemap_that_cannot_be_had_removes_nothing() {
    let web = Web::open().await;
    web.site.set("/a", Reply::html("Bearings are greased."));
    web.site.map("/map.xml", &["/a"]);
    let source = web.source("/map.xml", "sitemap").await;
    for (reply, code) in [
        (Reply::Status(500), "http_status"),
        (Reply::Status(404), "http_status"),
        (Reply::html("Sorry."), "sitemap_invalid"),
    ] {
        web.site.set("/map.xml", reply);
        let crawl = source.again().await;
        assert_eq!(crawl["failure"]["code"], code, "{crawl}");
        assert_eq!(web.addresses().await, [web.site.url("/a")]);
    }
    let failed = json!({ "type": "source.crawl_failed" });
    crate::support::eventually("the log is sealed", async || {
        let events = web.admin.post("/v1/audit/search", &failed).await.ok();
        (events["items"].as_array()?.len() == 3).then_some(())
    })
    .await;
}
