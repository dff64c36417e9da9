//! What is told of the searches of an org: numbers of all of them, and the texts of those that
//! nobody has for themselves.
//!
//! A person's queries are theirs. A text is told with the searches of people once at least
//! [`FEWEST_PEOPLE`] have asked it in the time that is looked at; below that, only how many such
//! searches there were. What machines ask is the org's own, and is counted apart, so that nobody
//! learns by a key's query who else has asked the same.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::AddAssign;

use kernel::{Day, Timestamp, UserId};
use serde::Serialize;
use utoipa::ToSchema;

use super::SearchMode;
use super::latency::Histogram;

/// How many people must have asked a query before its text is told with their searches.
pub const FEWEST_PEOPLE: usize = 3;
/// The most days that are looked at together.
pub const MAX_DAYS: u32 = 31;
/// Of how many different queries of a day searches are counted by text; beyond, only in the sums.
pub const TRACKED_QUERIES: u64 = 512;

/// What was counted of the searches of a day.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DayCounts {
    pub searches: BTreeMap<SearchMode, u64>,
    pub took: BTreeMap<SearchMode, Histogram>,
    pub without_hits: u64,
    /// Searches of which a hit was clicked.
    pub clicked: u64,
    pub clicks: u64,
    /// The places of all clicks, added up.
    pub positions: u64,
    /// Searches whose text is not counted, since there were too many others.
    pub untracked: u64,
}

impl DayCounts {
    fn all(&self) -> u64 {
        self.searches.values().sum()
    }

    fn of(&self, mode: SearchMode) -> u64 {
        self.searches.get(&mode).copied().unwrap_or(0)
    }
}

impl AddAssign<&Self> for DayCounts {
    fn add_assign(&mut self, other: &Self) {
        for (mode, count) in &other.searches {
            *self.searches.entry(*mode).or_default() += count;
        }
        for (mode, took) in &other.took {
            self.took.entry(*mode).or_default().merge(took);
        }
        self.without_hits += other.without_hits;
        self.clicked += other.clicked;
        self.clicks += other.clicks;
        self.positions += other.positions;
        self.untracked += other.untracked;
    }
}

/// How often a query was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Times {
    pub searches: u64,
    pub without_hits: u64,
    pub clicks: u64,
}

impl AddAssign for Times {
    fn add_assign(&mut self, other: Self) {
        self.searches += other.searches;
        self.without_hits += other.without_hits;
        self.clicks += other.clicks;
    }
}

/// What was counted of one query on a day.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct QueryCounts {
    /// The query, as queries are compared.
    pub text: String,
    /// Who asked, as far as it takes to know that they are enough.
    pub people: BTreeSet<UserId>,
    pub by_people: Times,
    pub by_machines: Times,
}

impl QueryCounts {
    /// What may be told, and what may not.
    fn parted(&self) -> (Times, Times) {
        let mut told = self.by_machines;
        if self.people.len() >= FEWEST_PEOPLE {
            told += self.by_people;
            return (told, Times::default());
        }
        (told, self.by_people)
    }
}

/// What the searches of an organization tell together.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct SearchAnalytics {
    /// The first day that is counted.
    pub from: Day,
    /// The day after the last one that is counted.
    pub before: Day,
    /// Searches, without further pages.
    pub searches: u64,
    /// Searches that found nothing.
    pub without_hits: u64,
    /// Searches of which at least one hit was clicked.
    pub clicked: u64,
    /// Those among all searches, in percent; absent without searches.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub click_through_percent: Option<f64>,
    /// Hits that were clicked.
    pub clicks: u64,
    /// The mean place of the hits that were clicked, from 1; absent without clicks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mean_clicked_position: Option<f64>,
    /// How long searches took, all of them and by mode. Each figure is within a sixteenth of what was
    /// measured.
    pub latency: Vec<Latency>,
    /// Every day of the time that is looked at, first to last.
    pub days: Vec<DayOfSearches>,
    /// What was asked most, as far as it may be told.
    pub top_queries: Vec<AskedQuery>,
    /// What found nothing most often, as far as it may be told.
    pub queries_without_hits: Vec<AskedQuery>,
    /// What is not told by its text, since too few people have asked it.
    pub withheld: Withheld,
    /// Searches that are not counted by text, since their day had too many different ones.
    pub untracked_searches: u64,
    /// When this was counted; every search that was answered before is in it.
    pub as_of: Timestamp,
}

/// How long searches took.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = SearchLatency)]
pub struct Latency {
    /// Only searches in this mode; absent for all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<SearchMode>,
    pub searches: u64,
    /// Half of them took no longer.
    pub p50_ms: u64,
    /// 95 of 100 took no longer.
    pub p95_ms: u64,
}

