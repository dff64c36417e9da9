//! What was searched for: each search as its own person's, and what all of them together tell.
//!
//! | module | holds |
//! |---|---|
//! | [`latency`] | how long searches took, in buckets |
//! | [`analytics`] | what is told of the searches of an org, and what is not |

pub mod analytics;
pub mod latency;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use kernel::{Day, OrgId, SearchId, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::event::Actor;

/// How long a search is kept, and every text that was searched for.
pub const RETENTION: Duration = Duration::from_hours(90 * 24);
/// The most characters of a query, when it is compared with others.
pub const MAX_NORMAL_CHARS: usize = 200;
/// The most hits of one search that are known as clicked.
pub const MAX_CLICKS: usize = 100;
/// The last place at which a click is taken.
pub const MAX_POSITION: u32 = 10_000;

/// Which way hits are found.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Default,
    Serialize,
    Deserialize,
    ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum SearchMode {
    /// By words.
    Text,
    /// By meaning: chunks, and nothing else.
    Semantic,
    /// Both, fused by rank. What only words can answer, they answer alone.
    #[default]
    Hybrid,
}

impl SearchMode {
    /// Every mode.
    pub const ALL: &'static [Self] = &[Self::Text, Self::Semantic, Self::Hybrid];

    /// The stable name of the mode.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Semantic => "semantic",
            Self::Hybrid => "hybrid",
        }
    }
}

impl fmt::Display for SearchMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A text that names no mode.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no mode of searching")]
pub struct UnknownMode(String);

impl FromStr for SearchMode {
    type Err = UnknownMode;

    fn from_str(text: &str) -> Result<Self, UnknownMode> {
        let known = Self::ALL.iter().find(|mode| mode.name() == text);
        known.copied().ok_or_else(|| UnknownMode(text.to_owned()))
    }
}

/// One search, as it was asked and answered. It belongs to who asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Search {
    pub id: SearchId,
    pub org: OrgId,
    pub by: Actor,
    #[serde(flatten)]
    pub asked: Asked,
    /// The hits that were clicked, in the order of their first clicks.
    pub clicks: Vec<Click>,
    /// Whether its text is among those that are counted by text.
    pub tracked: bool,
    pub at: Timestamp,
    /// Seconds since 1970, after which it is not there any more.
    pub expires_at: i64,
    pub version: u64,
}

/// What was asked of a search, and what it answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    pub mode: SearchMode,
    /// As it was written.
    pub text: String,
    /// What was looked for.
    pub kinds: Vec<String>,
    /// The names of the filters that were set.
    pub filters: Vec<String>,
    /// How many there are in all, where that is known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub total: Option<u64>,
    /// How many were shown on the first page.
    pub shown: u32,
    pub took_ms: u64,
}

impl Asked {
    /// Whether nothing was found.
    #[must_use]
    pub fn is_without_hits(&self) -> bool {
        self.shown == 0
    }
}

/// A hit of a search that somebody followed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Click {
    pub kind: String,
    pub id: String,
    /// Its place among the hits, from 1.
    pub position: u32,
    pub at: Timestamp,
}

/// Why a click was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ClickRefused {
    #[error("{MAX_CLICKS} hits of this search were clicked already")]
    TooMany,
    #[error("this search has found fewer")]
    BeyondHits,
}

impl Search {
    /// A search that was just answered.
    #[must_use]
    pub fn new(id: SearchId, org: OrgId, by: Actor, asked: Asked, at: Timestamp) -> Self {
        Self {
            id,
            org,
            by,
            asked,
            clicks: Vec::new(),
            tracked: false,
            at,
            expires_at: at.plus(RETENTION).as_seconds(),
            version: 1,
        }
    }

    /// The day that it is counted for, with all that is clicked later.
    #[must_use]
    pub fn day(&self) -> Day {
        Day::of(self.at)
    }

