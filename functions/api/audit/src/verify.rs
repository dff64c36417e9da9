use api::{Granted, Problem, Problems, Query, Read};
use axum::Json;
use axum::extract::State;
use domain::audit::{AuditEntry, ChainBreak, ChainHead, ChainVerifier};
use garde::Validate;
use kernel::OrgId;
use kernel::cursor::{Cursor, PageRequest};
use serde::{Deserialize, Serialize};
use store::audit::AuditChain;
use utoipa::{IntoParams, ToSchema};

/// How many entries are read at a time.
const READ_ENTRIES: u32 = 500;
/// How many times one request reads: 5,000 entries.
const MAX_READS: u32 = 10;

/// Where to verify on.
#[derive(Debug, Deserialize, Validate, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct VerifyQuery {
    /// The `next_cursor` of the part before. It holds the entry that was reached and its hash, both
    /// signed, so that a chain that is verified in parts is verified as a whole.
    #[garde(length(max = api::MAX_CURSOR_CHARS))]
    cursor: Option<String>,
}

/// How far the chain was verified, and what was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = AuditVerification)]
pub(crate) struct Verification {
    /// Whether everything up to `verified_to` is as it was sealed.
    intact: bool,
    /// The last entry, from the first on without a gap, that is as it was sealed; 0 for none.
    verified_to: u64,
    /// The end of the chain as it stood when this was asked.
    head: ChainHead,
    /// Where the chain is broken, if it is.
    #[serde(rename = "break", skip_serializing_if = "Option::is_none")]
    broken: Option<Break>,
    /// Give this as `cursor` to verify on; absent at the end and at a break.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// The first thing that is wrong with a chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = AuditBreak)]
pub(crate) struct Break {
    /// The first entry that is wrong or missing.
    sequence: u64,
    /// `sequence`, `link`, `content`, `org`, `end` or `head`.
    code: &'static str,
    /// What is wrong, for people.
    message: String,
}

impl From<ChainBreak> for Break {
    fn from(broken: ChainBreak) -> Self {
        Self {
            sequence: broken.sequence(),
            code: broken.code(),
            message: broken.to_string(),
        }
    }
}

/// Verify the audit chain by recomputing it, up to 5,000 entries at a time. A broken chain is an
/// answer and no error.
#[utoipa::path(
    get, path = "/v1/audit/verify", tag = "audit", operation_id = "verify_audit_chain",
    params(VerifyQuery),
    security(("bearer" = ["audit:read"])),
    responses((status = 200, body = Verification), Problems),
)]
pub(crate) async fn verify(
    State(app): State<api::App>,
    caller: Granted<AuditEntry, Read>,
    Query(query): Query<VerifyQuery>,
) -> Result<Json<Verification>, Problem> {
    let org = caller.tenant().org();
    let list = format!("{org}/audit/verify");
    let start = query
        .cursor
        .map(|text| {
            let cursor = Cursor::open(app.signing(), &list, &text).ok();
            cursor.as_ref().and_then(reached).ok_or_else(|| {
                Problem::invalid_field("cursor", "is not a cursor of this organization's chain")
            })
        })
        .transpose()?;
    let chain = app.store().audit(caller.tenant());
    let mut walk = Walk::new(org, start.unwrap_or_default(), chain.head().await?);
    for _ in 0..MAX_READS {
        let after = walk.reached().sequence;
        let after = (after > 0).then(|| AuditChain::position(after));
        let page = chain
            .page_from_first(&PageRequest {
                limit: READ_ENTRIES,
                after,
            })
            .await?;
        walk.take(&page.items);
        if page.next.is_none() {
            // Entries that were sealed meanwhile are in the chain, and in its head of now.
            walk.finish(&chain.head().await?);
        }
        if walk.is_over() {
            break;
        }
    }
    Ok(Json(
        walk.report(|head| place(head).seal(app.signing(), &list)),
    ))
}

