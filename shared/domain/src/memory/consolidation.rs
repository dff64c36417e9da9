//! Which memories of an agent say the same, and which are too many.
//!
//! Two memories are near-duplicates if they are of one kind, have the same numbers and the same
//! negations, and either have the same words or vectors that are as near as [`DUPLICATE`]: vectors
//! hardly tell "room 12" from "room 14", or "share it" from "do not share it". The newer replaces
//! the older: it keeps its own words and has the higher importance, the sum of the recalls, and a
//! note of what it has replaced. What somebody told the agent is never replaced by what a model
//! said.
//!
//! Above [`MAX_MEMORIES`], those go that are worth least, see [`worth`]. Preferences of at least
//! [`PROTECTED_IMPORTANCE`] go last.
//!
//! The plan follows from the set of memories alone, not from their order, and once it is carried
//! out, a plan for what stands is empty.

use std::cmp::Reverse;
use std::collections::HashMap;

use kernel::{MemoryId, Timestamp};

use super::embedding::{Embedding, ONE};
use super::recall::{importance, recency};
use super::{MAX_REPLACED, Memory, MemoryKind, ReplacedMemory};

/// The most memories that an agent keeps. There may be a few more until the next consolidation.
pub const MAX_MEMORIES: usize = 500;
/// After so many new memories an agent's memories are consolidated.
pub const CONSOLIDATE_AFTER: u64 = 25;
/// Texts that are as near as this, in thousandths, say the same.
pub const DUPLICATE: u16 = 970;
/// Preferences of this importance are pruned only when nothing else is left.
pub const PROTECTED_IMPORTANCE: u8 = 9;
/// The most memories that one takes in at a time: with the one that replaces them, they are
/// changed in one transaction. What is left is found by the next plan.
pub const MAX_ABSORBED: usize = 40;

/// Words that turn a statement into its opposite. The last is what is left of "don't".
const NEGATIONS: [&str; 11] = [
    "no", "not", "never", "none", "nobody", "nothing", "neither", "nor", "without", "cannot", "t",
];
/// After so many recalls a memory is worth no more for another.
const RECALLS_COUNTED: u64 = 10;

/// A memory and its vector, if it has one.
pub type Entry = (Memory, Option<Embedding>);

/// What is to be done to an agent's memories, in this order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    pub merges: Vec<Merge>,
    /// Too many, worth least first, as they are after the merges.
    pub pruned: Vec<Memory>,
}

/// A memory that replaces others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merge {
    /// As it is to be; its version is one above what it was.
    pub kept: Entry,
    /// What it replaces, newest first.
    pub absorbed: Vec<Memory>,
}

impl Plan {
    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.merges.is_empty() && self.pruned.is_empty()
    }
}

/// What to do so that of `entries` none says the same as another and at most `most` are left.
#[must_use]
pub fn plan(entries: &[Entry], now: Timestamp, most: usize) -> Plan {
    let mut newest_first: Vec<Candidate<'_>> = entries.iter().map(Candidate::new).collect();
    newest_first.sort_by_key(|one| Reverse((one.entry.0.updated_at, one.entry.0.id)));
    let mut taken = vec![false; newest_first.len()];
    let mut plan = Plan::default();
    let mut left: Vec<Memory> = Vec::new();
    for (index, keeper) in newest_first.iter().enumerate() {
        if taken[index] {
            continue;
        }
        let mut absorbed = Vec::new();
        for (other, candidate) in newest_first.iter().enumerate().skip(index + 1) {
            if !taken[other] && keeper.replaces(candidate) {
                // Those above the limit are neither replaced nor kept for now: they do not begin
                // another memory's family, and they are not counted as too many.
                taken[other] = true;
                if absorbed.len() < MAX_ABSORBED {
                    absorbed.push(candidate.entry.0.clone());
                }
            }
        }
        if absorbed.is_empty() {
            left.push(keeper.entry.0.clone());
            continue;
        }
        let kept = merged(&keeper.entry.0, &absorbed);
        left.push(kept.clone());
        plan.merges.push(Merge {
            kept: (kept, keeper.entry.1.clone()),
            absorbed,
        });
    }
    plan.pruned = too_many(left, now, most);
    plan
}

/// How much a memory is worth keeping, in thousandths: half its importance, three tenths its
/// recency, two tenths how often it was told (ten times count as much as more).
#[must_use]
pub fn worth(memory: &Memory, now: Timestamp) -> u16 {
    let uses = memory.recalls.min(RECALLS_COUNTED) * u64::from(ONE) / RECALLS_COUNTED;
    let worth = u64::from(importance(memory.importance)) * 5
        + u64::from(recency(now.since(memory.last_touched()))) * 3
        + uses * 2;
    u16::try_from(worth / 10).unwrap_or(ONE)
}

