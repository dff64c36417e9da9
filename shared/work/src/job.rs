//! A job as it is stored, and the small types it is made of.

use std::fmt;
use std::time::Duration;

use kernel::{JobId, OrgId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::MAX_RING_DELAY;

/// How many partitions the due index has. One partition would take every insert, heartbeat and
/// settlement of every org.
pub const DUE_SHARDS: u32 = 16;

/// The partition of the due index that a job lives in, `0..DUE_SHARDS`. It never changes.
#[must_use]
pub fn due_shard(id: JobId) -> u32 {
    // The low bits of an id are random (or a digest), the high bits are the time.
    (id.as_u128() & u128::from(u32::MAX)) as u32 % DUE_SHARDS
}

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// May be claimed once it is due.
    Ready,
    /// An attempt runs, or died and its lease is not yet over.
    Leased,
    /// Waits on purpose until it is due or woken.
    Parked,
    /// Succeeded. Final.
    Done,
    /// Given up. Only a redrive leads out of it.
    Dead,
    /// Cancelled. Final.
    Cancelled,
}

impl JobState {
    /// Every state.
    pub const ALL: [Self; 6] = [
        Self::Ready,
        Self::Leased,
        Self::Parked,
        Self::Done,
        Self::Dead,
        Self::Cancelled,
    ];

    /// The stable name, as stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Leased => "leased",
            Self::Parked => "parked",
            Self::Done => "done",
            Self::Dead => "dead",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether the engine will do nothing more with the job by itself.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Done | Self::Dead | Self::Cancelled)
    }

    /// The table of legal transitions. Staying in a state is a transition too where a write may
    /// leave it unchanged: a heartbeat, a ring, a takeover.
    #[must_use]
    pub const fn may_become(self, next: Self) -> bool {
        match self {
            Self::Ready => matches!(next, Self::Ready | Self::Leased | Self::Cancelled),
            Self::Parked => matches!(
                next,
                Self::Parked | Self::Ready | Self::Leased | Self::Cancelled
            ),
            Self::Leased => true,
            Self::Dead => matches!(next, Self::Ready),
            Self::Done | Self::Cancelled => false,
        }
    }
}

impl fmt::Display for JobState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which queue rings for a job. Lanes are the engine's priorities: each has its own queue and its
/// own share of concurrency, so bulk work never makes a person wait.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Lane {
    /// Agent work that a person waits for.
    #[default]
    AgentInteractive,
    /// Agent work that nobody waits for.
    AgentBulk,
    /// Files to extract, chunk and embed.
    Files,
    /// The text indexes of orgs.
    Index,
    /// Pages of the web to read.
    Web,
}

impl Lane {
    /// Every lane.
    pub const ALL: [Self; 5] = [
        Self::AgentInteractive,
        Self::AgentBulk,
        Self::Files,
        Self::Index,
        Self::Web,
    ];

    /// The stable name, which is also the name of the queue.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AgentInteractive => "agent-interactive",
            Self::AgentBulk => "agent-bulk",
            Self::Files => "files",
            Self::Index => "index",
            Self::Web => "web",
        }
    }
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How far a job has come, in units that its handler chooses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Units completed.
    pub completed: u64,
    /// Units in all, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
    /// What is being done, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// Why an attempt failed, in a form that is safe to show to the org's members.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{code}: {message}")]
pub struct JobError {
    /// Stable, `snake_case`.
    pub code: String,
    /// One or two sentences for people.
    pub message: String,
}

impl JobError {
    /// Longest message that is kept, in characters. A job row also holds payload and result, and
    /// an item has a size limit.
    pub const MAX_MESSAGE_CHARS: usize = 1_000;

    /// An error with a stable code and a message for people.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        let mut message = message.into();
        if let Some((end, _)) = message.char_indices().nth(Self::MAX_MESSAGE_CHARS) {
            message.truncate(end);
            message.push('…');
        }
        Self {
            code: code.into(),
            message,
        }
    }
}

/// Why a job is dead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeadReason {
    /// The handler said that no further attempt can succeed.
    Failed,
    /// As many attempts in a row failed as the job allows.
    Exhausted,
    /// No handler understood the job: its kind is unknown or its payload cannot be decoded.
    Rejected,
    /// It yielded more often than any honest job does.
    YieldLimit,
}

impl DeadReason {
    /// The stable name, as stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Exhausted => "exhausted",
            Self::Rejected => "rejected",
            Self::YieldLimit => "yield_limit",
        }
    }
}

