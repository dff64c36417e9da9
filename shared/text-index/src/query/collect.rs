//! The hits of one page: the best that come after a position. And items that are known by name.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet};
use std::sync::Arc;

use tantivy::collector::{Collector, SegmentCollector};
use tantivy::columnar::Column;
use tantivy::{DocAddress, DocId, Score, SegmentOrdinal, SegmentReader};

use super::Sort;
use crate::schema::column;

/// Where a page ended: the rank of its last hit, which is the same in every state of the index
/// that holds it, however its segments lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    order: Order,
    rank: Rank,
}

/// The higher, the earlier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    /// Score or time, as a number of the same order.
    first: u64,
    tie: u64,
}

impl Position {
    /// As text, for a cursor.
    #[must_use]
    pub fn encode(&self) -> String {
        format!(
            "{}.{:x}.{:x}",
            self.order.name(),
            self.rank.first,
            self.rank.tie
        )
    }

    /// Back from text; `None` if it is none.
    #[must_use]
    pub fn decode(text: &str) -> Option<Self> {
        let mut parts = text.split('.');
        let name = parts.next()?;
        let order = Order::ALL.into_iter().find(|order| order.name() == name)?;
        let number = |part: &str| u64::from_str_radix(part, 16).ok();
        let rank = Rank {
            first: number(parts.next()?)?,
            tie: number(parts.next()?)?,
        };
        parts.next().is_none().then_some(Self { order, rank })
    }
}

/// What hits are ranked by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    Score,
    Time {
        column: &'static str,
        oldest_first: bool,
    },
}

impl Order {
    const ALL: [Self; 5] = [
        Self::Score,
        Self::time(column::CREATED_AT, false),
        Self::time(column::CREATED_AT, true),
        Self::time(column::UPDATED_AT, false),
        Self::time(column::UPDATED_AT, true),
    ];

    const fn time(column: &'static str, oldest_first: bool) -> Self {
        Self::Time {
            column,
            oldest_first,
        }
    }

    /// The order of a sort. Without words, nothing is more relevant than anything else.
    pub(crate) fn of(sort: Sort, has_words: bool) -> Self {
        match sort {
            Sort::Relevance if has_words => Self::Score,
            Sort::Relevance | Sort::Newest => Self::time(column::CREATED_AT, false),
            Sort::Oldest => Self::time(column::CREATED_AT, true),
            Sort::RecentlyUpdated => Self::time(column::UPDATED_AT, false),
            Sort::LeastRecentlyUpdated => Self::time(column::UPDATED_AT, true),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Score => "s",
            Self::Time {
                column: column::CREATED_AT,
                oldest_first: false,
            } => "cd",
            Self::Time {
                column: column::CREATED_AT,
                ..
            } => "ca",
            Self::Time {
                oldest_first: false,
                ..
            } => "ud",
            Self::Time { .. } => "ua",
        }
    }
}

/// Collects one page.
pub(crate) struct PageCollector {
    order: Order,
    after: Option<Rank>,
    limit: usize,
}

/// One hit of a page.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Ranked {
    pub address: DocAddress,
    pub score: Score,
    pub position: Position,
}

impl PageCollector {
    pub(crate) fn new(order: Order, after: Option<Position>, limit: usize) -> Self {
        let after = after.filter(|after| after.order == order);
        Self {
            order,
            after: after.map(|after| after.rank),
            limit,
        }
    }
}

pub(crate) struct SegmentPage {
    order: Order,
    after: Option<Rank>,
    limit: usize,
    segment: SegmentOrdinal,
    times: Option<Column<i64>>,
    ties: Column<u64>,
    /// The best so far, the worst of them on top.
    best: BinaryHeap<Reverse<(Rank, DocId, ScoreBits)>>,
}

/// A score among things that are ordered.
type ScoreBits = u32;

impl Collector for PageCollector {
    type Fruit = Vec<Ranked>;
    type Child = SegmentPage;

