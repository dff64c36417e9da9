//! Which memories an agent is told of when an execution begins.
//!
//! Every candidate has three scores in whole thousandths, and a total of them:
//!
//! | score | is | weighs |
//! |---|---|--:|
//! | relevance | the cosine between its vector and the question's, at least 0 | 70 % |
//! | recency | 1 when it was just told or changed, half after 30 days, a quarter after 60, … | 10 % |
//! | importance | a tenth of its importance | 20 % |
//!
//! Told are at most [`MAX_TOLD`], by their totals; of equals, the newer:
//!
//! 1. those of at least [`RELEVANCE_FLOOR`] are told because they are *relevant*; what is below has
//!    nothing to do with the question, however new or important it is;
//! 2. a *preference* of at least [`PINNED_IMPORTANCE`] is told even below the floor. At most
//!    [`PINNED_PLACES`] of them are, and those places are kept for them;
//! 3. a *fallback* is told only if nothing is told by the first rule, and then at any relevance.

use std::cmp::Reverse;
use std::time::Duration;

use kernel::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::embedding::ONE;
use super::{Importance, Memory, MemoryKind};

/// The most memories that an agent is told of.
pub const MAX_TOLD: usize = 8;
/// Among how many of the newest memories those are chosen.
pub const MAX_WEIGHED: usize = 500;
/// What is less relevant than this, in thousandths, is not told for its relevance.
pub const RELEVANCE_FLOOR: u16 = 200;
/// A preference of this importance is told whatever the question is.
pub const PINNED_IMPORTANCE: u8 = 8;
/// How many places are kept for such preferences.
pub const PINNED_PLACES: usize = 3;
/// After this long without use, recency is half of what it was.
pub const HALF_LIFE: Duration = Duration::from_secs(30 * 24 * 60 * 60);

const RELEVANCE_WEIGHT: u32 = 70;
const RECENCY_WEIGHT: u32 = 10;
const IMPORTANCE_WEIGHT: u32 = 20;
const WEIGHTS: u32 = RELEVANCE_WEIGHT + RECENCY_WEIGHT + IMPORTANCE_WEIGHT;

/// How a memory was weighed, in thousandths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct Scores {
    /// How near it is to the question.
    #[schema(maximum = 1000)]
    pub relevance: u16,
    /// How lately it was told or changed.
    #[schema(maximum = 1000)]
    pub recency: u16,
    /// How important it is.
    #[schema(maximum = 1000)]
    pub importance: u16,
    /// The three together: 70 % relevance, 10 % recency, 20 % importance.
    #[schema(maximum = 1000)]
    pub total: u16,
}

impl Scores {
    /// The scores of a memory that is so relevant, at this moment.
    #[must_use]
    pub fn of(memory: &Memory, relevance: u16, now: Timestamp) -> Self {
        let relevance = relevance.min(ONE);
        let recency = recency(now.since(memory.last_touched()));
        let importance = importance(memory.importance);
        let total = (u32::from(relevance) * RELEVANCE_WEIGHT
            + u32::from(recency) * RECENCY_WEIGHT
            + u32::from(importance) * IMPORTANCE_WEIGHT)
            / WEIGHTS;
        Self {
            relevance,
            recency,
            importance,
            total: u16::try_from(total).unwrap_or(ONE),
        }
    }
}

/// How much is left of recency after so long, in thousandths. It halves with every
/// [`HALF_LIFE`], along a straight line from one half to the next.
#[must_use]
pub fn recency(age: Duration) -> u16 {
    let half_life = HALF_LIFE.as_millis();
    let halvings = u32::try_from(age.as_millis() / half_life).unwrap_or(u32::MAX);
    let rest = age.as_millis() % half_life;
    let one = u128::from(ONE);
    let within = one - one * rest / (2 * half_life);
    u16::try_from(within.checked_shr(halvings).unwrap_or(0)).unwrap_or(ONE)
}

/// An importance in thousandths.
#[must_use]
pub fn importance(importance: Importance) -> u16 {
    u16::from(importance.value()) * (ONE / u16::from(Importance::MAX.value()))
}

/// Why an agent is told of a memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RecallReason {
    /// It bears on the question.
    Relevant,
    /// It is an important preference.
    Preference,
    /// Nothing else bears on the question.
    Fallback,
}

/// A memory that an agent is told of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct RecalledMemory {
    pub memory: Memory,
    pub scores: Scores,
    pub reason: RecallReason,
}

