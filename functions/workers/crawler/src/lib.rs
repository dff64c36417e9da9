//! From an address to documents, and to nothing again.
//!
//! | job | what it does | file |
//! |---|---|---|
//! | `source.crawl` | finds out which pages a source has, and reads those that changed | `crawl.rs`, `listing.rs`, `page.rs` |
//! | `source.remove` | removes what a deleted source has brought, and then the source | `remove.rs` |
//!
//! | question | answer | file |
//! |---|---|---|
//! | what may be asked for, and when | addresses, `robots.txt`, turns at hosts, redirects | `visit.rs`, `robots.rs` |
//! | which pages does a sitemap list | XML, text, packed, an index of others | `sitemap.rs` |
//!
//! A page becomes a file of its knowledge base, and is read and embedded as any other file is. A
//! crawl goes from page to page; what became of each is one commit under the job's fence, which also
//! says where the crawl stands. So a crawl may be interrupted after any page, and goes on behind it.

mod crawl;
mod listing;
mod page;
mod remove;
mod robots;
mod sitemap;
mod trouble;
mod visit;

use std::sync::Arc;
use std::time::Duration;

use outbound::{Client, Limits, Policy};
use store::Store;
use work::Handler;

/// How the web is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The least time between two requests of an org to one host.
    pub pace: Duration,
    /// The limits of one request. Bytes are bounded by what is asked for.
    pub limits: Limits,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            pace: Duration::from_secs(1),
            limits: Limits::default(),
        }
    }
}

/// Runs this worker on Lambda.
///
/// # Errors
/// An unusable environment, or a runtime that cannot go on.
pub async fn serve() -> Result<(), lambda::Error> {
    let outbound = Client::new(Policy::public())?;
    lambda::worker(|store| Ok(handlers(store, outbound, Settings::default()))).await
}

/// The handlers of this worker.
#[must_use]
pub fn handlers(store: &Store, outbound: Client, settings: Settings) -> Vec<Arc<dyn Handler>> {
    vec![
        Arc::new(crawl::CrawlSource {
            store: store.clone(),
            web: visit::Web::new(outbound, settings),
        }),
        Arc::new(remove::RemoveSource {
            store: store.clone(),
        }),
    ]
}