    fn for_segment(
        &self,
        segment: SegmentOrdinal,
        reader: &SegmentReader,
    ) -> tantivy::Result<SegmentPage> {
        let columns = reader.fast_fields();
        let times = match self.order {
            Order::Score => None,
            Order::Time { column, .. } => Some(columns.i64(column)?),
        };
        Ok(SegmentPage {
            order: self.order,
            after: self.after,
            limit: self.limit,
            segment,
            times,
            ties: columns.u64(column::TIE)?,
            best: BinaryHeap::with_capacity(self.limit + 1),
        })
    }

    fn requires_scoring(&self) -> bool {
        self.order == Order::Score
    }

    fn merge_fruits(&self, segments: Vec<Vec<Ranked>>) -> tantivy::Result<Vec<Ranked>> {
        let mut all: Vec<Ranked> = segments.into_iter().flatten().collect();
        all.sort_by_key(|hit| Reverse(hit.position.rank));
        all.truncate(self.limit);
        Ok(all)
    }
}

impl SegmentCollector for SegmentPage {
    type Fruit = Vec<Ranked>;

    fn collect(&mut self, document: DocId, score: Score) {
        let first = match (&self.times, self.order) {
            (Some(times), Order::Time { oldest_first, .. }) => {
                let millis = times.first(document).unwrap_or(0);
                // The sign bit turned, numbers with and without a sign have one order.
                let number = millis.cast_unsigned() ^ (1 << 63);
                if oldest_first { !number } else { number }
            }
            // Scores are not negative, and such floats have the order of their bits.
            _ => u64::from(score.max(0.0).to_bits()),
        };
        let tie = self.ties.first(document).unwrap_or(0);
        let rank = Rank { first, tie };
        if self.after.is_some_and(|after| rank >= after) {
            return;
        }
        if self.best.len() == self.limit {
            match self.best.peek() {
                Some(Reverse((worst, ..))) if *worst < rank => self.best.pop(),
                _ => return,
            };
        }
        self.best.push(Reverse((rank, document, score.to_bits())));
    }

    fn harvest(self) -> Vec<Ranked> {
        let (segment, order) = (self.segment, self.order);
        self.best
            .into_iter()
            .map(|Reverse((rank, document, score))| Ranked {
                address: DocAddress::new(segment, document),
                score: f32::from_bits(score),
                position: Position { order, rank },
            })
            .collect()
    }
}

/// Collects the items that have one of these ties.
pub(crate) struct TieCollector(pub Arc<HashSet<u64>>);

pub(crate) struct SegmentTies {
    wanted: Arc<HashSet<u64>>,
    segment: SegmentOrdinal,
    ties: Column<u64>,
    found: Vec<DocAddress>,
}

impl Collector for TieCollector {
    type Fruit = Vec<DocAddress>;
    type Child = SegmentTies;

    fn for_segment(
        &self,
        segment: SegmentOrdinal,
        reader: &SegmentReader,
    ) -> tantivy::Result<SegmentTies> {
        Ok(SegmentTies {
            wanted: Arc::clone(&self.0),
            segment,
            ties: reader.fast_fields().u64(column::TIE)?,
            found: Vec::new(),
        })
    }

    fn requires_scoring(&self) -> bool {
        false
    }

    fn merge_fruits(&self, segments: Vec<Vec<DocAddress>>) -> tantivy::Result<Vec<DocAddress>> {
        Ok(segments.into_iter().flatten().collect())
    }
}

impl SegmentCollector for SegmentTies {
    type Fruit = Vec<DocAddress>;

    fn collect(&mut self, document: DocId, _: Score) {
        let tie = self.ties.first(document);
        if tie.is_some_and(|tie| self.wanted.contains(&tie)) {
            self.found.push(DocAddress::new(self.segment, document));
        }
    }

    fn harvest(self) -> Vec<DocAddress> {
        self.found
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_position_reads_back_as_it_was_written(order in 0..5usize, first: u64, tie: u64) {
            let position = Position {
                order: Order::ALL[order],
                rank: Rank { first, tie },
            };
            prop_assert_eq!(Position::decode(&position.encode()), Some(position));
        }

        #[test]
        fn other_texts_are_no_position(text in "\\PC{0,20}") {
            prop_assume!(text.matches('.').count() != 2);
            prop_assert_eq!(Position::decode(&text), None);
        }
    }
}
