//! Making jobs.

use std::time::Duration;

use kernel::{JobId, OrgId, Timestamp};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::protocol;
use crate::{Job, JobState, Lane};

/// Failed attempts in a row after which a job is dead, unless it says otherwise.
pub const DEFAULT_MAX_ATTEMPTS: u32 = 5;

/// A job to be inserted. The row comes from [`build`](Self::build); insert it in the transaction
/// that causes it, on the condition that no such row exists, then ring
/// [`Job::doorbell`] after [`Job::ring_delay`].
#[derive(Debug, Clone)]
pub struct NewJob {
    org: OrgId,
    id: Option<JobId>,
    kind: String,
    lane: Lane,
    payload: Value,
    due: Due,
    parked: bool,
    max_attempts: u32,
    correlation_id: String,
}

#[derive(Debug, Clone, Copy)]
enum Due {
    After(Duration),
    At(Timestamp),
}

impl NewJob {
    /// A job that is due at once. `payload` is stored with the row: references, not contents.
    pub fn new(org: OrgId, kind: impl Into<String>, lane: Lane, payload: Value) -> Self {
        Self {
            org,
            id: None,
            kind: kind.into(),
            lane,
            payload,
            due: Due::After(Duration::ZERO),
            parked: false,
            max_attempts: DEFAULT_MAX_ATTEMPTS,
            correlation_id: String::new(),
        }
    }

    /// Not before this moment.
    #[must_use]
    pub fn due_at(mut self, due_at: Timestamp) -> Self {
        self.due = Due::At(due_at);
        self
    }

    /// Not before this long after it is built.
    #[must_use]
    pub fn delay(mut self, delay: Duration) -> Self {
        self.due = Due::After(delay);
        self
    }

    /// Waits until it is woken, or until this moment.
    #[must_use]
    pub fn parked_until(mut self, due_at: Timestamp) -> Self {
        self.due = Due::At(due_at);
        self.parked = true;
        self
    }

    /// How many attempts in a row may fail; at least one.
    #[must_use]
    pub fn max_attempts(mut self, max_attempts: u32) -> Self {
        self.max_attempts = max_attempts.max(1);
        self
    }

    /// Joins the job to the request that causes it.
    #[must_use]
    pub fn correlation_id(mut self, correlation_id: impl Into<String>) -> Self {
        self.correlation_id = correlation_id.into();
        self
    }

    /// Exactly this id, for a caller that has to know it beforehand.
    #[must_use]
    pub fn id(mut self, id: JobId) -> Self {
        self.id = Some(id);
        self
    }

    /// An id that follows from org, kind and `key` alone: to enqueue the same work twice finds the
    /// first job instead of making a second. `key` is the business identity, such as an execution
    /// and a step, never a message id. Such ids do not sort by time.
    #[must_use]
    pub fn deduplicated_by(mut self, key: &str) -> Self {
        let mut hash = Sha256::new();
        for part in [self.org.to_string().as_str(), &self.kind, key] {
            // Lengths keep ("ab", "c") and ("a", "bc") apart.
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        let digest = hash.finalize();
        let bits = digest[..16]
            .iter()
            .fold(0u128, |bits, &byte| (bits << 8) | u128::from(byte));
        self.id = Some(JobId::from_u128(bits));
        self
    }

    /// The row as it is to be inserted at `now`.
    #[must_use]
    pub fn build(self, now: Timestamp) -> Job {
        let due_at = match self.due {
            Due::After(delay) => now.plus(delay),
            Due::At(due_at) => due_at.max(now),
        };
        Job {
            org: self.org,
            id: self.id.unwrap_or_else(|| JobId::generate(now)),
            kind: self.kind,
            lane: self.lane,
            payload: self.payload,
            state: if self.parked {
                JobState::Parked
            } else {
                JobState::Ready
            },
            attempts: 0,
            max_attempts: self.max_attempts,
            yields: 0,
            fence: 0,
            lease_token: None,
            lease_until: None,
            due_at,
            ring_at: Some(protocol::first_look(due_at, now)),
            rings: 0,
            cancel_requested: false,
            wake_requested: false,
            progress: None,
            result: None,
            error: None,
            dead_reason: None,
            correlation_id: self.correlation_id,
            created_at: now,
            updated_at: now,
            version: 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::MAX_RING_DELAY;

    const NOW: Timestamp = Timestamp::from_millis(1_767_225_600_000);

    fn new_job() -> NewJob {
        NewJob::new(
            OrgId::from_u128(1),
            "file.process",
            Lane::Files,
            json!({"file": 1}),
        )
    }

    #[test]
    fn the_same_identity_gives_the_same_id() {
        let first = new_job().deduplicated_by("step-1").build(NOW);
        let again = new_job()
            .deduplicated_by("step-1")
            .build(NOW.plus(Duration::from_secs(9)));
        assert_eq!(first.id, again.id);

        let other_key = new_job().deduplicated_by("step-2").build(NOW);
        let other_org = NewJob::new(
            OrgId::from_u128(2),
            "file.process",
            Lane::Files,
            Value::Null,
        )
        .deduplicated_by("step-1")
        .build(NOW);
        assert_ne!(first.id, other_key.id);
        assert_ne!(first.id, other_org.id);
    }

    #[test]
    fn a_due_job_is_rung_at_once_and_looked_at_soon() {
        let job = new_job().build(NOW);
        assert_eq!(job.ring_delay(NOW), Some(Duration::ZERO));
        assert_eq!(job.ring_at, Some(NOW.plus(protocol::RING_GRACE)));
    }

    #[test]
    fn a_distant_job_is_left_to_the_sweeper() {
        let job = new_job()
            .delay(MAX_RING_DELAY + Duration::from_secs(1))
            .build(NOW);
        assert_eq!(job.ring_delay(NOW), None);
        assert_eq!(job.ring_at, Some(job.due_at));
    }

    #[test]
    fn a_parked_job_waits_to_be_woken() {
        let job = new_job()
            .parked_until(NOW.plus(Duration::from_secs(60)))
            .build(NOW);
        assert_eq!(job.state, JobState::Parked);
        let woken = protocol::wake(&job, NOW).unwrap().expect("a change");
        assert_eq!((woken.state, woken.due_at), (JobState::Ready, NOW));
    }

    #[test]
    fn the_past_is_due_now() {
        let job = new_job().due_at(Timestamp::from_millis(5)).build(NOW);
        assert_eq!(job.due_at, NOW);
    }

    #[test]
    fn a_row_reads_back_as_it_was_written() {
        let job = new_job().correlation_id("req_1").build(NOW);
        let text = serde_json::to_string(&job).unwrap();
        assert!(!text.contains("null"), "{text}");
        assert_eq!(serde_json::from_str::<Job>(&text).unwrap(), job);
    }
}
