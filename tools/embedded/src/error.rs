//! What can go wrong, in words a person at a terminal can act on.

use std::error::Error as StdError;
use std::path::PathBuf;

/// The services could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data folder cannot be made, read or written.
    #[error("cannot use the data folder {}: {cause}", path.display())]
    Folder {
        path: PathBuf,
        cause: std::io::Error,
    },

    /// Another process serves the same folder.
    #[error("the data folder {} is in use by {holder}; stop it, or choose another folder", path.display())]
    Locked { path: PathBuf, holder: String },

    /// A file of the folder is not what this program wrote.
    #[error("{} is damaged: {reason}; restore it from a copy, or move it away to begin with empty data", path.display())]
    Corrupt { path: PathBuf, reason: String },

    /// No loopback port could be opened.
    #[error("cannot listen on the loopback interface for {service}: {cause}")]
    Listen {
        service: &'static str,
        cause: std::io::Error,
    },

    /// The threads that serve could not be started.
    #[error("cannot start the service threads: {0}")]
    Threads(std::io::Error),
}

/// A call to the running services failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A service refused or did not answer.
    #[error("{operation} on {resource} failed: {cause}")]
    Call {
        operation: &'static str,
        resource: String,
        cause: String,
    },

    /// A table of the data folder has another shape than this version needs.
    #[error("the table {table} was made differently: {difference}; choose another data folder")]
    TableMismatch { table: String, difference: String },

    /// A stream cannot be followed.
    #[error("the stream of {table} cannot be followed: {reason}")]
    Stream { table: String, reason: String },

    /// A consumer's position cannot be read or written.
    #[error("the checkpoint {} cannot be used: {reason}; delete it to replay the stream from its beginning", path.display())]
    Checkpoint { path: PathBuf, reason: String },
}

impl Error {
    /// Keeps the whole chain of an SDK error, whose own text says only
    /// "service error".
    pub(crate) fn call(
        operation: &'static str,
        resource: impl Into<String>,
        cause: impl StdError,
    ) -> Self {
        Self::Call {
            operation,
            resource: resource.into(),
            cause: aws_sdk_dynamodb::error::DisplayErrorContext(cause).to_string(),
        }
    }
}
