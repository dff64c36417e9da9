//! `/v1/knowledge-bases/{id}/sources`: knowledge bases that are filled from the web.

mod deaths;
mod hostile;
mod pages;
mod site;
mod sitemaps;
mod steering;

use outbound::Policy;
use serde_json::{Value, json};

use self::site::Site;
use crate::support::{Api, Setup, World, eventually, text};

/// A world whose crawls may reach a site, and a knowledge base.
struct Web {
    world: World,
    admin: Api,
    site: Site,
    base: String,
}

impl Web {
    async fn open() -> Self {
        Self::with(Setup::default()).await
    }

    async fn with(setup: Setup) -> Self {
        let site = Site::open().await;
        let world = World::with(Setup {
            outbound: Policy::public().allow_loopback_ports([site.port]),
            ..setup
        })
        .await;
        let admin = world.founder("ada").await;
        let base = json!({ "name": "Handbooks" });
        let base = admin.create("/v1/knowledge-bases", &base).await;
        Self {
            world,
            admin,
            site,
            base: text(&base["id"]),
        }
    }

    fn path(&self, rest: &str) -> String {
        format!("/v1/knowledge-bases/{}{rest}", self.base)
    }

    /// Makes a source of a path, and waits until it was crawled.
    async fn source(&self, path: &str, kind: &str) -> Source<'_> {
        let source = self.begun(path, kind).await;
        source.crawled(1).await;
        source
    }

    /// Makes a source of a path.
    async fn begun(&self, path: &str, kind: &str) -> Source<'_> {
        let body = json!({ "url": self.site.url(path), "kind": kind });
        let source = self.admin.create(&self.path("/sources"), &body).await;
        Source {
            web: self,
            path: self.path(&format!("/sources/{}", text(&source["id"]))),
        }
    }

    /// The documents, once none is being indexed any more.
    async fn documents(&self) -> Vec<Value> {
        eventually("the documents are indexed", async || {
            let documents = self.admin.list(&self.path("/documents")).await;
            let waits = documents.iter().any(|one| one["status"] == "indexing");
            (!waits).then_some(documents)
        })
        .await
    }

    /// The addresses of the documents that can be found.
    async fn addresses(&self) -> Vec<String> {
        let documents = self.documents().await;
        let ready = documents.iter().filter(|one| one["status"] == "ready");
        let mut addresses: Vec<String> = ready.map(|one| text(&one["url"])).collect();
        addresses.sort();
        addresses
    }

    async fn search(&self, query: &str) -> Vec<Value> {
        let body = json!({ "query": query, "limit": 3 });
        let found = self.admin.post(&self.path("/search"), &body).await.ok();
        found["passages"].as_array().expect("passages").clone()
    }
}

struct Source<'a> {
    web: &'a Web,
    path: String,
}

impl Source<'_> {
    async fn get(&self) -> Value {
        self.web.admin.get(&self.path).await.ok()
    }

    /// The crawl of this number, once it has ended.
    async fn crawled(&self, number: u64) -> Value {
        eventually("the crawl ends", async || {
            let source = self.get().await;
            let has_ended = source["crawl"]["stage"] == "ended";
            (has_ended && source["crawl"]["number"] == number).then(|| source["crawl"].clone())
        })
        .await
    }

    /// Has it crawled once more, to the end.
    async fn again(&self) -> Value {
        let number = self.get().await["crawl"]["number"].as_u64();
        let path = format!("{}/refresh", self.path);
        self.web.admin.post(&path, &json!({})).await.ok();
        self.crawled(number.expect("a number") + 1).await
    }

    /// Where the page of a path stands.
    async fn page(&self, path: &str) -> Value {
        let url = self.web.site.url(path);
        let pages = self.pages("").await;
        let page = pages.into_iter().find(|page| page["url"] == url);
        page.unwrap_or_else(|| panic!("no page {url}"))
    }

    async fn pages(&self, query: &str) -> Vec<Value> {
        let path = format!("{}/pages{query}", self.path);
        self.web.admin.list(&path).await
    }

    /// Status and code of the reason of the page of a path.
    async fn standing(&self, path: &str) -> (String, Option<String>) {
        let page = self.page(path).await;
        let code = page["reason"]["code"].as_str().map(str::to_owned);
        (text(&page["status"]), code)
    }
}

/// Of the counts of a crawl, those that are not zero.
fn counts(crawl: &Value) -> Value {
    let names = [
        "listed",
        "ignored",
        "added",
        "changed",
        "unchanged",
        "failed",
        "refused",
        "missing",
        "removed",
    ];
    let counted = names.into_iter().filter(|name| crawl[name] != 0);
    let counted = counted.map(|name| (name.to_owned(), crawl[name].clone()));
    Value::Object(counted.collect())
}