    /// Whether its time is over.
    #[must_use]
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires_at <= now.as_seconds()
    }

    /// How a hit was clicked first, if it was.
    #[must_use]
    pub fn click_of(&self, click: &Click) -> Option<Click> {
        let is_it = |known: &&Click| known.kind == click.kind && known.id == click.id;
        self.clicks.iter().find(is_it).cloned()
    }

    /// The same search with a click, or nothing if that hit was clicked before.
    ///
    /// # Errors
    /// [`ClickRefused`] if there can be no such click.
    pub fn clicked(&self, click: Click) -> Result<Option<Self>, ClickRefused> {
        if self.click_of(&click).is_some() {
            return Ok(None);
        }
        let most = self.asked.total.unwrap_or(u64::from(MAX_POSITION));
        if u64::from(click.position) > most {
            return Err(ClickRefused::BeyondHits);
        }
        if self.clicks.len() >= MAX_CLICKS {
            return Err(ClickRefused::TooMany);
        }
        let mut next = self.clone();
        next.clicks.push(click);
        next.version += 1;
        Ok(Some(next))
    }
}

/// A query as it is compared with others: in small letters, with single spaces, and not without end.
#[must_use]
pub fn normal(text: &str) -> String {
    let lower = text.to_lowercase();
    let words: Vec<&str> = lower.split_whitespace().collect();
    words.join(" ").chars().take(MAX_NORMAL_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use kernel::UserId;

    use super::*;

    fn search(total: Option<u64>) -> Search {
        let asked = Asked {
            mode: SearchMode::Text,
            text: "Oil".to_owned(),
            kinds: vec!["chunk".to_owned()],
            filters: Vec::new(),
            total,
            shown: 2,
            took_ms: 3,
        };
        let by = Actor::User {
            id: UserId::from_u128(3),
        };
        let at = Timestamp::from_millis(1_767_225_599_999);
        Search::new(SearchId::from_u128(1), OrgId::from_u128(2), by, asked, at)
    }

    fn click(id: &str, position: u32) -> Click {
        Click {
            kind: "chunk".to_owned(),
            id: id.to_owned(),
            position,
            at: Timestamp::from_millis(1_767_225_600_001),
        }
    }

    #[test]
    fn queries_that_differ_in_letters_case_and_spaces_are_one() {
        assert_eq!(normal("  Gear\tBOX \n oil "), "gear box oil");
        assert_eq!(normal("ÉTÉ"), "été");
        assert_eq!(normal(" \u{3000} "), "");
        assert_eq!(normal(&"é".repeat(500)).chars().count(), MAX_NORMAL_CHARS);
    }

    #[test]
    fn a_hit_is_clicked_once() {
        let first = search(Some(2)).clicked(click("a", 2)).expect("taken");
        let first = first.expect("is new");
        assert_eq!((first.version, first.clicks.len()), (2, 1));
        assert_eq!(first.clicked(click("a", 1)), Ok(None));
        let second = first.clicked(click("b", 1)).expect("taken");
        assert_eq!(second.expect("is new").clicks.len(), 2);
    }

    #[test]
    fn a_click_beyond_the_hits_is_refused_where_their_number_is_known() {
        let beyond = Err(ClickRefused::BeyondHits);
        assert_eq!(search(Some(2)).clicked(click("a", 3)), beyond);
        assert!(search(None).clicked(click("a", 3)).is_ok());
        assert_eq!(search(None).clicked(click("a", MAX_POSITION + 1)), beyond);
    }

    #[test]
    fn clicks_are_bounded() {
        let mut search = search(None);
        for number in 0..MAX_CLICKS {
            let next = search.clicked(click(&number.to_string(), 1));
            search = next.expect("taken").expect("is new");
        }
        assert_eq!(search.clicked(click("x", 1)), Err(ClickRefused::TooMany));
        assert_eq!(search.clicked(click("0", 1)), Ok(None));
    }

    #[test]
    fn a_search_is_of_the_day_it_was_made_and_is_gone_after_ninety_more() {
        let search = search(None);
        assert_eq!(search.day().to_string(), "2025-12-31");
        let end = search.at.plus(RETENTION);
        assert!(search.is_expired(end));
        assert!(!search.is_expired(end.minus(Duration::from_secs(2))));
    }

    #[test]
    fn modes_read_back() {
        for mode in SearchMode::ALL {
            assert_eq!(mode.name().parse::<SearchMode>().as_ref(), Ok(mode));
            assert_eq!(serde_json::json!(mode), serde_json::json!(mode.name()));
        }
        assert!("fuzzy".parse::<SearchMode>().is_err());
    }
}
