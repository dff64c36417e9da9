//! The bell: one SQS message that says which job to look at.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use work::{Bell, BellError, Doorbell, MAX_RING_DELAY};

use crate::{Clients, StoreConfig};

/// Rings a worker through the queue of the job's lane. Messages carry the org as their group, so
/// that SQS shares a standard queue fairly among orgs.
pub struct SqsBell {
    clients: Clients,
    config: Arc<StoreConfig>,
}

impl SqsBell {
    /// A bell for the queues of `config`.
    #[must_use]
    pub fn new(clients: Clients, config: Arc<StoreConfig>) -> Self {
        Self { clients, config }
    }
}

#[async_trait]
impl Bell for SqsBell {
    async fn ring(&self, doorbell: &Doorbell, delay: Duration) -> Result<(), BellError> {
        let body = serde_json::to_string(doorbell)
            .map_err(|error| BellError::caused_by("the doorbell is not JSON", error))?;
        let seconds = delay.min(MAX_RING_DELAY).as_millis().div_ceil(1000);
        self.clients
            .sqs()
            .send_message()
            .queue_url(self.config.queue(doorbell.lane))
            .message_body(body)
            .message_group_id(doorbell.org.to_string())
            .delay_seconds(i32::try_from(seconds).unwrap_or(0))
            .send()
            .await
            .map(drop)
            .map_err(|error| BellError::caused_by("SQS did not take the message", error))
    }
}
