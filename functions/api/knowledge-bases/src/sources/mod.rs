//! Places on the web that a knowledge base is filled from.

use api::Problem;
use domain::source::{Crawl, WebSource, WebSourceStatus};
use serde::Serialize;
use utoipa::ToSchema;

pub(crate) mod create;
pub(crate) mod delete;
pub(crate) mod get;
pub(crate) mod list;
pub(crate) mod pages;
pub(crate) mod refresh;
pub(crate) mod update;

/// A source, and its latest crawl.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SourceView {
    #[serde(flatten)]
    source: WebSource,
    /// How far it is, or what came of it; absent until the first begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    crawl: Option<Crawl>,
}

/// Refuses what can be done to no source on its way out.
fn refuse_deleting(source: &WebSource) -> Result<(), Problem> {
    if source.status == WebSourceStatus::Deleting {
        return Err(Problem::conflict(
            "source_deleting",
            "This source is being deleted.",
        ));
    }
    Ok(())
}

/// How often a source is crawled, as people say it.
fn interval(hours: &Option<u32>, (): &()) -> garde::Result {
    match hours {
        None | Some(1..=domain::source::MAX_INTERVAL_HOURS) => Ok(()),
        Some(_) => Err(garde::Error::new("must be from 1 to 8760, or null")),
    }
}