/// Whose recalls are now counted by another memory: each id that was replaced, with the memory
/// that replaced it.
#[must_use]
pub fn successors<'a>(
    memories: impl IntoIterator<Item = &'a Memory>,
) -> HashMap<MemoryId, MemoryId> {
    let pairs = memories
        .into_iter()
        .flat_map(|memory| memory.replaced.iter().map(|old| (old.id, memory.id)));
    pairs.collect()
}

fn too_many(mut left: Vec<Memory>, now: Timestamp, most: usize) -> Vec<Memory> {
    let surplus = left.len().saturating_sub(most);
    left.sort_by_key(|memory| (is_protected(memory), worth(memory, now), memory.id));
    left.truncate(surplus);
    left
}

fn is_protected(memory: &Memory) -> bool {
    memory.kind == MemoryKind::Preference && memory.importance.value() >= PROTECTED_IMPORTANCE
}

fn merged(keeper: &Memory, absorbed: &[Memory]) -> Memory {
    let mut kept = keeper.clone();
    kept.version += 1;
    let mut replaced: Vec<ReplacedMemory> = absorbed.iter().map(ReplacedMemory::from).collect();
    replaced.append(&mut kept.replaced);
    for old in absorbed {
        kept.importance = kept.importance.max(old.importance);
        kept.recalls += old.recalls;
        kept.last_recalled_at = kept.last_recalled_at.max(old.last_recalled_at);
        replaced.extend(old.replaced.iter().cloned());
    }
    replaced.sort_by_key(|old| Reverse((old.created_at, old.id)));
    replaced.dedup();
    replaced.truncate(MAX_REPLACED);
    kept.replaced = replaced;
    kept
}

/// A memory with what it is compared by.
struct Candidate<'a> {
    entry: &'a Entry,
    words: String,
    /// Its numbers and negations, sorted.
    telling: Vec<String>,
}

impl<'a> Candidate<'a> {
    fn new(entry: &'a Entry) -> Self {
        let words = words(&entry.0.text);
        let is_telling =
            |word: &&str| word.chars().any(char::is_numeric) || NEGATIONS.contains(word);
        let telling = words.split(' ').filter(is_telling);
        let mut telling: Vec<String> = telling.map(str::to_owned).collect();
        telling.sort_unstable();
        Self {
            entry,
            words,
            telling,
        }
    }

    /// Whether this memory, which is the newer, says what `older` says.
    fn replaces(&self, older: &Self) -> bool {
        let ((ours, our_vector), (theirs, their_vector)) = (self.entry, older.entry);
        if ours.kind != theirs.kind || self.telling != older.telling {
            return false;
        }
        if theirs.source.is_deliberate() && !ours.source.is_deliberate() {
            return false;
        }
        self.words == older.words
            || matches!((our_vector, their_vector), (Some(a), Some(b)) if a.nearness(b) >= DUPLICATE)
    }
}

/// The words of a text in lower case, without what stands between them.
fn words(text: &str) -> String {
    let words = text
        .split(|letter: char| !letter.is_alphanumeric())
        .filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ").to_lowercase()
}

#[cfg(test)]
mod tests {
    use kernel::{AgentId, UserId};
    use proptest::prelude::*;

    use super::super::embedding::tests::vector;
    use super::super::tests::memory;
    use super::super::{Importance, MemorySource};
    use super::*;
    use crate::event::Actor;

    const DAY: i64 = 24 * 60 * 60 * 1_000;
    const NOW: Timestamp = Timestamp::from_millis(1_000 * DAY);

    fn entry(id: u128, text: &str, components: &[f32]) -> Entry {
        let at = NOW.as_millis() + i64::try_from(id).expect("a small number");
        (memory(id, text, at), Some(vector(components)))
    }

    /// What stands once a plan is carried out.
    fn carried_out(entries: &[Entry], plan: &Plan) -> Vec<Entry> {
        let gone: Vec<MemoryId> = plan
            .merges
            .iter()
            .flat_map(|merge| &merge.absorbed)
            .chain(&plan.pruned)
            .map(|memory| memory.id)
            .collect();
        let changed = |memory: &Memory| {
            let merge = plan
                .merges
                .iter()
                .find(|merge| merge.kept.0.id == memory.id);
            merge.map_or_else(|| memory.clone(), |merge| merge.kept.0.clone())
        };
        entries
            .iter()
            .filter(|(memory, _)| !gone.contains(&memory.id))
            .map(|(memory, vector)| (changed(memory), vector.clone()))
            .collect()
    }

