//! What goes wrong through no fault of a file, and what it means for the attempt.

use std::time::Duration;

use embedding::EmbeddingError;
use store::objects::ObjectError;
use store::{CommitError, ReadError};
use work::{JobError, Outcome};

/// Why an attempt did not get to its end.
#[derive(Debug)]
pub(crate) struct Trouble {
    transient: bool,
    error: JobError,
    cause: String,
    /// When to try again, where somebody said so.
    after: Option<Duration>,
}

impl Trouble {
    /// Another attempt may do better. `cause` goes to the log only.
    pub(crate) fn transient(code: &str, message: &str, cause: impl ToString) -> Self {
        Self {
            transient: true,
            error: JobError::new(code, message),
            cause: cause.to_string(),
            after: None,
        }
    }

    fn permanent(code: &str, message: &str, cause: impl ToString) -> Self {
        Self {
            transient: false,
            ..Self::transient(code, message, cause)
        }
    }

    /// Somebody else changed the same thing again and again.
    pub(crate) fn contended() -> Self {
        let message = "Others changed it at the same time, again and again.";
        Self::transient("contended", message, "a condition was refused too often")
    }

    /// What it is, for people.
    pub(crate) fn message(&self) -> &str {
        &self.error.message
    }

    /// Whether another attempt may do better.
    pub(crate) fn is_transient(&self) -> bool {
        self.transient
    }

    /// How the attempt ends.
    pub(crate) fn outcome(self) -> Outcome {
        let Self {
            transient,
            error,
            cause,
            after,
        } = self;
        tracing::warn!(
            code = error.code,
            transient,
            cause,
            "the attempt did not get to its end"
        );
        if transient {
            Outcome::Retry { error, after }
        } else {
            Outcome::Fail { error }
        }
    }
}

/// A model that may answer later.
impl From<EmbeddingError> for Trouble {
    fn from(error: EmbeddingError) -> Self {
        Self {
            after: error.retry_after(),
            ..Self::transient("embedding_unavailable", &error.to_string(), &error)
        }
    }
}

impl From<ReadError> for Trouble {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Unavailable(_) => {
                Self::transient("store_unavailable", "The store did not answer.", error)
            }
            ReadError::Shape(_) => Self::permanent(
                "store_unreadable",
                "What is stored cannot be understood.",
                error,
            ),
        }
    }
}

impl From<CommitError> for Trouble {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Unavailable(_) => Self::transient(
                "store_unavailable",
                "The store did not answer.",
                store::explain(&error),
            ),
            CommitError::FenceLost => {
                Self::transient("fence_lost", "Another worker took the job over.", error)
            }
            CommitError::Changed { .. } => Self::contended(),
            CommitError::Exists { .. }
            | CommitError::OverBudget { .. }
            | CommitError::TooLarge { .. }
            | CommitError::ItemTooLarge { .. }
            | CommitError::Shape(_)
            | CommitError::Unstorable(_) => {
                Self::permanent("store_refused", "The change cannot be stored.", error)
            }
        }
    }
}

impl From<ObjectError> for Trouble {
    fn from(error: ObjectError) -> Self {
        match error {
            ObjectError::Unavailable(_) => Self::transient(
                "storage_unavailable",
                "The file storage did not answer.",
                error,
            ),
            ObjectError::Missing | ObjectError::TooLarge { .. } => Self::permanent(
                "storage_unreadable",
                "The file storage lacks the content.",
                error,
            ),
        }
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

/// How an attempt ends, whatever became of it.
pub(crate) fn ended(result: Result<Outcome, Trouble>) -> Outcome {
    result.unwrap_or_else(Trouble::outcome)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_pass_is_tried_again_and_what_cannot_is_not() {
        let unavailable = || ReadError::Unavailable("no route".to_owned());
        let transient: [Trouble; 4] = [
            unavailable().into(),
            CommitError::FenceLost.into(),
            CommitError::Changed { noun: "file" }.into(),
            ObjectError::Unavailable("503".to_owned()).into(),
        ];
        for trouble in transient {
            assert!(matches!(trouble.outcome(), Outcome::Retry { .. }));
        }
        let permanent: [Trouble; 2] = [
            CommitError::ItemTooLarge {
                noun: "file",
                bytes: 1,
            }
            .into(),
            ObjectError::Missing.into(),
        ];
        for trouble in permanent {
            assert!(matches!(trouble.outcome(), Outcome::Fail { .. }));
        }
        let Outcome::Retry { error, .. } = Trouble::from(unavailable()).outcome() else {
            panic!("an unavailable store is tried again");
        };
        assert!(
            !error.message.contains("no route"),
            "causes are for the log"
        );
    }
}