/// Chooses among memories, each with its relevance, those that an agent is told of: at most
/// `limit`, the best first.
#[must_use]
pub fn choose(
    candidates: impl IntoIterator<Item = (Memory, u16)>,
    now: Timestamp,
    limit: usize,
) -> Vec<RecalledMemory> {
    let (mut relevant, mut pinned, mut fallbacks) = (Vec::new(), Vec::new(), Vec::new());
    for (memory, relevance) in candidates {
        let scores = Scores::of(&memory, relevance, now);
        let is_important = memory.importance.value() >= PINNED_IMPORTANCE;
        let (chosen, reason) = match memory.kind {
            MemoryKind::Fallback => (&mut fallbacks, RecallReason::Fallback),
            _ if scores.relevance >= RELEVANCE_FLOOR => (&mut relevant, RecallReason::Relevant),
            MemoryKind::Preference if is_important => (&mut pinned, RecallReason::Preference),
            _ => continue,
        };
        chosen.push(RecalledMemory {
            memory,
            scores,
            reason,
        });
    }
    let stands_in = if relevant.is_empty() {
        fallbacks
    } else {
        relevant
    };
    let mut told = best(pinned, PINNED_PLACES.min(limit));
    let places = limit - told.len();
    told.extend(best(stands_in, places));
    best(told, limit)
}

/// The best of them, in order.
fn best(mut memories: Vec<RecalledMemory>, most: usize) -> Vec<RecalledMemory> {
    memories.sort_by_key(|told| Reverse((told.scores.total, told.memory.id)));
    memories.truncate(most);
    memories
}

#[cfg(test)]
mod tests {
    use kernel::MemoryId;
    use proptest::prelude::*;

    use super::super::tests::memory;
    use super::*;

    const DAY: i64 = 24 * 60 * 60 * 1_000;
    const NOW: Timestamp = Timestamp::from_millis(1_000 * DAY);

    fn of_kind(id: u128, kind: MemoryKind, importance: u8) -> Memory {
        Memory {
            kind,
            importance: Importance::new(importance).expect("from 1 to 10"),
            ..memory(id, "Oil.", NOW.as_millis())
        }
    }

    fn ids(told: &[RecalledMemory]) -> Vec<u128> {
        told.iter().map(|told| told.memory.id.as_u128()).collect()
    }

    #[test]
    fn recency_halves_every_thirty_days() {
        let days = |days: u64| recency(Duration::from_secs(days * 24 * 60 * 60));
        assert_eq!(
            [
                days(0),
                days(15),
                days(30),
                days(45),
                days(60),
                days(300),
                days(400_000_000)
            ],
            [1_000, 750, 500, 375, 250, 0, 0]
        );
    }

    #[test]
    fn the_total_is_weighed_as_documented() {
        let mut old = of_kind(1, MemoryKind::Fact, 4);
        old.updated_at = Timestamp::from_millis(970 * DAY);
        let scores = Scores::of(&old, 600, NOW);
        assert_eq!((scores.recency, scores.importance), (500, 400));
        assert_eq!(scores.total, (600 * 70 + 500 * 10 + 400 * 20) / 100);
    }

    #[test]
    fn what_has_nothing_to_do_with_the_question_is_not_told() {
        let told = choose(
            [
                (of_kind(1, MemoryKind::Fact, 10), RELEVANCE_FLOOR - 1),
                (of_kind(2, MemoryKind::Fact, 1), RELEVANCE_FLOOR),
                (of_kind(3, MemoryKind::Preference, PINNED_IMPORTANCE - 1), 0),
            ],
            NOW,
            MAX_TOLD,
        );
        assert_eq!(ids(&told), [2]);
        assert_eq!(told[0].reason, RecallReason::Relevant);
    }

    #[test]
    fn important_preferences_have_places_of_their_own() {
        let preference = |id| (of_kind(id, MemoryKind::Preference, 9), 0);
        let facts = (1..=20).map(|id| (of_kind(id, MemoryKind::Fact, 5), 900));
        let preferences = (101..=110).map(preference);
        let told = choose(facts.chain(preferences), NOW, MAX_TOLD);
        assert_eq!(ids(&told), [20, 19, 18, 17, 16, 110, 109, 108]);
        assert!(
            told[5..]
                .iter()
                .all(|told| told.reason == RecallReason::Preference)
        );
        // Without anything relevant they are still few.
        let told = choose((101..=110).map(preference), NOW, MAX_TOLD);
        assert_eq!(told.len(), PINNED_PLACES);
        assert_eq!(choose((101..=110).map(preference), NOW, 2).len(), 2);
    }

