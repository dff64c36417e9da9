//! The audit chain: each org's events in one sequence, each entry sealed by the hash of the one
//! before it, so that a change, a gap or a reordering anywhere is seen by anyone who recomputes it.

use kernel::digest::sha256_hex;
use kernel::{EventId, OrgId, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::event::{Actor, Event, EventKind};

/// The `previous_hash` of an org's first entry.
pub const GENESIS_HASH: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// One link of an org's audit chain.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AuditEntry {
    pub org: OrgId,
    /// 1 for the first entry, then one more for each.
    pub sequence: u64,
    pub event: EventId,
    #[serde(rename = "type")]
    pub kind: EventKind,
    pub subject: String,
    pub actor: Actor,
    pub occurred_at: Timestamp,
    pub correlation_id: String,
    pub data: serde_json::Value,
    /// The hash of the entry before; [`GENESIS_HASH`] for the first.
    pub previous_hash: String,
    /// SHA-256 over the canonical form of all the fields above, in hexadecimal.
    pub hash: String,
}

/// The end of an org's chain, to which the next entry is linked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChainHead {
    /// The sequence of the last entry; 0 for an empty chain.
    pub sequence: u64,
    /// The hash of the last entry.
    pub hash: String,
}

impl Default for ChainHead {
    fn default() -> Self {
        Self {
            sequence: 0,
            hash: GENESIS_HASH.to_owned(),
        }
    }
}

/// Where and how a chain is broken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChainBreak {
    /// An entry is missing, repeated or out of order.
    #[error("expected entry {expected} but found entry {found}")]
    Sequence { expected: u64, found: u64 },
    /// An entry does not continue the one before it.
    #[error("entry {sequence} does not continue the entry before it")]
    Link { sequence: u64 },
    /// An entry was changed after it was sealed.
    #[error("entry {sequence} was changed after it was sealed")]
    Content { sequence: u64 },
    /// An entry belongs to another org.
    #[error("entry {sequence} belongs to another organization")]
    Org { sequence: u64 },
    /// The chain does not end where its head says: entries at its end are missing, or the head is.
    #[error("the chain has {found} entries but its head counts {expected}")]
    End { expected: u64, found: u64 },
    /// The head names another last entry than the chain has.
    #[error("entry {sequence} is not the one that the head of the chain names")]
    Head { sequence: u64 },
}

impl ChainBreak {
    /// The stable name of the kind of break.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Sequence { .. } => "sequence",
            Self::Link { .. } => "link",
            Self::Content { .. } => "content",
            Self::Org { .. } => "org",
            Self::End { .. } => "end",
            Self::Head { .. } => "head",
        }
    }

    /// The first entry that is wrong or missing.
    #[must_use]
    pub const fn sequence(&self) -> u64 {
        match self {
            Self::Sequence { expected, .. } => *expected,
            Self::Link { sequence }
            | Self::Content { sequence }
            | Self::Org { sequence }
            | Self::Head { sequence } => *sequence,
            Self::End { expected, found } => {
                if *expected < *found {
                    *expected + 1
                } else {
                    *found + 1
                }
            }
        }
    }
}

impl AuditEntry {
    /// The entry that records `event` after `head`.
    #[must_use]
    pub fn seal(head: &ChainHead, event: Event) -> Self {
        let mut entry = Self {
            org: event.org,
            sequence: head.sequence + 1,
            event: event.id,
            kind: event.kind,
            subject: event.subject,
            actor: event.actor,
            occurred_at: event.occurred_at,
            correlation_id: event.correlation_id,
            data: event.data,
            previous_hash: head.hash.clone(),
            hash: String::new(),
        };
        entry.hash = entry.content_hash();
        entry
    }

    /// The chain's end once this entry is in it.
    #[must_use]
    pub fn head(&self) -> ChainHead {
        ChainHead {
            sequence: self.sequence,
            hash: self.hash.clone(),
        }
    }

    /// The hash that the entry's content should have. The canonical form is JSON with sorted keys
    /// and no white space, of every field but `hash`.
    #[must_use]
    pub fn content_hash(&self) -> String {
        // Every field serialises, and `serde_json` keeps object keys sorted.
        let mut value = serde_json::to_value(self).unwrap_or_default();
        if let Some(fields) = value.as_object_mut() {
            fields.remove("hash");
        }
        sha256_hex(value.to_string().as_bytes())
    }
}

/// Checks entries one after another, as an auditor who trusts nothing but arithmetic.
#[derive(Debug, Clone)]
pub struct ChainVerifier {
    org: OrgId,
    head: ChainHead,
}

impl ChainVerifier {
    /// A verifier for the chain of `org` from its first entry on.
    #[must_use]
    pub fn new(org: OrgId) -> Self {
        Self {
            org,
            head: ChainHead::default(),
        }
    }

    /// A verifier that goes on after `head`, which an earlier one has reached.
    #[must_use]
    pub fn after(org: OrgId, head: ChainHead) -> Self {
        Self { org, head }
    }

