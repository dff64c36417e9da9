//! Read models that follow the event log: counts that no repetition or reordering changes.

use aws_sdk_dynamodb::types::AttributeValue;
use domain::agent::AgentStats;
use domain::event::{Event, EventKind};
use kernel::{AgentId, Timestamp};

use crate::keys;
use crate::{Commit, CommitError, Error, ReadError, Store, Tenant};

/// The read models of one org.
#[derive(Debug, Clone, Copy)]
pub struct Statistics<'a> {
    store: &'a Store,
    tenant: Tenant,
}

impl Store {
    /// The read models of an org.
    #[must_use]
    pub fn statistics(&self, tenant: Tenant) -> Statistics<'_> {
        Statistics {
            store: self,
            tenant,
        }
    }
}

impl Statistics<'_> {
    /// What an agent has done so far.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn of_agent(&self, agent: AgentId) -> Result<AgentStats, ReadError> {
        let key = keys::agent_stats(self.tenant.org(), agent);
        let item = self.store.get_item(&key).await?.unwrap_or_default();
        let count = |name: &str| {
            item.get(name)
                .and_then(|value| value.as_n().ok())
                .and_then(|digits| digits.parse().ok())
                .unwrap_or(0)
        };
        let as_of = item
            .get("as_of")
            .and_then(|value| value.as_s().ok())
            .and_then(|text| text.parse::<Timestamp>().ok());
        Ok(AgentStats::from_counts(
            agent,
            count("completed"),
            count("failed"),
            count("cancelled"),
            as_of,
        ))
    }

    /// Counts the end of an execution for its agent. An event that was counted is passed over;
    /// events that count nothing are too.
    ///
    /// # Errors
    /// [`Error`] if the store does not answer.
    pub async fn count(&self, event: &Event) -> Result<(), Error> {
        let counter = match event.kind {
            EventKind::ExecutionCompleted => "completed",
            EventKind::ExecutionFailed | EventKind::ExecutionExpired => "failed",
            EventKind::ExecutionCancelled => "cancelled",
            _ => return Ok(()),
        };
        let agent = event
            .data
            .get("agent")
            .and_then(|agent| agent.as_str())
            .and_then(|agent| agent.parse::<AgentId>().ok());
        let Some(agent) = agent else {
            tracing::warn!(event = %event.id, "an execution ended without naming its agent");
            return Ok(());
        };
        let org = self.tenant.org();
        let as_of = AttributeValue::S(event.occurred_at.to_string());
        let commit = Commit::new(self.tenant)
            .claim(keys::stats_seen(org, event.id), "counted event")
            .add(
                keys::agent_stats(org, agent),
                counter,
                1,
                vec![("as_of", as_of)],
            );
        match self.store.commit(commit).await {
            Ok(()) | Err(CommitError::Exists { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
