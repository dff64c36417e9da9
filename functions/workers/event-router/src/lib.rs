//! Follows the event log and keeps what depends on it: the audit chain of each org, the statistics
//! of agents, and the marks of what has to be indexed anew.
//!
//! It is the log's only consumer, so nothing contends for a chain. Each reader recognises an event
//! that it has taken before: a repetition changes nothing, and neither does a batch that comes
//! again because its end failed.

use std::collections::BTreeMap;

use domain::event::Event;
use kernel::OrgId;
use lambda::StreamReader;
use store::events::event_from_image;
use store::{Store, Tenant};

/// Reads the event log.
#[derive(Debug, Clone)]
pub struct EventRouter {
    store: Store,
}

impl EventRouter {
    /// A router over a store.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self { store }
    }

    async fn route(&self, org: OrgId, events: &[Event]) -> Result<(), store::Error> {
        let tenant = Tenant::authorised(org);
        self.store.audit(tenant).seal(events).await?;
        for event in events {
            self.store.statistics(tenant).count(event).await?;
        }
        self.store.text_index(tenant).mark(events).await
    }
}

impl StreamReader for EventRouter {
    async fn read(&self, items: Vec<serde_dynamo::Item>) -> usize {
        let count = items.len();
        let mut done = count;
        let mut by_org: BTreeMap<OrgId, (usize, Vec<Event>)> = BTreeMap::new();
        for (position, item) in items.into_iter().enumerate() {
            match event_from_image(item) {
                Ok(event) => {
                    by_org
                        .entry(event.org)
                        .or_insert((position, Vec::new()))
                        .1
                        .push(event);
                }
                // Perhaps a newer version wrote it, whose router is about to start: it comes again,
                // and in the end becomes a dead letter. No event is passed over.
                Err(error) => {
                    tracing::error!(%error, "a log item is not an event");
                    done = done.min(position);
                }
            }
        }
        for (org, (first, events)) in by_org {
            if let Err(error) = self.route(org, &events).await {
                tracing::error!(%org, %error, "events could not be routed and will come again");
                done = done.min(first);
            }
        }
        done
    }
}
