use api::{Granted, Json, Listing, Paging, Problem, Problems, Read};
use axum::extract::State;
use domain::audit::AuditEntry;
use domain::event::{Actor, EventKind};
use garde::Validate;
use kernel::cursor::{Cursor, Page, PageRequest};
use kernel::digest::sha256_hex;
use kernel::{AgentId, ApiKeyId, Timestamp, UserId};
use serde::{Deserialize, Serialize};
use store::audit::AuditChain;
use utoipa::ToSchema;

/// How many entries are read at a time.
const READ_ENTRIES: u32 = 200;
/// How many times one request reads: 2,000 entries, matching or not.
const MAX_READS: u32 = 10;
const DEFAULT_LIMIT: u32 = 25;
const MAX_LIMIT: u32 = 100;
const MAX_SUBJECT: usize = 200;

/// What to look for. What is absent matches everything.
#[derive(Debug, Default, Deserialize, Serialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "type": "permission.denied", "from": "2026-01-01T00:00:00Z", "limit": 50 }))]
pub(crate) struct AuditSearch {
    /// The type of the event.
    #[garde(skip)]
    #[serde(rename = "type")]
    kind: Option<EventKind>,
    /// The id of what it happened to.
    #[garde(inner(length(chars, min = 1, max = MAX_SUBJECT)))]
    #[schema(min_length = 1, max_length = 200)]
    subject: Option<String>,
    /// Who did it: the id of a user, an API key or an agent, or `system`.
    #[garde(inner(custom(known_actor)))]
    #[schema(
        pattern = "^(system|(usr|key|agt)_[0-9a-hjkmnp-tv-z]{26})$",
        example = "system"
    )]
    actor: Option<String>,
    /// Events that happened at this moment or later.
    #[garde(skip)]
    from: Option<Timestamp>,
    /// Events that happened before this moment.
    #[garde(skip)]
    to: Option<Timestamp>,
    /// The most items of a page, 1 to 100.
    #[garde(range(min = 1, max = MAX_LIMIT))]
    #[serde(skip_serializing)]
    #[schema(minimum = 1, maximum = 100, default = 25)]
    limit: Option<u32>,
    /// The `next_cursor` of the page before.
    #[garde(inner(length(max = api::MAX_CURSOR_CHARS)))]
    #[serde(skip_serializing)]
    #[schema(max_length = 1_000)]
    cursor: Option<String>,
}

fn known_actor(text: &str, (): &()) -> garde::Result {
    let known = text == "system"
        || text.parse::<UserId>().is_ok()
        || text.parse::<ApiKeyId>().is_ok()
        || text.parse::<AgentId>().is_ok();
    if known {
        return Ok(());
    }
    Err(garde::Error::new(
        "must be the id of a user, an API key or an agent, or `system`",
    ))
}

impl AuditSearch {
    fn matches(&self, entry: &AuditEntry) -> bool {
        self.kind.is_none_or(|kind| entry.kind == kind)
            && self
                .subject
                .as_ref()
                .is_none_or(|subject| entry.subject == *subject)
            && self
                .actor
                .as_ref()
                .is_none_or(|actor| name_of(&entry.actor) == *actor)
            && self.from.is_none_or(|from| entry.occurred_at >= from)
            && self.to.is_none_or(|to| entry.occurred_at < to)
    }

    /// The list that this search is, without its pages: a cursor of one search is none of another.
    fn list(&self) -> String {
        let filters = serde_json::to_vec(self).unwrap_or_default();
        format!("audit/search/{}", sha256_hex(&filters))
    }
}

fn name_of(actor: &Actor) -> String {
    match actor {
        Actor::User { id } => id.to_string(),
        Actor::ApiKey { id } => id.to_string(),
        Actor::Agent { id, .. } => id.to_string(),
        Actor::System => "system".to_owned(),
    }
}

/// One page of what a search has found.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditSearchPage)]
pub(crate) struct SearchPage {
    #[serde(flatten)]
    listing: Listing<AuditEntry>,
    /// How far back the search has come, if there was anything to look at. Entries before it were
    /// not looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    searched_to: Option<SearchedTo>,
}

/// The oldest entry that was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = AuditSearchedTo)]
pub(crate) struct SearchedTo {
    sequence: u64,
    occurred_at: Timestamp,
}

