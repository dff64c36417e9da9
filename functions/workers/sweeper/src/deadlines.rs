//! The end of executions whose time is over.

use std::time::Duration;

use domain::event::Actor;
use kernel::{RequestId, Timestamp};
use store::executions::{DEADLINE_SHARDS, Deadline};
use store::{Cause, Store, Tenant};

/// How long after its deadline an execution is left to its own worker, which ends it with more to
/// say. Jobs are rung at the deadline; this is for those whose job is lost or dead.
pub const GRACE: Duration = Duration::from_secs(60);
/// How many executions of one part of the index are ended in one sweep, at most.
const AT_ONCE: usize = 200;

/// What became of the deadlines that had passed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Expired {
    /// Executions that were ended.
    pub ended: u64,
    /// Executions, or parts of the index, that could not be dealt with.
    pub failed: u64,
}

/// Ends every execution whose time was over [`GRACE`] before `now`.
pub async fn expire(store: &Store, now: Timestamp) -> Expired {
    let mut report = Expired::default();
    for shard in 0..DEADLINE_SHARDS {
        match store
            .passed_deadlines(shard, now.minus(GRACE), AT_ONCE)
            .await
        {
            Ok(passed) => {
                for deadline in passed {
                    end(store, &deadline, &mut report).await;
                }
            }
            Err(error) => {
                tracing::error!(shard, %error, "deadlines not read");
                report.failed += 1;
            }
        }
    }
    if report != Expired::default() {
        tracing::warn!(
            ended = report.ended,
            failed = report.failed,
            "executions had outlived their deadline"
        );
    }
    report
}

async fn end(store: &Store, deadline: &Deadline, report: &mut Expired) {
    let cause = Cause {
        actor: Actor::System,
        correlation_id: RequestId::generate(store.now()).to_string(),
    };
    let executions = store.executions(Tenant::authorised(deadline.org));
    match executions.expire(&cause, deadline).await {
        Ok(ended) => report.ended += u64::from(ended),
        Err(error) => {
            tracing::error!(
                execution = %deadline.execution,
                error = store::explain(&error),
                "an execution outlives its deadline"
            );
            report.failed += 1;
        }
    }
}