/// One piece of background work, as stored. Made by [`NewJob`](crate::NewJob), changed only by
/// [`protocol`](crate::protocol).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// The tenant.
    pub org: OrgId,
    /// Unique within the org.
    pub id: JobId,
    /// What to do, such as `execution.run`. Picks the handler.
    pub kind: String,
    /// Which queue rings for it.
    pub lane: Lane,
    /// What the handler needs to know. Small: references, not contents.
    pub payload: Value,
    /// Where it stands.
    pub state: JobState,
    /// Attempts in a row that failed. Yielding and parking are progress and start the count anew,
    /// so that a job of many turns is not killed by unrelated failures days apart.
    pub attempts: u32,
    /// How many attempts in a row may fail before the job is dead.
    pub max_attempts: u32,
    /// Turns since the start that ended in a yield.
    #[serde(default)]
    pub yields: u32,
    /// Grows with every claim and every lost lease. See [`Fence`].
    pub fence: u64,
    /// The token of the claim that holds the lease; `None` unless leased. It tells a worker whose
    /// reply was lost that the claim it finds is its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_token: Option<u64>,
    /// When the lease ends unless it is renewed; `None` unless leased.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_until: Option<Timestamp>,
    /// Not claimable before.
    pub due_at: Timestamp,
    /// When the sweeper should look at the job: the sort key of the due index. `None` when
    /// terminal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ring_at: Option<Timestamp>,
    /// Rings by the sweeper that no claim has answered yet.
    #[serde(default)]
    pub rings: u32,
    /// Somebody wants it cancelled and an attempt has not yet ended.
    #[serde(default)]
    pub cancel_requested: bool,
    /// What the job would park for has already happened.
    #[serde(default)]
    pub wake_requested: bool,
    /// As last reported by the handler.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    /// What a done job returned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
    /// Why the last attempt failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<JobError>,
    /// Why the job is dead; `None` unless dead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dead_reason: Option<DeadReason>,
    /// Joins the job to the request that caused it.
    pub correlation_id: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// One more with every write, from 1. The condition of every replacement.
    pub version: u64,
}

impl Job {
    /// The ring that makes a worker look at this job.
    #[must_use]
    pub fn doorbell(&self) -> Doorbell {
        Doorbell {
            org: self.org,
            job: self.id,
            lane: self.lane,
        }
    }

    /// How long to delay the ring that follows the commit of this row; `None` if the sweeper
    /// rings instead, since no ring can be delayed for so long, or if there is nothing to ring for.
    #[must_use]
    pub fn ring_delay(&self, now: Timestamp) -> Option<Duration> {
        let waits = matches!(self.state, JobState::Ready | JobState::Parked);
        let delay = self.due_at.since(now);
        (waits && delay <= MAX_RING_DELAY).then_some(delay)
    }

    /// The fence of the attempt that holds the job.
    #[must_use]
    pub fn fence(&self) -> Fence {
        Fence {
            org: self.org,
            job: self.id,
            number: self.fence,
        }
    }
}

/// A ring: "this job may be run". Its JSON, the message's body, is `{"org":"org_…","job":"job_…"}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Doorbell {
    /// The tenant; also the message group, so that one org cannot crowd out the others.
    pub org: OrgId,
    /// The job to look at.
    pub job: JobId,
    /// Which queue to ring. Not part of the message: whoever receives one reads the lane from the
    /// job, never from here.
    #[serde(skip)]
    pub lane: Lane,
}

/// The right of one attempt to write.
///
/// Every commit of an attempt carries it as a condition on the job's row: **`fence` equals
/// `number` and `state` is `leased`**. Both are needed: the number refuses an attempt that was
/// replaced, the state one that was settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fence {
    /// The tenant.
    pub org: OrgId,
    /// The job.
    pub job: JobId,
    /// The number that the claim was given.
    pub number: u64,
}

impl Fence {
    /// Whether a row grants this fence: the condition, spelled out for stores in memory.
    #[must_use]
    pub fn is_held_by(&self, job: &Job) -> bool {
        job.org == self.org
            && job.id == self.job
            && job.state == JobState::Leased
            && job.fence == self.number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_serialised_names() {
        for state in JobState::ALL {
            assert_eq!(serde_json::to_value(state).unwrap(), state.as_str());
        }
        for lane in Lane::ALL {
            assert_eq!(serde_json::to_value(lane).unwrap(), lane.as_str());
        }
        for reason in [
            DeadReason::Failed,
            DeadReason::Exhausted,
            DeadReason::Rejected,
            DeadReason::YieldLimit,
        ] {
            assert_eq!(serde_json::to_value(reason).unwrap(), reason.as_str());
        }
    }

    #[test]
    fn a_doorbell_carries_org_and_job_alone() {
        let doorbell = Doorbell {
            org: OrgId::from_u128(1),
            job: JobId::from_u128(2),
            lane: Lane::Files,
        };
        let body = serde_json::to_string(&doorbell).unwrap();
        assert_eq!(
            body,
            r#"{"org":"org_00000000000000000000000001","job":"job_00000000000000000000000002"}"#
        );
        let received: Doorbell = serde_json::from_str(&body).unwrap();
        assert_eq!((received.org, received.job), (doorbell.org, doorbell.job));
    }

    #[test]
    fn final_states_lead_nowhere_but_dead_may_be_redriven() {
        for next in JobState::ALL {
            assert!(!JobState::Done.may_become(next));
            assert!(!JobState::Cancelled.may_become(next));
            assert_eq!(JobState::Dead.may_become(next), next == JobState::Ready);
        }
    }

    #[test]
    fn long_messages_are_cut_at_a_character() {
        let error = JobError::new("too_long", "é".repeat(5_000));
        assert_eq!(
            error.message.chars().count(),
            JobError::MAX_MESSAGE_CHARS + 1
        );
    }

    #[test]
    fn ids_of_one_moment_spread_over_the_shards() {
        let now = Timestamp::from_millis(1_767_225_600_000);
        let mut counts = [0u32; DUE_SHARDS as usize];
        for _ in 0..16_000 {
            counts[due_shard(JobId::generate(now)) as usize] += 1;
        }
        // 1,000 expected each; eight standard deviations are about 250.
        assert!(
            counts.iter().all(|count| (750..1_250).contains(count)),
            "{counts:?}"
        );
    }
}