/// A verified end, as a cursor holds it.
fn place(head: &ChainHead) -> Cursor {
    Cursor::after(format!("{}:{}", head.sequence, head.hash))
}

fn reached(cursor: &Cursor) -> Option<ChainHead> {
    let (sequence, hash) = cursor.sort_key().split_once(':')?;
    Some(ChainHead {
        sequence: sequence.parse().ok()?,
        hash: hash.to_owned(),
    })
}

/// A verification under way.
struct Walk {
    verifier: ChainVerifier,
    /// The end of the chain before the first entry was read.
    anchor: ChainHead,
    broken: Option<ChainBreak>,
    at_end: bool,
}

impl Walk {
    fn new(org: OrgId, start: ChainHead, anchor: ChainHead) -> Self {
        Self {
            verifier: ChainVerifier::after(org, start),
            anchor,
            broken: None,
            at_end: false,
        }
    }

    fn reached(&self) -> &ChainHead {
        self.verifier.head()
    }

    fn is_over(&self) -> bool {
        self.at_end || self.broken.is_some()
    }

    /// Checks the next entries of the chain.
    fn take(&mut self, entries: &[AuditEntry]) {
        for entry in entries {
            let checked = self.verifier.check(entry).and_then(|()| {
                let is_anchor = entry.sequence == self.anchor.sequence;
                if is_anchor {
                    self.verifier.finish(&self.anchor)
                } else {
                    Ok(())
                }
            });
            if let Err(broken) = checked {
                self.broken = Some(broken);
                return;
            }
        }
    }

    /// There are no more entries. `head` was read after the last of them.
    fn finish(&mut self, head: &ChainHead) {
        self.at_end = true;
        if self.broken.is_some() {
            return;
        }
        let reached = self.reached().sequence;
        // The head counts entries that were sealed after the last one here was read; it never
        // counts fewer than are there, and all that it counted at the beginning are there.
        let expected = if reached < self.anchor.sequence {
            &self.anchor
        } else {
            head
        };
        if reached < self.anchor.sequence || reached >= expected.sequence {
            self.broken = self.verifier.finish(expected).err();
        }
    }

    fn report(self, seal: impl FnOnce(&ChainHead) -> String) -> Verification {
        let next_cursor = (!self.is_over()).then(|| seal(self.reached()));
        let verified_to = match &self.broken {
            // An entry that continues the chain and is not the one its head names is not verified.
            Some(ChainBreak::Head { sequence }) => sequence.saturating_sub(1),
            _ => self.reached().sequence,
        };
        Verification {
            intact: self.broken.is_none(),
            verified_to,
            head: self.anchor,
            broken: self.broken.map(Break::from),
            next_cursor,
        }
    }
}

#[cfg(test)]
mod tests {
    use domain::event::{Actor, Event, EventKind};
    use kernel::{EventId, Timestamp};
    use proptest::prelude::*;

    use super::*;

    const ORG: OrgId = OrgId::from_u128(1);

    fn chain(length: u64) -> Vec<AuditEntry> {
        let mut head = ChainHead::default();
        (1..=length)
            .map(|number| {
                let entry = AuditEntry::seal(
                    &head,
                    Event {
                        id: EventId::from_u128(u128::from(number)),
                        org: ORG,
                        kind: EventKind::TaskCreated,
                        subject: format!("tsk_{number}"),
                        actor: Actor::System,
                        occurred_at: Timestamp::from_millis(0),
                        correlation_id: "req".to_owned(),
                        data: serde_json::json!({ "n": number }),
                    },
                );
                head = entry.head();
                entry
            })
            .collect()
    }

    fn head_of(entries: &[AuditEntry]) -> ChainHead {
        entries.last().map(AuditEntry::head).unwrap_or_default()
    }

