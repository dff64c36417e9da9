//! When a job stops trying and says so.
//!
//! The engine would bury a job after so many failures, and what it worked on would be "processing"
//! for ever. So the jobs of files may fail far more often than their handlers let them: a handler
//! counts for itself and ends with a reason that people see.

use work::Job;

/// After so many tries in a row trouble of ours becomes a failure. With backoff they take about
/// ten minutes.
const MOST_TRIES: u32 = 10;
/// After so many attempts that ended in the hands of the engine no further one is made: whatever
/// kills a worker three times will kill it again.
const MOST_DEATHS: u32 = 3;
/// How the engine names attempts that did not end by themselves.
const DEATHS: [&str; 3] = ["worker_lost", "deadline_exceeded", "panicked"];

/// Whether this attempt is the last that may end in trouble.
pub(crate) fn is_last(job: &Job) -> bool {
    job.attempts + 1 >= MOST_TRIES
}

/// Whether attempts at this job die, so that it is better not to make another.
pub(crate) fn is_deadly(job: &Job) -> bool {
    let died = job
        .error
        .as_ref()
        .is_some_and(|error| DEATHS.contains(&error.code.as_str()));
    died && job.attempts >= MOST_DEATHS
}

#[cfg(test)]
mod tests {
    use kernel::{OrgId, Timestamp};
    use work::{JobError, Lane, NewJob};

    use super::*;

    fn job(attempts: u32, code: &str) -> Job {
        let new = NewJob::new(
            OrgId::from_u128(1),
            "file.process",
            Lane::Files,
            serde_json::Value::Null,
        );
        let mut job = new.build(Timestamp::from_millis(1_767_225_600_000));
        job.attempts = attempts;
        job.error = (attempts > 0).then(|| JobError::new(code, "…"));
        job
    }

    #[test]
    fn a_worker_dies_at_most_three_times_of_one_file() {
        assert!(!is_deadly(&job(0, "")));
        for code in DEATHS {
            assert!(!is_deadly(&job(2, code)));
            assert!(is_deadly(&job(3, code)));
        }
        assert!(!is_deadly(&job(9, "store_unavailable")));
    }

    #[test]
    fn trouble_is_borne_for_ten_attempts() {
        assert!(!is_last(&job(8, "store_unavailable")));
        assert!(is_last(&job(9, "store_unavailable")));
    }
}