    #[test]
    fn a_fallback_is_told_only_when_nothing_is_relevant() {
        let fallback = (of_kind(1, MemoryKind::Fallback, 10), 990);
        let relevant = (of_kind(2, MemoryKind::Fact, 5), RELEVANCE_FLOOR);
        let pinned = (of_kind(3, MemoryKind::Preference, 10), 0);
        let with_fact = choose([fallback.clone(), relevant, pinned.clone()], NOW, MAX_TOLD);
        assert_eq!(ids(&with_fact), [2, 3]);
        let without = choose([fallback, pinned], NOW, MAX_TOLD);
        assert_eq!(ids(&without), [1, 3]);
        assert_eq!(without[0].reason, RecallReason::Fallback);
    }

    fn any_memory() -> impl Strategy<Value = (Memory, u16)> {
        (0..5_usize, 1..=10_u8, 0..2_000_i64, 0..=1_000_u16).prop_map(
            |(kind, importance, days, relevance)| {
                let mut memory = of_kind(0, MemoryKind::ALL[kind], importance);
                memory.updated_at = Timestamp::from_millis(days * DAY);
                (memory, relevance)
            },
        )
    }

    fn any_memories() -> impl Strategy<Value = Vec<(Memory, u16)>> {
        prop::collection::vec(any_memory(), 0..40).prop_map(|mut memories| {
            for (number, (memory, _)) in memories.iter_mut().enumerate() {
                memory.id = MemoryId::from_u128(number as u128 + 1);
            }
            memories
        })
    }

    proptest! {
        #[test]
        fn more_of_anything_never_lowers_the_total(
            (memory, relevance) in any_memory(), more in 0..=1_000_u16, days in 0..500_i64
        ) {
            let before = Scores::of(&memory, relevance, NOW).total;
            prop_assert!(before <= ONE);
            prop_assert!(Scores::of(&memory, relevance.saturating_add(more), NOW).total >= before);
            let newer = Memory {
                updated_at: memory.updated_at.plus(Duration::from_millis((days * DAY).unsigned_abs())),
                ..memory.clone()
            };
            prop_assert!(Scores::of(&newer, relevance, NOW).total >= before);
            if let Some(importance) = Importance::new(memory.importance.value() + 1) {
                let weightier = Memory { importance, ..memory.clone() };
                prop_assert!(Scores::of(&weightier, relevance, NOW).total >= before);
            }
            let recalled = memory.recalled(1, NOW);
            prop_assert!(Scores::of(&recalled, relevance, NOW).total >= before);
        }

        #[test]
        fn the_choice_does_not_depend_on_the_order_of_the_candidates(
            memories in any_memories(), seed in any::<u64>(), limit in 0..12_usize
        ) {
            let told = choose(memories.clone(), NOW, limit);
            let mut shuffled = memories.clone();
            shuffled.sort_by_key(|(memory, _)| (memory.id.as_u128() as u64).wrapping_mul(seed | 1));
            prop_assert_eq!(&choose(shuffled, NOW, limit), &told);
            prop_assert!(told.len() <= limit);
            let totals: Vec<u16> = told.iter().map(|told| told.scores.total).collect();
            prop_assert!(totals.is_sorted_by(|a, b| a >= b));
        }

        #[test]
        fn nothing_is_told_without_its_reason(memories in any_memories()) {
            let told = choose(memories.clone(), NOW, MAX_TOLD);
            let relevant = told.iter().any(|told| told.reason == RecallReason::Relevant);
            for one in &told {
                match one.reason {
                    RecallReason::Relevant => {
                        prop_assert!(one.scores.relevance >= RELEVANCE_FLOOR);
                        prop_assert!(one.memory.kind != MemoryKind::Fallback);
                    }
                    RecallReason::Preference => {
                        prop_assert!(one.memory.importance.value() >= PINNED_IMPORTANCE);
                        prop_assert_eq!(one.memory.kind, MemoryKind::Preference);
                    }
                    RecallReason::Fallback => {
                        prop_assert_eq!(one.memory.kind, MemoryKind::Fallback);
                        prop_assert!(!relevant);
                    }
                }
            }
            // Whoever is relevant and was not told stands behind everyone who was.
            let least = told.iter().filter(|told| told.reason == RecallReason::Relevant)
                .map(|told| (told.scores.total, told.memory.id)).min();
            for (memory, relevance) in memories {
                let left_out = !told.iter().any(|told| told.memory.id == memory.id);
                if left_out && relevance >= RELEVANCE_FLOOR && memory.kind != MemoryKind::Fallback {
                    let total = Scores::of(&memory, relevance, NOW).total;
                    prop_assert!(least.is_some_and(|least| (total, memory.id) < least));
                }
            }
        }
    }
}