/// The searches of one day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct DayOfSearches {
    pub day: Day,
    pub searches: u64,
    /// Of these, by words.
    pub text: u64,
    /// Of these, by meaning.
    pub semantic: u64,
    /// Of these, by both.
    pub hybrid: u64,
    pub without_hits: u64,
    pub clicked: u64,
    pub clicks: u64,
}

/// A query, and how often it was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct AskedQuery {
    /// In small letters and at most 200 characters.
    pub query: String,
    pub searches: u64,
    pub without_hits: u64,
    pub clicks: u64,
}

/// Queries of people that fewer than three of them have asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = WithheldQueries)]
pub struct Withheld {
    pub queries: u64,
    pub searches: u64,
}

/// What is told of what was counted on these days and of these queries, with at most `most` queries
/// in each list.
#[must_use]
pub fn tell(
    (from, before): (Day, Day),
    days: &BTreeMap<Day, DayCounts>,
    queries: impl IntoIterator<Item = QueryCounts>,
    most: usize,
    as_of: Timestamp,
) -> SearchAnalytics {
    let mut all = DayCounts::default();
    for counts in days.values() {
        all += counts;
    }
    let (told, withheld) = part(queries);
    SearchAnalytics {
        from,
        before,
        searches: all.all(),
        without_hits: all.without_hits,
        clicked: all.clicked,
        click_through_percent: share(all.clicked.saturating_mul(100), all.all()),
        clicks: all.clicks,
        mean_clicked_position: share(all.positions, all.clicks),
        latency: latency(&all),
        days: from
            .until(before)
            .map(|day| day_of(day, days.get(&day).unwrap_or(&DayCounts::default())))
            .collect(),
        top_queries: top(&told, most, |query| query.searches),
        queries_without_hits: top(&told, most, |query| query.without_hits),
        withheld,
        untracked_searches: all.untracked,
        as_of,
    }
}

/// Queries by text over all days, those that may be told and the number of the others.
fn part(queries: impl IntoIterator<Item = QueryCounts>) -> (Vec<AskedQuery>, Withheld) {
    let mut by_text: BTreeMap<String, QueryCounts> = BTreeMap::new();
    for counts in queries {
        let known = by_text.entry(counts.text).or_default();
        known.people.extend(counts.people);
        known.by_people += counts.by_people;
        known.by_machines += counts.by_machines;
    }
    let mut told = Vec::new();
    let mut withheld = Withheld {
        queries: 0,
        searches: 0,
    };
    for (text, counts) in by_text {
        let (shown, hidden) = counts.parted();
        withheld.queries += u64::from(hidden.searches > 0);
        withheld.searches += hidden.searches;
        if shown.searches > 0 {
            told.push(AskedQuery {
                query: text,
                searches: shown.searches,
                without_hits: shown.without_hits,
                clicks: shown.clicks,
            });
        }
    }
    (told, withheld)
}

fn top(queries: &[AskedQuery], most: usize, by: fn(&AskedQuery) -> u64) -> Vec<AskedQuery> {
    let counted = queries.iter().filter(|query| by(query) > 0);
    let mut found: Vec<AskedQuery> = counted.cloned().collect();
    found.sort_by(|a, b| by(b).cmp(&by(a)).then_with(|| a.query.cmp(&b.query)));
    found.truncate(most);
    found
}

fn latency(all: &DayCounts) -> Vec<Latency> {
    let mut sum = Histogram::default();
    for took in all.took.values() {
        sum.merge(took);
    }
    let by_mode = all.took.iter().map(|(mode, took)| (Some(*mode), took));
    std::iter::once((None, &sum))
        .chain(by_mode)
        .filter_map(|(mode, took)| {
            Some(Latency {
                mode,
                searches: mode.map_or_else(|| all.all(), |mode| all.of(mode)),
                p50_ms: took.percentile(50)?,
                p95_ms: took.percentile(95)?,
            })
        })
        .collect()
}

fn day_of(day: Day, counts: &DayCounts) -> DayOfSearches {
    DayOfSearches {
        day,
        searches: counts.all(),
        text: counts.of(SearchMode::Text),
        semantic: counts.of(SearchMode::Semantic),
        hybrid: counts.of(SearchMode::Hybrid),
        without_hits: counts.without_hits,
        clicked: counts.clicked,
        clicks: counts.clicks,
    }
}

/// `part` of `whole`, to two decimals; none of nothing.
fn share(part: u64, whole: u64) -> Option<f64> {
    let hundredths = part.saturating_mul(100).checked_div(whole)?;
    Some(f64::from(u32::try_from(hundredths).unwrap_or(u32::MAX)) / 100.0)
}