    /// Checks the next entry.
    ///
    /// # Errors
    /// The first way in which the entry does not continue the chain.
    pub fn check(&mut self, entry: &AuditEntry) -> Result<(), ChainBreak> {
        let expected = self.head.sequence + 1;
        if entry.sequence != expected {
            return Err(ChainBreak::Sequence {
                expected,
                found: entry.sequence,
            });
        }
        let sequence = entry.sequence;
        if entry.org != self.org {
            return Err(ChainBreak::Org { sequence });
        }
        if entry.previous_hash != self.head.hash {
            return Err(ChainBreak::Link { sequence });
        }
        if entry.hash != entry.content_hash() {
            return Err(ChainBreak::Content { sequence });
        }
        self.head = entry.head();
        Ok(())
    }

    /// The end of the chain as far as it was checked.
    #[must_use]
    pub fn head(&self) -> &ChainHead {
        &self.head
    }

    /// Checks that the chain, now that its last entry was checked, ends at `head`: a chain whose
    /// newest entries were cut off is whole in itself.
    ///
    /// # Errors
    /// How the two differ.
    pub fn finish(&self, head: &ChainHead) -> Result<(), ChainBreak> {
        if self.head.sequence != head.sequence {
            return Err(ChainBreak::End {
                expected: head.sequence,
                found: self.head.sequence,
            });
        }
        if self.head.hash != head.hash {
            return Err(ChainBreak::Head {
                sequence: head.sequence,
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(number: u128) -> Event {
        Event {
            id: EventId::from_u128(number),
            org: OrgId::from_u128(1),
            kind: EventKind::AgentCreated,
            subject: "agt".to_owned(),
            actor: Actor::System,
            occurred_at: Timestamp::from_millis(0),
            correlation_id: "req".to_owned(),
            data: serde_json::json!({ "z": 1, "a": { "y": [1, 2], "b": null } }),
        }
    }

    fn chain(length: u128) -> Vec<AuditEntry> {
        let mut head = ChainHead::default();
        (1..=length)
            .map(|number| {
                let entry = AuditEntry::seal(&head, event(number));
                head = entry.head();
                entry
            })
            .collect()
    }

    fn verify(entries: &[AuditEntry]) -> Result<(), ChainBreak> {
        let mut verifier = ChainVerifier::new(OrgId::from_u128(1));
        entries.iter().try_for_each(|entry| verifier.check(entry))
    }

    #[test]
    fn an_untouched_chain_verifies() {
        assert_eq!(verify(&chain(5)), Ok(()));
    }

    #[test]
    fn a_change_a_gap_a_swap_and_a_resealed_entry_are_seen() {
        let mut changed = chain(3);
        changed[1].subject = "another".to_owned();
        assert_eq!(verify(&changed), Err(ChainBreak::Content { sequence: 2 }));

        let mut resealed = changed;
        resealed[1].hash = resealed[1].content_hash();
        assert_eq!(verify(&resealed), Err(ChainBreak::Link { sequence: 3 }));

        let mut gap = chain(3);
        gap.remove(1);
        assert_eq!(
            verify(&gap),
            Err(ChainBreak::Sequence {
                expected: 2,
                found: 3
            })
        );

        let mut foreign = chain(1);
        foreign[0].org = OrgId::from_u128(2);
        assert_eq!(verify(&foreign), Err(ChainBreak::Org { sequence: 1 }));
    }

    #[test]
    fn a_verifier_goes_on_where_another_stopped_and_nowhere_else() {
        let entries = chain(4);
        let org = OrgId::from_u128(1);
        let mut first = ChainVerifier::new(org);
        entries[..2]
            .iter()
            .for_each(|entry| first.check(entry).unwrap());
        let mut second = ChainVerifier::after(org, first.head().clone());
        entries[2..]
            .iter()
            .for_each(|entry| second.check(entry).unwrap());
        assert_eq!(second.finish(&entries[3].head()), Ok(()));

        let forged = ChainHead {
            sequence: 2,
            hash: GENESIS_HASH.to_owned(),
        };
        let refused = ChainVerifier::after(org, forged).check(&entries[2]);
        assert_eq!(refused, Err(ChainBreak::Link { sequence: 3 }));
    }

    #[test]
    fn a_chain_that_was_cut_short_or_whose_head_was_changed_is_seen() {
        let entries = chain(3);
        let mut verifier = ChainVerifier::new(OrgId::from_u128(1));
        entries[..2]
            .iter()
            .for_each(|entry| verifier.check(entry).unwrap());
        let cut = verifier.finish(&entries[2].head()).unwrap_err();
        assert_eq!((cut.code(), cut.sequence()), ("end", 3));
        let lost = verifier.finish(&ChainHead::default()).unwrap_err();
        assert_eq!((lost.code(), lost.sequence()), ("end", 1));
        let other = ChainHead {
            sequence: 2,
            hash: GENESIS_HASH.to_owned(),
        };
        assert_eq!(
            verifier.finish(&other),
            Err(ChainBreak::Head { sequence: 2 })
        );
    }

    #[test]
    fn the_seal_survives_a_journey_through_json() {
        let entry = chain(1).remove(0);
        let text = serde_json::to_string(&entry).unwrap();
        let read: AuditEntry = serde_json::from_str(&text).unwrap();
        assert_eq!(read.content_hash(), entry.hash);
    }
}
