//! What ends an attempt, or a look at a source, before its time.

use kernel::Timestamp;
use store::objects::ObjectError;
use store::{CommitError, ReadError};
use work::{JobError, Outcome};

/// Why an attempt does not go on as it is.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// Somebody changed what it is about: look again.
    Changed,
    /// There is nothing to do before this moment.
    Later(Timestamp),
    /// Its time is over; a successor goes on.
    OutOfTime,
    /// Another attempt may do better.
    Transient(JobError),
    /// No other attempt will do better.
    Permanent(JobError),
}

impl Trouble {
    /// How the attempt ends.
    pub(crate) fn outcome(self) -> Outcome {
        match self {
            Self::Changed => Outcome::retry(
                "contended",
                "Others changed it at the same time, again and again.",
            ),
            Self::Later(until) => Outcome::Park { until },
            Self::OutOfTime => Outcome::Yield,
            Self::Transient(error) => Outcome::Retry { error, after: None },
            Self::Permanent(error) => Outcome::Fail { error },
        }
    }
}

impl From<ReadError> for Trouble {
    fn from(error: ReadError) -> Self {
        tracing::warn!(%error, "the store was not read");
        match error {
            ReadError::Unavailable(_) => Self::Transient(unavailable()),
            ReadError::Shape(_) => Self::Permanent(JobError::new(
                "store_unreadable",
                "What is stored cannot be understood.",
            )),
        }
    }
}

impl From<CommitError> for Trouble {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Changed { .. } | CommitError::Exists { .. } => Self::Changed,
            CommitError::FenceLost => Self::Transient(JobError::new(
                "fence_lost",
                "Another worker took the job over.",
            )),
            CommitError::Unavailable(_) => {
                let error = store::explain(&error);
                tracing::warn!(error, "the store did not take a change");
                Self::Transient(unavailable())
            }
            CommitError::OverBudget { .. }
            | CommitError::TooLarge { .. }
            | CommitError::ItemTooLarge { .. }
            | CommitError::Shape(_)
            | CommitError::Unstorable(_) => {
                tracing::error!(%error, "the store refused a change");
                Self::Permanent(JobError::new(
                    "store_refused",
                    "The change cannot be stored.",
                ))
            }
        }
    }
}

impl From<ObjectError> for Trouble {
    fn from(error: ObjectError) -> Self {
        tracing::warn!(%error, "the file storage did not answer");
        Self::Transient(JobError::new(
            "storage_unavailable",
            "The file storage did not answer.",
        ))
    }
}

impl From<store::Error> for Trouble {
    fn from(error: store::Error) -> Self {
        match error {
            store::Error::Read(error) => error.into(),
            store::Error::Commit(error) => error.into(),
            store::Error::Object(error) => error.into(),
        }
    }
}

fn unavailable() -> JobError {
    JobError::new("store_unavailable", "The store did not answer.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_pass_is_tried_again_and_what_cannot_is_not() {
        let unavailable = ReadError::Unavailable("no route".to_owned());
        let Outcome::Retry { error, .. } = Trouble::from(unavailable).outcome() else {
            panic!("an unavailable store is tried again");
        };
        assert!(
            !error.message.contains("no route"),
            "causes are for the log"
        );
        let changed = CommitError::Changed { noun: "file" };
        assert!(matches!(Trouble::from(changed), Trouble::Changed));
        let large = CommitError::ItemTooLarge {
            noun: "file",
            bytes: 1,
        };
        assert!(matches!(
            Trouble::from(large).outcome(),
            Outcome::Fail { .. }
        ));
    }
}
