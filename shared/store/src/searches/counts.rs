//! What is counted of searches: sums of a day, and how often each query was asked on it.
//!
//! Sums are numbers alone, and stay. A query's row holds its text and expires with the searches. Both
//! lie in parts by the query's digest, so that searches of many people do not wait for each other at
//! one row.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_dynamodb::types::AttributeValue;
use domain::event::Actor;
use domain::search::analytics::{
    DayCounts, FEWEST_PEOPLE, QueryCounts, SearchAnalytics, TRACKED_QUERIES, Times, tell,
};
use domain::search::latency::bucket_of;
use domain::search::{Click, RETENTION, Search, SearchMode, normal};
use kernel::digest::sha256_hex;
use kernel::{Day, UserId};
use serde::Deserialize;
use tokio::task::JoinSet;

use super::Searches;
use crate::keys::{self, Key};
use crate::record::{Item, ShapeError};
use crate::{Commit, ReadError, Store};

/// In how many rows the sums of a day lie.
const PARTS: u32 = 16;
/// Of how many queries each of them has rows.
const TRACKED_IN_PART: u64 = TRACKED_QUERIES / PARTS as u64;
const DIGEST_CHARS: usize = 32;
/// How many partitions are read at once.
const READ_AT_ONCE: usize = 8;

/// Where the counts of a search lie.
struct Place {
    text: String,
    day: Day,
    sums: Key,
    query: Key,
}

impl Place {
    fn of(search: &Search) -> Self {
        let text = normal(&search.asked.text);
        // Searches without a text are spread as evenly by what names them.
        let named = if text.is_empty() {
            search.id.to_string()
        } else {
            text.clone()
        };
        let mut digest = sha256_hex(named.as_bytes());
        digest.truncate(DIGEST_CHARS);
        let part = u32::from_str_radix(&digest[..4], 16).unwrap_or(0) % PARTS;
        let day = search.day();
        Self {
            sums: keys::search_counts(search.org, part, day),
            query: keys::searched_query(search.org, day, &digest),
            text,
            day,
        }
    }
}

/// How a search is counted by its text.
enum ByText {
    /// It has none.
    Without,
    /// There are too many others.
    Untracked,
    Tracked {
        is_new: bool,
        /// Who asked becomes one of those who are known to have.
        person: Option<UserId>,
    },
}

/// A search about to be counted.
pub(super) struct Counted {
    place: Place,
    by_text: ByText,
}

/// Finds out how a search is counted. Two that come at once may both find their query new, or one of
/// its first people: bounds are exceeded by so many, and sums stay right.
pub(super) async fn weigh(store: &Store, search: &Search) -> Result<Counted, ReadError> {
    let place = Place::of(search);
    if place.text.is_empty() {
        return Ok(Counted {
            place,
            by_text: ByText::Without,
        });
    }
    let (sums, query) =
        tokio::try_join!(store.get_item(&place.sums), store.get_item(&place.query))?;
    let known = query.map(query_of).transpose()?;
    let is_new = known.is_none();
    let queries = sums.map_or(0, |item| number(&item, "queries"));
    let by_text = if is_new && queries >= TRACKED_IN_PART {
        ByText::Untracked
    } else {
        let people = known.map(|known| known.people).unwrap_or_default();
        let person = person(search.by)
            .filter(|person| people.len() < FEWEST_PEOPLE && !people.contains(person));
        ByText::Tracked { is_new, person }
    };
    Ok(Counted { place, by_text })
}

impl Counted {
    /// Whether the search is counted by its text, and its clicks will be.
    pub(super) fn is_by_text(&self) -> bool {
        matches!(self.by_text, ByText::Tracked { .. })
    }

    /// Adds to a change that a search was answered.
    pub(super) fn add_search(self, commit: Commit, search: &Search) -> Commit {
        let asked = &search.asked;
        let mode = asked.mode;
        let mut sums = vec![
            one(format!("searches_{mode}")),
            one(format!("took_{mode}_{}", bucket_of(asked.took_ms))),
        ];
        if asked.is_without_hits() {
            sums.push(one("without_hits"));
        }
        let (is_new, person) = match self.by_text {
            ByText::Without => return commit.add_all(self.place.sums, sums, Vec::new()),
            ByText::Untracked => {
                sums.push(one("untracked"));
                return commit.add_all(self.place.sums, sums, Vec::new());
            }
            ByText::Tracked { is_new, person } => (is_new, person),
        };
        if is_new {
            sums.push(one("queries"));
        }
        let group = group(search.by);
        let mut counts = vec![one(format!("{group}_searches"))];
        if asked.is_without_hits() {
            counts.push(one(format!("{group}_without_hits")));
        }
        if let Some(person) = person {
            let set = AttributeValue::Ss(vec![person.to_string()]);
            counts.push(("people".to_owned(), set));
        }
        let described = self.place.described();
        commit.add_all(self.place.sums, sums, Vec::new()).add_all(
            self.place.query,
            counts,
            described,
        )
    }
}