/// Search the audit chain, newest first. A request looks at 2,000 entries at most, so a page may
/// hold fewer items than its limit, or none, and still have a `next_cursor`: the search is over
/// when there is none. Entries stand in the order of their sealing, which events that were held up
/// reach late, so `from` ends no search early; `searched_to` says how far back it has come.
#[utoipa::path(
    post, path = "/v1/audit/search", tag = "audit", operation_id = "search_audit_entries",
    request_body = AuditSearch,
    security(("bearer" = ["audit:read"])),
    responses((status = 200, body = SearchPage), Problems),
)]
pub(crate) async fn search(
    State(app): State<api::App>,
    caller: Granted<AuditEntry, Read>,
    Json(body): Json<AuditSearch>,
) -> Result<Json<SearchPage>, Problem> {
    if let (Some(from), Some(to)) = (body.from, body.to)
        && from >= to
    {
        return Err(Problem::invalid_field("/to", "must be later than `from`"));
    }
    let list = body.list();
    let start = Paging::new(body.limit, body.cursor.clone())
        .request(&app, &caller, &list)
        .map_err(|_| Problem::invalid_field("/cursor", "is not a cursor of this search"))?;
    let chain = app.store().audit(caller.tenant());
    let mut found = Found::new(body.limit.unwrap_or(DEFAULT_LIMIT), start.after);
    for _ in 0..MAX_READS {
        let request = PageRequest {
            limit: READ_ENTRIES,
            after: found.next.take(),
        };
        found.take(chain.page(&request).await?, &body);
        if found.next.is_none() || found.is_full() {
            break;
        }
    }
    let Found {
        items,
        next,
        searched_to,
        ..
    } = found;
    let listing = Listing::new(&app, &caller, &list, Page { items, next });
    Ok(Json(SearchPage {
        listing,
        searched_to,
    }))
}

/// What a search has found so far, and where it goes on.
struct Found {
    limit: usize,
    items: Vec<AuditEntry>,
    next: Option<Cursor>,
    searched_to: Option<SearchedTo>,
}

impl Found {
    fn new(limit: u32, next: Option<Cursor>) -> Self {
        Self {
            limit: limit as usize,
            items: Vec::new(),
            next,
            searched_to: None,
        }
    }

    fn is_full(&self) -> bool {
        self.items.len() >= self.limit
    }

    /// Looks at a page of the chain until there are enough items. What is not looked at is left to
    /// the next request.
    fn take(&mut self, page: Page<AuditEntry>, search: &AuditSearch) {
        let end = page.next;
        let mut entries = page.items.into_iter();
        for entry in entries.by_ref() {
            let sequence = entry.sequence;
            self.searched_to = Some(SearchedTo {
                sequence,
                occurred_at: entry.occurred_at,
            });
            if search.matches(&entry) {
                self.items.push(entry);
            }
            if self.is_full() {
                let more = end.is_some() || entries.len() > 0;
                self.next = more.then(|| AuditChain::position(sequence));
                return;
            }
        }
        self.next = end;
    }
}

#[cfg(test)]
mod tests {
    use domain::audit::ChainHead;
    use domain::event::Event;
    use kernel::{EventId, OrgId};
    use serde_json::json;

    use super::*;

    fn entry(sequence: u64, kind: EventKind, actor: Actor) -> AuditEntry {
        let head = ChainHead {
            sequence: sequence - 1,
            ..ChainHead::default()
        };
        let event = Event {
            id: EventId::from_u128(u128::from(sequence)),
            org: OrgId::from_u128(1),
            kind,
            subject: format!("subject-{sequence}"),
            actor,
            occurred_at: Timestamp::from_millis(i64::try_from(sequence).unwrap() * 1_000),
            correlation_id: "req".to_owned(),
            data: json!({}),
        };
        AuditEntry::seal(&head, event)
    }

    /// Entries 20 down to 1; every fifth is of another kind and by a user.
    fn chain() -> Vec<AuditEntry> {
        let user = Actor::User {
            id: UserId::from_u128(7),
        };
        (1..=20)
            .rev()
            .map(|n| match n % 5 {
                0 => entry(n, EventKind::AgentCreated, user),
                _ => entry(n, EventKind::TaskCreated, Actor::System),
            })
            .collect()
    }

    fn search(fields: serde_json::Value) -> AuditSearch {
        serde_json::from_value(fields).expect("a search")
    }

