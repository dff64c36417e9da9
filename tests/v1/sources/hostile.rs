//! Sites that mean no good.

use std::time::Duration;

use outbound::Limits;
use serde_json::json;

use super::site::{Reply, index, packed, page, sitemap};
use super::{Web, counts};
use crate::support::{Setup, text};

const PDF: &[u8] = include_bytes!("../../../samples/turbine-maintenance-handbook.pdf");

#[tokio::test]
async fn each_hostile_page_has_its_reason_and_its_neighbours_are_read() {
    let web = Web::with(Setup {
        limits: Limits {
            total: Duration::from_secs(2),
            ..Limits::default()
        },
        ..Setup::default()
    })
    .await;
    let site = &web.site;
    let cases = [
        (
            Reply::To("http://169.254.169.254/latest/".to_owned()),
            "refused",
            "address_not_allowed",
        ),
        (
            Reply::To("http://10.0.0.1:8080/".to_owned()),
            "refused",
            "address_not_allowed",
        ),
        (
            Reply::To("http://127.0.0.1:1/".to_owned()),
            "refused",
            "port_not_allowed",
        ),
        (
            Reply::To("file:///etc/passwd".to_owned()),
            "refused",
            "scheme_not_allowed",
        ),
        (
            Reply::To("http://a:b@127.0.0.1/".to_owned()),
            "refused",
            "credentials_in_url",
        ),
        (
            Reply::To(format!("http://localhost:{}/good", site.port)),
            "refused",
            "redirected_elsewhere",
        ),
        (Reply::To("/6".to_owned()), "failed", "too_many_redirects"),
        (Reply::To(String::new()), "failed", "too_many_redirects"),
        (Reply::Endless, "failed", "response_too_large"),
        (Reply::Dripping, "failed", "timed_out"),
        (Reply::of("text/html", ""), "failed", "empty"),
        (Reply::Status(500), "failed", "http_status"),
        (Reply::Status(403), "refused", "http_status"),
    ];
    let paths: Vec<String> = (0..cases.len())
        .map(|number| format!("/{number}"))
        .collect();
    let mut pages: Vec<&str> = paths.iter().map(String::as_str).collect();
    pages.extend(["/good", "/zzz"]);
    for (path, (reply, ..)) in paths.iter().zip(&cases) {
        site.set(path, reply.clone());
    }
    site.set("/good", Reply::html("Bearings are greased."));
    site.set("/zzz", Reply::html("Bearings are cleaned."));
    site.map("/map.xml", &pages);
    let source = web.source("/map.xml", "sitemap").await;
    for (path, (reply, status, code)) in paths.iter().zip(&cases) {
        let expected = ((*status).to_owned(), Some((*code).to_owned()));
        assert_eq!(source.standing(path).await, expected, "{reply:?}");
    }
    assert_eq!(web.addresses().await, [site.url("/good"), site.url("/zzz")]);
    let crawl = source.crawled(1).await;
    assert_eq!(crawl["failure"], serde_json::Value::Null);
    assert_eq!(crawl["added"], 2);
}

#[tokio::test]
async fn what_a_server_calls_its_content_is_not_believed() {
    let web = Web::open().await;
    for (path, reply) in [
        ("/handbook", Reply::of("text/html", PDF)),
        (
            "/page.pdf",
            Reply::of("application/pdf", page("Bearings are greased.")),
        ),
        (
            "/picture.html",
            Reply::of("text/html", b"\x00\x01\x02\x03".as_slice()),
        ),
    ] {
        web.site.set(path, reply);
    }
    web.site
        .map("/map.xml", &["/handbook", "/page.pdf", "/picture.html"]);
    web.source("/map.xml", "sitemap").await;
    let documents = web.documents().await;
    let of = |path: &str| {
        let url = web.site.url(path);
        let found = documents.iter().find(|one| one["url"] == url);
        found
            .cloned()
            .unwrap_or_else(|| panic!("no document of {url}"))
    };
    assert_eq!(
        (&of("/handbook")["name"], &of("/handbook")["status"]),
        (&json!("handbook.pdf"), &json!("ready"))
    );
    assert_eq!(of("/page.pdf")["status"], "ready");
    let picture = of("/picture.html");
    assert_eq!(
        (&picture["status"], &picture["failure"]["code"]),
        (&json!("failed"), &json!("unsupported_type"))
    );
}