#[cfg(test)]
mod tests {
    use super::super::latency::bucket_of;
    use super::*;

    fn day(text: &str) -> Day {
        text.parse().expect("a day")
    }

    fn times(searches: u64) -> Times {
        Times {
            searches,
            ..Times::default()
        }
    }

    fn query(text: &str, people: &[u128], by_people: u64, by_machines: u64) -> QueryCounts {
        QueryCounts {
            text: text.to_owned(),
            people: people.iter().map(|id| UserId::from_u128(*id)).collect(),
            by_people: times(by_people),
            by_machines: times(by_machines),
        }
    }

    fn told(queries: Vec<QueryCounts>) -> SearchAnalytics {
        let range = (day("2026-01-01"), day("2026-01-03"));
        let now = Timestamp::from_millis(0);
        tell(range, &BTreeMap::new(), queries, 10, now)
    }

    fn shown(analytics: &SearchAnalytics) -> Vec<(&str, u64)> {
        let queries = analytics.top_queries.iter();
        queries
            .map(|query| (query.query.as_str(), query.searches))
            .collect()
    }

    #[test]
    fn what_fewer_than_three_people_have_asked_is_counted_and_not_told() {
        let analytics = told(vec![
            query("one", &[1], 5, 0),
            query("two", &[1, 2], 9, 0),
            query("three", &[1, 2, 3], 3, 0),
        ]);
        assert_eq!(shown(&analytics), [("three", 3)]);
        let withheld = analytics.withheld;
        assert_eq!((withheld.queries, withheld.searches), (2, 14));
    }

    #[test]
    fn people_of_several_days_count_together_and_the_same_person_once() {
        let analytics = told(vec![
            query("spread", &[1], 1, 0),
            query("spread", &[2], 1, 0),
            query("spread", &[3], 2, 0),
            query("again", &[1], 1, 0),
            query("again", &[1], 1, 0),
            query("again", &[2], 1, 0),
        ]);
        assert_eq!(shown(&analytics), [("spread", 4)]);
    }

    #[test]
    fn a_machines_query_tells_nothing_of_the_people_who_ask_the_same() {
        let analytics = told(vec![query("raise", &[1, 2], 7, 1)]);
        assert_eq!(shown(&analytics), [("raise", 1)]);
        assert_eq!(analytics.withheld.searches, 7);
    }

    #[test]
    fn lists_are_bounded_and_ordered_by_number_then_text() {
        let queries = (0..20).map(|n| query(&format!("q{n:02}"), &[], 0, 1 + n / 15));
        let range = (day("2026-01-01"), day("2026-01-02"));
        let analytics = tell(
            range,
            &BTreeMap::new(),
            queries.collect::<Vec<_>>(),
            7,
            Timestamp::from_millis(0),
        );
        let names: Vec<&str> = shown(&analytics).iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["q15", "q16", "q17", "q18", "q19", "q00", "q01"]);
        assert_eq!(analytics.queries_without_hits, []);
    }

    #[test]
    fn days_without_searches_are_told_as_such_and_sums_are_of_all_days() {
        let mut first = DayCounts {
            searches: [(SearchMode::Text, 3), (SearchMode::Hybrid, 1)].into(),
            without_hits: 1,
            clicked: 1,
            clicks: 2,
            positions: 5,
            ..DayCounts::default()
        };
        let mut took = Histogram::default();
        took.add(bucket_of(8), 3);
        first.took.insert(SearchMode::Text, took);
        let days = [(day("2026-01-02"), first)].into();
        let range = (day("2026-01-01"), day("2026-01-04"));
        let analytics = tell(range, &days, [], 5, Timestamp::from_millis(0));
        let by_day: Vec<u64> = analytics.days.iter().map(|day| day.searches).collect();
        assert_eq!(by_day, [0, 4, 0]);
        assert_eq!(analytics.click_through_percent, Some(25.0));
        assert_eq!(analytics.mean_clicked_position, Some(2.5));
        let modes: Vec<_> = analytics.latency.iter().map(|one| one.mode).collect();
        assert_eq!(modes, [None, Some(SearchMode::Text)]);
        assert_eq!(analytics.latency[1].p95_ms, 8);
    }

    #[test]
    fn of_nothing_there_is_no_share() {
        let analytics = told(Vec::new());
        assert_eq!(analytics.click_through_percent, None);
        assert_eq!(analytics.mean_clicked_position, None);
        assert_eq!(analytics.latency, []);
        assert_eq!(share(1, 3), Some(0.33));
    }
}
