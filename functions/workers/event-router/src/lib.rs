//! Follows the event log and keeps what depends on it: the audit chain of each org and the
//! statistics of agents.
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
        Ok(())
    }
}

impl StreamReader for EventRouter {
    async fn read(&self, items: Vec<serde_dynamo::Item>) -> usize {
        let count = items.len();
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
                // It will not become an event by coming again, and must not hold up the others.
                Err(error) => tracing::error!(%error, "a log item is not an event"),
            }
        }
        let mut done = count;
        for (org, (first, events)) in by_org {
            if let Err(error) = self.route(org, &events).await {
                tracing::error!(%org, %error, "events could not be routed and will come again");
                done = done.min(first);
            }
        }
        done
    }
}