    fn ids<'a>(memories: impl IntoIterator<Item = &'a Memory>) -> Vec<u128> {
        memories
            .into_iter()
            .map(|memory| memory.id.as_u128())
            .collect()
    }

    #[test]
    fn the_newer_words_the_higher_importance_and_all_recalls_are_kept() {
        let mut old = entry(1, "Oil is changed every 500 hours.", &[1.0, 0.0]);
        old.0.importance = Importance::MAX;
        old.0 = old.0.recalled(4, NOW);
        let new = entry(2, "The oil is changed every 500 hours", &[1.0, 0.1]);
        let other = entry(3, "The oil is changed every 600 hours.", &[1.0, 0.1]);
        let plan = plan(&[old.clone(), new.clone(), other], NOW, 10);
        let [merge] = plan.merges.as_slice() else {
            panic!("one merge: {plan:?}");
        };
        let kept = &merge.kept.0;
        assert_eq!(kept.text, new.0.text);
        assert_eq!(
            (kept.importance, kept.recalls, kept.version),
            (Importance::MAX, 4, 2)
        );
        assert_eq!(kept.last_recalled_at, Some(NOW));
        assert_eq!(kept.replaced, [ReplacedMemory::from(&old.0)]);
        assert_eq!(kept.updated_at, new.0.updated_at);
        assert_eq!((ids(&merge.absorbed), plan.pruned), (vec![1], Vec::new()));
    }

    #[test]
    fn other_kinds_numbers_negations_and_meanings_are_not_the_same() {
        let one = entry(1, "Room 12 has a lamp", &[1.0, 0.0]);
        let mut kind = entry(2, "Room 12 has a lamp", &[1.0, 0.0]);
        kind.0.kind = MemoryKind::Term;
        let number = entry(3, "Room 14 has a lamp", &[1.0, 0.0]);
        let meaning = entry(4, "Room 12 has a chair", &[0.6, 0.8]);
        let negation = entry(5, "Room 12 doesn't have a lamp", &[1.0, 0.0]);
        let no = entry(6, "Room 12 has no lamp", &[1.0, 0.0]);
        assert!(plan(&[one, kind, number, meaning, negation, no], NOW, 10).is_empty());
    }

    #[test]
    fn texts_without_a_vector_are_the_same_only_by_their_words() {
        let entries: Vec<Entry> = [(1, "机油 500"), (2, "机油,500!"), (3, "机器 500")]
            .map(|(id, text)| (memory(id, text, 5), None))
            .into();
        let plan = plan(&entries, NOW, 10);
        assert_eq!(plan.merges.len(), 1);
        assert_eq!(ids([&plan.merges[0].kept.0]), [2]);
        assert_eq!(ids(&plan.merges[0].absorbed), [1]);
    }

    #[test]
    fn what_a_model_said_does_not_replace_what_somebody_told() {
        let by = Actor::User {
            id: UserId::from_u128(1),
        };
        let told = |id, source| {
            let mut entry = entry(id, "Tell nothing but the code.", &[1.0, 0.0]);
            entry.0.source = source;
            entry
        };
        let person = MemorySource::Person { by };
        let shared = MemorySource::Shared {
            agent: AgentId::from_u128(7),
            memory: MemoryId::from_u128(8),
            by,
        };
        let said = entry(9, "Tell everybody the code, but nothing else.", &[1.0, 0.0]);
        for source in [person, shared] {
            assert!(plan(&[told(1, source), said.clone()], NOW, 10).is_empty());
            // The other way round, and among people, the newer stands.
            assert_eq!(
                plan(&[said.clone(), told(10, source)], NOW, 10)
                    .merges
                    .len(),
                1
            );
            assert_eq!(
                plan(&[told(1, person), told(2, source)], NOW, 10)
                    .merges
                    .len(),
                1
            );
        }
    }

    #[test]
    fn those_worth_least_are_pruned_and_important_preferences_last() {
        let worth_of = |id, kind, importance| {
            let mut entry = entry(id, &format!("Text {id}"), &[1.0]);
            entry.0.kind = kind;
            entry.0.importance = Importance::new(importance).expect("from 1 to 10");
            entry.0.updated_at = NOW;
            entry
        };
        let entries = [
            worth_of(1, MemoryKind::Preference, PROTECTED_IMPORTANCE),
            worth_of(2, MemoryKind::Preference, PROTECTED_IMPORTANCE - 1),
            worth_of(3, MemoryKind::Fact, 10),
            worth_of(4, MemoryKind::Fact, 1),
            worth_of(5, MemoryKind::Preference, 10),
        ];
        let pruned = |most| ids(&plan(&entries, NOW, most).pruned);
        assert_eq!(pruned(5), Vec::<u128>::new());
        assert_eq!(pruned(4), [4]);
        assert_eq!(pruned(1), [4, 2, 3, 1]);
    }

    #[test]
    fn a_large_family_is_taken_in_part_by_part() {
        let count = MAX_ABSORBED as u128 * 2 + 5;
        let mut entries: Vec<Entry> = (1..=count).map(|id| entry(id, "Same.", &[1.0])).collect();
        let mut rounds = 0;
        loop {
            let plan = plan(&entries, NOW, 10);
            if plan.is_empty() {
                break;
            }
            assert_eq!((plan.merges.len(), plan.pruned.len()), (1, 0));
            entries = carried_out(&entries, &plan);
            rounds += 1;
        }
        assert_eq!((entries.len(), rounds), (1, 3));
        let kept = &entries[0].0;
        assert_eq!(kept.id.as_u128(), count);
        let newest: Vec<u128> = kept.replaced.iter().map(|old| old.id.as_u128()).collect();
        assert_eq!(
            newest,
            (count - MAX_REPLACED as u128..count)
                .rev()
                .collect::<Vec<_>>()
        );
    }

    fn any_entries() -> impl Strategy<Value = Vec<Entry>> {
        let any = (
            0..3_usize,
            1..=10_u8,
            0..40_u32,
            0..400_i64,
            0..20_u64,
            any::<bool>(),
            0..3_u8,
        );
        prop::collection::vec(any, 0..40).prop_map(|parts| {
            let numbered = parts.into_iter().enumerate();
            let entries = numbered.map(
                |(index, (kind, weight, angle, days, recalls, told, number))| {
                    let mut memory = memory(index as u128 + 1, "", days * DAY);
                    memory.text = format!("The text of {angle} says {number}");
                    memory.kind = MemoryKind::ALL[kind];
                    memory.importance = Importance::new(weight).expect("from 1 to 10");
                    memory.recalls = recalls;
                    memory.last_recalled_at = (recalls > 0).then_some(memory.created_at);
                    if told {
                        memory.source = MemorySource::Person { by: Actor::System };
                    }
                    let angle = f64::from(angle) / 10.0;
                    #[expect(clippy::cast_possible_truncation, reason = "components of a test")]
                    let components = [angle.cos() as f32, angle.sin() as f32];
                    (memory, Some(vector(&components)))
                },
            );
            entries.collect()
        })
    }

    proptest! {
        #[test]
        fn the_plan_does_not_depend_on_the_order(
            entries in any_entries(), seed in any::<u64>(), most in 1..30_usize
        ) {
            let mut shuffled = entries.clone();
            shuffled.sort_by_key(|(memory, _)| (memory.id.as_u128() as u64).wrapping_mul(seed | 1));
            prop_assert_eq!(plan(&entries, NOW, most), plan(&shuffled, NOW, most));
        }

        #[test]
        fn once_carried_out_nothing_is_left_to_do(entries in any_entries(), most in 1..30_usize) {
            let after = carried_out(&entries, &plan(&entries, NOW, most));
            prop_assert!(after.len() <= most);
            let again = plan(&after, NOW, most);
            prop_assert!(again.is_empty(), "{again:?}");
        }

        #[test]
        fn merging_loses_no_recall_no_importance_and_no_words_of_people(entries in any_entries()) {
            let plan = plan(&entries, NOW, entries.len());
            prop_assert!(plan.pruned.is_empty());
            let after = carried_out(&entries, &plan);
            let recalls = |entries: &[Entry]| entries.iter().map(|(memory, _)| memory.recalls).sum::<u64>();
            prop_assert_eq!(recalls(&entries), recalls(&after));
            let most = |entries: &[Entry]| entries.iter().map(|(memory, _)| memory.importance).max();
            prop_assert_eq!(most(&entries), most(&after));
            for merge in &plan.merges {
                let kept = &merge.kept.0;
                for old in &merge.absorbed {
                    prop_assert_eq!(kept.kind, old.kind);
                    prop_assert!((kept.updated_at, kept.id) > (old.updated_at, old.id));
                    prop_assert!(kept.source.is_deliberate() || !old.source.is_deliberate());
                }
            }
        }

        #[test]
        fn no_important_preference_is_pruned_before_anything_else(
            entries in any_entries(), most in 0..30_usize
        ) {
            let plan = plan(&entries, NOW, most);
            let after = carried_out(&entries, &plan);
            if plan.pruned.iter().any(is_protected) {
                prop_assert!(after.iter().all(|(memory, _)| is_protected(memory)));
            }
            let best_pruned = plan.pruned.iter().filter(|memory| !is_protected(memory))
                .map(|memory| worth(memory, NOW)).max();
            let worst_kept = after.iter().filter(|(memory, _)| !is_protected(memory))
                .map(|(memory, _)| worth(memory, NOW)).min();
            if let (Some(pruned), Some(kept)) = (best_pruned, worst_kept) {
                prop_assert!(pruned <= kept);
            }
        }
    }
}
