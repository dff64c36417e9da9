//! What a search answers.

use std::time::Duration;

use api::Listing;
use kernel::SearchId;
use serde::Serialize;
use text_index::{Correction, FacetCounts, Hit};
use utoipa::ToSchema;

use crate::find::Summary;
use crate::hit::FoundHit;
use crate::request::{FacetName, Mode};

/// A page of what was found.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SearchResults)]
pub(crate) struct Answer {
    /// Under which the search is kept, for its clicks; further pages have that of the first. Absent
    /// where the search could not be noted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) search_id: Option<SearchId>,
    pub(crate) mode: Mode,
    /// The rankings that took part.
    pub(crate) rankings: Vec<RankingName>,
    /// The best first, or in the order that was asked for.
    pub(crate) hits: Vec<FoundHit>,
    /// How many hits there are in all; absent where a ranking by meaning took part, which gives the
    /// nearest and knows no end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) total: Option<u64>,
    /// After how many hits there are no more pages; absent where pages go on to the last hit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) depth: Option<usize>,
    /// How many hits of the words have each value, over all pages.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) facets: Vec<FacetView>,
    /// Words that nothing has, and the near ones that were looked for instead.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) corrections: Vec<CorrectionView>,
    /// What people should know of the answer, such as why a ranking is missing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) notes: Vec<String>,
    /// How long the search took, in milliseconds.
    pub(crate) took_ms: u64,
    /// Give this as `cursor` to read on; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next_cursor: Option<String>,
}

impl Answer {
    /// A page as it is answered.
    pub(crate) fn new(
        search_id: Option<SearchId>,
        mode: Mode,
        summary: Summary,
        listing: Listing<Hit>,
        took: Duration,
    ) -> Self {
        let words = summary.words;
        Self {
            search_id,
            mode,
            rankings: summary.rankings,
            hits: listing.items.into_iter().map(FoundHit::from).collect(),
            total: summary.total,
            depth: summary.depth,
            facets: words.facets.into_iter().map(FacetView::from).collect(),
            corrections: words
                .corrections
                .into_iter()
                .map(CorrectionView::from)
                .collect(),
            notes: summary.notes,
            took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            next_cursor: listing.next_cursor,
        }
    }
}

/// A way of searching.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = SearchRanking)]
pub(crate) enum RankingName {
    /// By words.
    Text,
    /// By meaning.
    Semantic,
}

/// How many hits have each value of a facet, the most frequent first, at most 50.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SearchFacet)]
pub(crate) struct FacetView {
    facet: FacetName,
    values: Vec<ValueCount>,
}

/// How many hits have a value.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SearchFacetValue)]
pub(crate) struct ValueCount {
    value: String,
    count: u64,
}

impl From<FacetCounts> for FacetView {
    fn from(counts: FacetCounts) -> Self {
        let values = counts.values.into_iter();
        Self {
            facet: counts.facet.into(),
            values: values
                .map(|(value, count)| ValueCount { value, count })
                .collect(),
        }
    }
}

/// A word that nothing has, and those that were looked for instead, the nearest first.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SearchCorrection)]
pub(crate) struct CorrectionView {
    word: String,
    instead: Vec<String>,
}

impl From<Correction> for CorrectionView {
    fn from(correction: Correction) -> Self {
        Self {
            word: correction.word,
            instead: correction.instead,
        }
    }
}