    fn sequences(search: &AuditSearch) -> Vec<u64> {
        chain()
            .iter()
            .filter(|entry| search.matches(entry))
            .map(|entry| entry.sequence)
            .collect()
    }

    #[test]
    fn filters_are_combined() {
        let user = UserId::from_u128(7).to_string();
        assert_eq!(sequences(&search(json!({}))).len(), 20);
        assert_eq!(
            sequences(&search(json!({ "type": "agent.created" }))),
            [20, 15, 10, 5]
        );
        assert_eq!(
            sequences(&search(json!({ "actor": user }))),
            [20, 15, 10, 5]
        );
        assert_eq!(
            sequences(&search(
                json!({ "actor": "system", "subject": "subject-3" })
            )),
            [3]
        );
        let range = json!({ "from": "1970-01-01T00:00:05Z", "to": "1970-01-01T00:00:10Z" });
        assert_eq!(sequences(&search(range)), [9, 8, 7, 6, 5]);
        let both = json!({ "type": "agent.created", "from": "1970-01-01T00:00:11Z" });
        assert_eq!(sequences(&search(both)), [20, 15]);
    }

    #[test]
    fn bad_filters_are_refused() {
        for (fields, field) in [
            (json!({ "actor": "somebody" }), "actor"),
            (json!({ "subject": "" }), "subject"),
            (json!({ "limit": 0 }), "limit"),
            (json!({ "limit": 101 }), "limit"),
        ] {
            let report = search(fields).validate().expect_err(field);
            assert!(report.to_string().contains(field), "{report}");
        }
        assert!(serde_json::from_value::<AuditSearch>(json!({ "type": "no.such" })).is_err());
        assert!(serde_json::from_value::<AuditSearch>(json!({ "typ": "agent.created" })).is_err());
    }

    #[test]
    fn a_cursor_belongs_to_its_filters_whatever_the_limit() {
        let of = |fields| search(fields).list();
        assert_eq!(of(json!({ "limit": 5 })), of(json!({ "cursor": "x" })));
        assert_ne!(of(json!({ "actor": "system" })), of(json!({})));
        assert_ne!(
            of(json!({ "subject": "system" })),
            of(json!({ "actor": "system" }))
        );
    }

    /// Reads the chain in pages of `size`, one request after another, as `search` does.
    fn pages(fields: serde_json::Value, limit: u32, size: usize, reads: usize) -> Vec<Vec<u64>> {
        let (search, chain) = (search(fields), chain());
        let mut requests = Vec::new();
        let mut after: Option<Cursor> = None;
        loop {
            let mut found = Found::new(limit, after);
            for _ in 0..reads {
                let from = found.next.take().map_or(0, |cursor| {
                    let last: u64 = cursor.sort_key().parse().unwrap();
                    chain
                        .iter()
                        .position(|entry| entry.sequence < last)
                        .unwrap_or(chain.len())
                });
                let items: Vec<_> = chain[from..].iter().take(size).cloned().collect();
                let more = from + size < chain.len();
                let next = more.then(|| AuditChain::position(items.last().unwrap().sequence));
                found.take(Page { items, next }, &search);
                if found.next.is_none() || found.is_full() {
                    break;
                }
            }
            requests.push(found.items.iter().map(|entry| entry.sequence).collect());
            after = found.next;
            if after.is_none() {
                return requests;
            }
        }
    }

    #[test]
    fn pages_together_are_the_whole_answer_however_they_are_cut() {
        let agents = json!({ "type": "agent.created" });
        for (limit, size, reads) in [(1, 3, 1), (2, 7, 2), (3, 20, 1), (100, 1, 4), (4, 20, 1)] {
            let all: Vec<u64> = pages(agents.clone(), limit, size, reads).concat();
            assert_eq!(all, [20, 15, 10, 5], "{limit} {size} {reads}");
        }
        assert_eq!(
            pages(agents.clone(), 1, 20, 1),
            [vec![20], vec![15], vec![10], vec![5], vec![]]
        );
        // The bound is hit before anything is found: an empty page that goes on.
        assert_eq!(
            pages(json!({ "subject": "subject-1" }), 5, 5, 2),
            [vec![], vec![1]]
        );
        assert_eq!(pages(json!({}), 20, 20, 1).len(), 1);
    }
}