/// Adds to a change that a hit of a search was clicked.
pub(super) fn add_click(commit: Commit, search: &Search, click: &Click) -> Commit {
    let place = Place::of(search);
    let position = AttributeValue::N(click.position.to_string());
    let mut sums = vec![one("clicks"), ("positions".to_owned(), position)];
    if search.clicks.is_empty() {
        sums.push(one("clicked"));
    }
    let described = place.described();
    let commit = commit.add_all(place.sums, sums, Vec::new());
    if !search.tracked {
        return commit;
    }
    let clicks = one(format!("{}_clicks", group(search.by)));
    commit.add_all(place.query, vec![clicks], described)
}

impl Place {
    /// What a query's row says beside its counts, whoever writes it first.
    fn described(&self) -> Vec<(&'static str, AttributeValue)> {
        let expires_at = self.day.plus_days(1).start().plus(RETENTION).as_seconds();
        vec![
            ("text", AttributeValue::S(self.text.clone())),
            ("expires_at", AttributeValue::N(expires_at.to_string())),
        ]
    }
}

fn one(attribute: impl Into<String>) -> (String, AttributeValue) {
    (attribute.into(), AttributeValue::N("1".to_owned()))
}

fn person(by: Actor) -> Option<UserId> {
    match by {
        Actor::User { id } => Some(id),
        Actor::ApiKey { .. } | Actor::Agent { .. } | Actor::System => None,
    }
}

/// People and machines are counted apart.
fn group(by: Actor) -> &'static str {
    match person(by) {
        Some(_) => "people",
        None => "machines",
    }
}

impl Searches<'_> {
    /// What the searches of these days tell together, with at most `most` queries in each list.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn analytics(
        &self,
        from: Day,
        before: Day,
        most: usize,
    ) -> Result<SearchAnalytics, ReadError> {
        let (org, now) = (self.tenant.org(), self.store.now());
        let last = before.minus_days(1);
        let sums = (0..PARTS).map(|part| {
            let key = |day| keys::search_counts(org, part, day);
            (key(from), key(last))
        });
        // Digests are of hexadecimal digits.
        let queries = from.until(before).map(|day| {
            let key = |digest| keys::searched_query(org, day, digest);
            (key("0"), key("g"))
        });
        let sums = self.read(sums.collect()).await?;
        let queries = self.read(queries.collect()).await?;
        let mut days: BTreeMap<Day, DayCounts> = BTreeMap::new();
        for item in &sums {
            if let Some(day) = day_of(item) {
                *days.entry(day).or_default() += &day_counts(item);
            }
        }
        let queries: Vec<QueryRow> = queries
            .into_iter()
            .map(query_of)
            .collect::<Result<_, _>>()?;
        let queries = queries
            .into_iter()
            .filter(|row| row.expires_at > now.as_seconds())
            .map(QueryCounts::from);
        Ok(tell((from, before), &days, queries, most, now))
    }

    /// The items of these ranges, in no certain order.
    async fn read(&self, ranges: Vec<(Key, Key)>) -> Result<Vec<Item>, ReadError> {
        let mut items = Vec::new();
        for ranges in ranges.chunks(READ_AT_ONCE) {
            let mut reading = JoinSet::new();
            for range in ranges {
                let (store, (first, last)) = (self.store.clone(), range.clone());
                reading.spawn(async move { store.items_between(&first, &last).await });
            }
            while let Some(read) = reading.join_next().await {
                let read = read.map_err(|error| ReadError::Unavailable(error.to_string()))?;
                items.extend(read?);
            }
        }
        Ok(items)
    }
}

/// A query's row. It is only ever added to, so no code writes it whole.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
struct QueryRow {
    text: String,
    expires_at: i64,
    people: BTreeSet<UserId>,
    people_searches: u64,
    people_without_hits: u64,
    people_clicks: u64,
    machines_searches: u64,
    machines_without_hits: u64,
    machines_clicks: u64,
}

impl From<QueryRow> for QueryCounts {
    fn from(row: QueryRow) -> Self {
        Self {
            text: row.text,
            people: row.people,
            by_people: Times {
                searches: row.people_searches,
                without_hits: row.people_without_hits,
                clicks: row.people_clicks,
            },
            by_machines: Times {
                searches: row.machines_searches,
                without_hits: row.machines_without_hits,
                clicks: row.machines_clicks,
            },
        }
    }
}

fn query_of(item: Item) -> Result<QueryRow, ShapeError> {
    serde_dynamo::from_item(item).map_err(|source| ShapeError::new("searched query", source))
}

fn number(item: &Item, name: &str) -> u64 {
    item.get(name)
        .and_then(|value| value.as_n().ok())
        .and_then(|digits| digits.parse().ok())
        .unwrap_or(0)
}

fn day_of(item: &Item) -> Option<Day> {
    item.get("sk")?.as_s().ok()?.parse().ok()
}