#[tokio::test]
async fn sitemaps_that_unfold_loop_or_never_end_are_bounded() {
    let web = Web::open().await;
    let site = &web.site;
    site.set("/good", Reply::html("Bearings are greased."));
    let bomb = packed(&vec![b' '; 60 * 1024 * 1024]);
    assert!(bomb.len() < 100_000);
    site.set("/bomb.xml.gz", Reply::of("application/gzip", bomb));
    let source = web.source("/bomb.xml.gz", "sitemap").await;
    let failure = source.crawled(1).await["failure"].clone();
    assert_eq!(failure["code"], "sitemap_too_large");

    let own = [
        site.url("/loop.xml"),
        site.url("/loop2.xml"),
        site.url("/pages.xml"),
    ];
    site.set("/loop.xml", Reply::of("text/xml", index(&own)));
    site.set("/loop2.xml", Reply::of("text/xml", index(&own[..2])));
    site.map("/pages.xml", &["/good"]);
    let source = web.source("/loop.xml", "sitemap").await;
    let crawl = source.crawled(1).await;
    // The index that names itself, and twice what it has named before.
    assert_eq!(
        counts(&crawl),
        json!({ "listed": 1, "ignored": 3, "added": 1 })
    );
    for path in ["/loop.xml", "/loop2.xml", "/pages.xml"] {
        assert_eq!(site.asked_for(path).len(), 1, "{path}");
    }
}

#[tokio::test]
async fn a_sitemap_of_more_pages_than_a_source_may_have_is_cut() {
    let web = Web::open().await;
    let urls: Vec<String> = (0..60_000)
        .map(|n| web.site.url(&format!("/{n}")))
        .collect();
    web.site
        .set("/map.xml", Reply::of("text/xml", sitemap(&urls)));
    let body = json!({ "url": web.site.url("/map.xml"), "kind": "sitemap", "max_pages": 5 });
    let source = web.admin.create(&web.path("/sources"), &body).await;
    let source = super::Source {
        web: &web,
        path: web.path(&format!("/sources/{}", text(&source["id"]))),
    };
    let crawl = source.crawled(1).await;
    assert_eq!(
        counts(&crawl),
        json!({ "listed": 5, "ignored": 59_995, "missing": 5 })
    );
}

#[tokio::test]
async fn of_an_endless_robots_file_the_beginning_counts() {
    let web = Web::open().await;
    let mut robots = "User-agent: *\nDisallow: /private\n".to_owned();
    robots.push_str(&"# nothing\n".repeat(1_024 * 1_024));
    robots.push_str("Disallow: /late\n");
    web.site.set("/robots.txt", Reply::of("text/plain", robots));
    web.site
        .set("/private", Reply::html("Bearings are greased."));
    web.site.set("/late", Reply::html("Bearings are cleaned."));
    web.site.map("/map.xml", &["/private", "/late"]);
    let source = web.source("/map.xml", "sitemap").await;
    assert_eq!(source.standing("/private").await.0, "refused");
    assert_eq!(source.standing("/late").await.0, "read");
}

#[tokio::test]
async fn a_site_that_asks_for_it_is_left_alone_for_a_while() {
    let web = Web::open().await;
    for path in ["/a", "/b"] {
        web.site.set(path, Reply::Busy(1));
    }
    web.site.map("/map.xml", &["/a", "/b"]);
    let begun = tokio::time::Instant::now();
    let source = web.source("/map.xml", "sitemap").await;
    // The second page was asked for only when the second that the first one asked for was over.
    assert!(begun.elapsed() >= Duration::from_secs(1));
    let crawl = source.crawled(1).await;
    assert_eq!(counts(&crawl), json!({ "listed": 2, "failed": 2 }));
    assert_eq!(
        web.site.asked_for("/a").len() + web.site.asked_for("/b").len(),
        2
    );
}
