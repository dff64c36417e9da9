//! How far each consumer of a stream has come, kept in the data folder.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::database::CommitLog;
use crate::error::Error;

/// The last record a consumer has dealt with.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Checkpoint {
    pub(crate) table: String,
    /// A table made anew has a new stream, to which an old position says
    /// nothing.
    pub(crate) stream_arn: String,
    pub(crate) shard: String,
    /// Of the last record dealt with.
    pub(crate) sequence_number: String,
}

/// The folder of checkpoints, one file for each consumer of a table.
#[derive(Clone, Debug)]
pub(crate) struct Checkpoints {
    folder: PathBuf,
    /// What the records come from, where a power failure can take something from it.
    log: Option<CommitLog>,
}

impl Checkpoints {
    pub(crate) fn new(folder: PathBuf, log: Option<CommitLog>) -> Self {
        Self { folder, log }
    }

    /// The file of one consumer. Tables and consumers have plain names; what
    /// is not plain becomes `_`, so that no name leads out of the folder.
    pub(crate) fn path(&self, table: &str, consumer: &str) -> PathBuf {
        let plain = |name: &str| {
            name.replace(
                |c: char| !c.is_ascii_alphanumeric() && !"-_".contains(c),
                "_",
            )
        };
        self.folder
            .join(format!("{}.{}.json", plain(table), plain(consumer)))
    }

    /// Reads a checkpoint; nothing when the consumer is new.
    pub(crate) fn read(path: &Path) -> Result<Option<Checkpoint>, Error> {
        let text = match std::fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unusable(path, error)),
        };
        serde_json::from_slice(&text)
            .map(Some)
            .map_err(|error| unusable(path, error))
    }

    /// Replaces a checkpoint as a whole: a crash leaves the old or the new. The records that it
    /// stands behind are on the disk before it is: it would hide those that take their numbers
    /// otherwise, after a power failure.
    pub(crate) fn write(&self, path: &Path, checkpoint: &Checkpoint) -> Result<(), Error> {
        let replace = || -> std::io::Result<()> {
            if let Some(log) = &self.log {
                log.sync()?;
            }
            let folder = path.parent().unwrap_or(Path::new("."));
            let mut file = tempfile::NamedTempFile::new_in(folder)?;
            file.write_all(&serde_json::to_vec(checkpoint)?)?;
            file.as_file().sync_data()?;
            file.persist(path).map_err(|error| error.error)?;
            Ok(())
        };
        replace().map_err(|error| unusable(path, error))
    }

    /// For each table that has consumers, the last sequence number that all of
    /// them have dealt with. Empty while any checkpoint cannot be read, since
    /// it may be the one that lags.
    pub(crate) fn passed_by_every_consumer(&self) -> BTreeMap<String, u128> {
        let mut passed = BTreeMap::new();
        for entry in std::fs::read_dir(&self.folder)
            .into_iter()
            .flatten()
            .flatten()
        {
            let path = entry.path();
            if path.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            let Ok(Some(checkpoint)) = Self::read(&path) else {
                return BTreeMap::new();
            };
            let Ok(number) = checkpoint.sequence_number.parse::<u128>() else {
                return BTreeMap::new();
            };
            passed
                .entry(checkpoint.table)
                .and_modify(|least: &mut u128| *least = number.min(*least))
                .or_insert(number);
        }
        passed
    }
}

fn unusable(path: &Path, reason: impl std::fmt::Display) -> Error {
    Error::Checkpoint {
        path: path.to_path_buf(),
        reason: reason.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checkpoint(table: &str, sequence_number: &str) -> Checkpoint {
        Checkpoint {
            table: table.to_owned(),
            stream_arn: "arn:stream".to_owned(),
            shard: "shard".to_owned(),
            sequence_number: sequence_number.to_owned(),
        }
    }

    #[test]
    fn a_checkpoint_is_read_back_as_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let checkpoints = Checkpoints::new(folder.path().to_path_buf(), None);
        let path = checkpoints.path("log", "audit");
        assert_eq!(Checkpoints::read(&path).expect("readable"), None);
        for number in ["100000000000000000007", "100000000000000000009"] {
            let written = checkpoint("log", number);
            checkpoints.write(&path, &written).expect("written");
            assert_eq!(Checkpoints::read(&path).expect("readable"), Some(written));
        }
    }

    #[test]
    fn a_checkpoint_is_not_written_before_what_it_stands_behind_is_on_the_disk() {
        let folder = tempfile::tempdir().expect("a folder");
        // A log that cannot be synced: it is a folder.
        let database = folder.path().join("tables");
        std::fs::create_dir(folder.path().join("tables-wal")).expect("made");
        let log = CommitLog::of(&database);
        let checkpoints = Checkpoints::new(folder.path().to_path_buf(), Some(log));
        let path = checkpoints.path("log", "audit");
        let refused = checkpoints.write(&path, &checkpoint("log", "7"));
        assert!(refused.is_err());
        assert_eq!(Checkpoints::read(&path).expect("readable"), None);

        std::fs::remove_dir(folder.path().join("tables-wal")).expect("removed");
        checkpoints
            .write(&path, &checkpoint("log", "7"))
            .expect("nothing is left to be synced");
    }

    #[test]
    fn the_slowest_consumer_decides_what_has_been_passed() {
        let folder = tempfile::tempdir().expect("a folder");
        let checkpoints = Checkpoints::new(folder.path().to_path_buf(), None);
        for (consumer, number) in [("fast", "12"), ("slow", "9")] {
            let path = checkpoints.path("log", consumer);
            checkpoints
                .write(&path, &checkpoint("log", number))
                .expect("written");
        }
        let passed = checkpoints.passed_by_every_consumer();
        assert_eq!(passed, BTreeMap::from([("log".to_owned(), 9)]));

        std::fs::write(checkpoints.path("log", "damaged"), "{").expect("written");
        assert_eq!(checkpoints.passed_by_every_consumer(), BTreeMap::new());
    }

    #[test]
    fn a_damaged_checkpoint_is_reported_with_its_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = Checkpoints::new(folder.path().to_path_buf(), None).path("log", "audit");
        std::fs::write(&path, "not json").expect("written");
        let error = Checkpoints::read(&path).expect_err("damaged").to_string();
        assert!(error.contains("log.audit.json"), "{error}");
        assert!(error.contains("delete it to replay"), "{error}");
    }

    #[test]
    fn names_cannot_lead_out_of_the_folder() {
        let checkpoints = Checkpoints::new(PathBuf::from("folder"), None);
        let path = checkpoints.path("../log", "a/b");
        assert_eq!(path, PathBuf::from("folder/___log.a_b.json"));
    }
}