fn day_counts(item: &Item) -> DayCounts {
    let mut counts = DayCounts {
        without_hits: number(item, "without_hits"),
        clicked: number(item, "clicked"),
        clicks: number(item, "clicks"),
        positions: number(item, "positions"),
        untracked: number(item, "untracked"),
        ..DayCounts::default()
    };
    for mode in SearchMode::ALL {
        let searches = number(item, &format!("searches_{mode}"));
        if searches > 0 {
            counts.searches.insert(*mode, searches);
        }
    }
    for name in item.keys() {
        let Some((mode, bucket)) = took(name) else {
            continue;
        };
        let histogram = counts.took.entry(mode).or_default();
        histogram.add(bucket, number(item, name));
    }
    counts
}

/// The mode and the bucket that an attribute counts, if it counts any.
fn took(name: &str) -> Option<(SearchMode, u16)> {
    let (mode, bucket) = name.strip_prefix("took_")?.split_once('_')?;
    Some((mode.parse().ok()?, bucket.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use domain::search::Asked;
    use kernel::{ApiKeyId, OrgId, SearchId, Timestamp};

    use super::*;

    fn search(text: &str, by: Actor) -> Search {
        let asked = Asked {
            mode: SearchMode::Hybrid,
            text: text.to_owned(),
            kinds: Vec::new(),
            filters: Vec::new(),
            total: None,
            shown: 0,
            took_ms: 20,
        };
        let at = Timestamp::from_millis(1_767_225_600_000);
        Search::new(SearchId::from_u128(1), OrgId::from_u128(2), by, asked, at)
    }

    fn item(attributes: &[(&str, AttributeValue)]) -> Item {
        let attributes = attributes.iter().cloned();
        attributes
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    }

    fn n(number: u64) -> AttributeValue {
        AttributeValue::N(number.to_string())
    }

    #[test]
    fn the_same_query_is_counted_in_the_same_place_however_it_is_written() {
        let by = Actor::System;
        let (a, b) = (
            Place::of(&search("Gear  Box", by)),
            Place::of(&search("gear box ", by)),
        );
        assert_eq!((&a.sums, &a.query), (&b.sums, &b.query));
        assert_eq!(a.query.sk.len(), DIGEST_CHARS);
        assert_ne!(Place::of(&search("gear", by)).query, a.query);
    }

    #[test]
    fn a_querys_row_expires_ninety_days_after_its_day() {
        let described = Place::of(&search("oil", Actor::System)).described();
        let expiry = described.iter().find(|(name, _)| *name == "expires_at");
        // 2026-04-02, at midnight.
        assert_eq!(
            expiry.map(|(_, value)| value.clone()),
            Some(n(1_775_088_000))
        );
    }

    #[test]
    fn sums_read_back_as_they_are_stored() {
        let stored = item(&[
            ("pk", AttributeValue::S("ORG#x".to_owned())),
            ("sk", AttributeValue::S("2026-01-31".to_owned())),
            ("searches_text", n(3)),
            ("searches_hybrid", n(2)),
            ("took_text_5", n(2)),
            ("took_text_111", n(1)),
            ("took_hybrid_17", n(2)),
            ("without_hits", n(1)),
            ("clicked", n(2)),
            ("clicks", n(4)),
            ("positions", n(9)),
            ("queries", n(3)),
            ("untracked", n(1)),
        ]);
        assert_eq!(
            day_of(&stored).map(|day| day.to_string()).as_deref(),
            Some("2026-01-31")
        );
        let counts = day_counts(&stored);
        assert_eq!(counts.searches[&SearchMode::Text], 3);
        assert_eq!(counts.took[&SearchMode::Text].percentile(50), Some(5));
        assert_eq!(counts.took.len(), 2);
        let sums = [
            counts.without_hits,
            counts.clicked,
            counts.clicks,
            counts.positions,
            counts.untracked,
        ];
        assert_eq!(sums, [1, 2, 4, 9, 1]);
    }

    #[test]
    fn a_querys_row_reads_back_as_it_is_stored() {
        let person = UserId::from_u128(3);
        let stored = item(&[
            ("pk", AttributeValue::S("ORG#x".to_owned())),
            ("sk", AttributeValue::S("00ff".to_owned())),
            ("text", AttributeValue::S("oil".to_owned())),
            ("expires_at", n(1_775_088_000)),
            ("people", AttributeValue::Ss(vec![person.to_string()])),
            ("people_searches", n(2)),
            ("machines_without_hits", n(1)),
            ("machines_searches", n(5)),
            ("people_clicks", n(7)),
        ]);
        let row = query_of(stored).expect("a row");
        assert_eq!(row.expires_at, 1_775_088_000);
        let counts = QueryCounts::from(row);
        assert_eq!(counts.people, BTreeSet::from([person]));
        assert_eq!((counts.by_people.searches, counts.by_people.clicks), (2, 7));
        let machines = counts.by_machines;
        assert_eq!((machines.searches, machines.without_hits), (5, 1));
    }

    #[test]
    fn machines_are_no_people() {
        let key = Actor::ApiKey {
            id: ApiKeyId::from_u128(1),
        };
        assert_eq!((person(key), group(key)), (None, "machines"));
        let user = Actor::User {
            id: UserId::from_u128(1),
        };
        assert_eq!(group(user), "people");
    }
}