    /// Verifies in requests of `reads` pages of `size`, each going on by the cursor of the one
    /// before, against a head that does not change.
    fn verify(entries: &[AuditEntry], head: &ChainHead, size: usize, reads: usize) -> Verification {
        let mut start = ChainHead::default();
        loop {
            let mut walk = Walk::new(ORG, start, head.clone());
            for _ in 0..reads {
                let after = walk.reached().sequence;
                let rest: Vec<_> = entries
                    .iter()
                    .filter(|entry| entry.sequence > after)
                    .cloned()
                    .collect();
                walk.take(&rest[..size.min(rest.len())]);
                if rest.len() <= size {
                    walk.finish(head);
                }
                if walk.is_over() {
                    break;
                }
            }
            let mut sealed = None;
            let report = walk.report(|head| {
                sealed = reached(&place(head));
                String::new()
            });
            match sealed {
                Some(head) => start = head,
                None => return report,
            }
        }
    }

    #[test]
    fn an_intact_chain_is_verified_to_its_end_in_any_parts() {
        let entries = chain(11);
        for (size, reads) in [(1, 1), (3, 1), (3, 2), (11, 1), (50, 3)] {
            let report = verify(&entries, &head_of(&entries), size, reads);
            assert_eq!(
                (report.intact, report.verified_to, report.broken),
                (true, 11, None)
            );
        }
        let empty = verify(&[], &ChainHead::default(), 5, 1);
        assert_eq!((empty.intact, empty.verified_to), (true, 0));
    }

    #[test]
    fn a_chain_that_was_cut_or_extended_behind_its_head_is_broken() {
        let entries = chain(6);
        let broken = |entries: &[AuditEntry], head: &ChainHead| {
            let report = verify(entries, head, 2, 2);
            assert!(!report.intact);
            let broken = report.broken.expect("a break");
            (broken.code, broken.sequence, report.verified_to)
        };
        assert_eq!(broken(&entries[..4], &head_of(&entries)), ("end", 5, 4));
        assert_eq!(broken(&[], &head_of(&entries)), ("end", 1, 0));
        assert_eq!(broken(&entries, &head_of(&entries[..4])), ("end", 5, 6));
        assert_eq!(broken(&entries, &ChainHead::default()), ("end", 1, 6));
        let forged = ChainHead {
            hash: head_of(&entries[..1]).hash,
            ..head_of(&entries)
        };
        assert_eq!(broken(&entries, &forged), ("head", 6, 5));
    }

    #[test]
    fn entries_that_are_sealed_meanwhile_break_nothing() {
        let entries = chain(6);
        let mut walk = Walk::new(ORG, ChainHead::default(), head_of(&entries[..4]));
        walk.take(&entries[..5]);
        walk.finish(&head_of(&entries));
        let report = walk.report(|_| String::new());
        assert_eq!(
            (report.intact, report.verified_to, report.head.sequence),
            (true, 5, 4)
        );
    }

    #[test]
    fn a_cursor_holds_what_was_verified_and_nothing_else_is_one() {
        let head = head_of(&chain(3));
        assert_eq!(reached(&place(&head)), Some(head));
        for text in ["", "3", "x:abc", "-1:abc"] {
            assert_eq!(reached(&Cursor::after(text)), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn whatever_entry_is_changed_dropped_or_swapped_it_is_found(
            length in 2_u64..15, at in 0_usize..15, way in 0_u8..3, size in 1_usize..6, reads in 1_usize..4
        ) {
            let mut entries = chain(length);
            let head = head_of(&entries);
            let at = at % (entries.len() - 1);
            match way {
                0 => entries[at].subject.push('x'),
                1 => { entries.remove(at); }
                _ => {
                    // The rows are read in the order of their keys: a swap is a change of numbers.
                    entries[at].sequence += 1;
                    entries[at + 1].sequence -= 1;
                    entries.swap(at, at + 1);
                }
            }
            let report = verify(&entries, &head, size, reads);
            prop_assert!(!report.intact);
            prop_assert_eq!(report.verified_to, at as u64);
            prop_assert_eq!(report.broken.map(|broken| broken.sequence), Some(at as u64 + 1));
        }
    }
}
