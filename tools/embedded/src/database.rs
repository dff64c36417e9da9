//! DynamoDB: the engine, its SQLite file and its server.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use dynoxide::Database;
use rusqlite::Connection;
use tokio::net::TcpListener;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::checkpoint::Checkpoints;
use crate::error::StartError;
use crate::folder::DataFolder;

/// The engine adds this to its own sequence numbers, which puts what it
/// publishes at DynamoDB's length of 21 digits.
const SEQUENCE_OFFSET: u128 = 100_000_000_000_000_000_000;

/// How long DynamoDB Streams keeps a record.
const STREAM_RETENTION: Duration = Duration::from_secs(24 * 60 * 60);

/// How soon after a commit it is on the disk, where commits do not wait for that.
const SYNC_EVERY: Duration = Duration::from_secs(1);

/// The file to which SQLite appends what is committed. The system writes it to the disk in its own
/// time unless it is told to.
#[derive(Clone, Debug)]
pub(crate) struct CommitLog {
    path: PathBuf,
}

impl CommitLog {
    pub(crate) fn of(database: &Path) -> Self {
        let mut path = database.as_os_str().to_owned();
        path.push("-wal");
        Self { path: path.into() }
    }

    /// Brings everything that is committed to the disk. What is no longer in this file, SQLite has
    /// brought there itself.
    pub(crate) fn sync(&self) -> io::Result<()> {
        // Not every system lets a file be synced that was opened to be read.
        match File::options().write(true).open(&self.path) {
            Ok(file) => file.sync_data(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn written_at(&self) -> Option<SystemTime> {
        std::fs::metadata(&self.path).ok()?.modified().ok()
    }
}

/// The log of a folder whose commits do not wait for the disk.
pub(crate) fn commit_log(folder: &DataFolder, sync_every_commit: bool) -> Option<CommitLog> {
    let path = folder.database().filter(|_| !sync_every_commit)?;
    Some(CommitLog::of(&path))
}

/// Opens the tables of a folder, or empty ones in memory.
pub(crate) fn open(
    folder: &DataFolder,
    checkpoints: &Checkpoints,
    sync_every_commit: bool,
) -> Result<Database, StartError> {
    let Some(path) = folder.database() else {
        return Database::memory().map_err(|error| StartError::Corrupt {
            path: ":memory:".into(),
            reason: error.to_string(),
        });
    };
    let corrupt = |reason: String| StartError::Corrupt {
        path: path.clone(),
        reason,
    };
    let name = path
        .to_str()
        .ok_or_else(|| corrupt("its path is not valid UTF-8".to_owned()))?;
    let database = Database::new(name).map_err(|error| corrupt(error.to_string()))?;
    check(&path).map_err(corrupt)?;
    if !sync_every_commit {
        // The engine's only way to say `synchronous = NORMAL`: the rest is as it was.
        let relaxed = database.disable_bulk_loading();
        relaxed.map_err(|error| corrupt(error.to_string()))?;
    }
    if let Err(error) = tend_stream_records(&path, checkpoints) {
        // Costs speed and disk, never data.
        tracing::warn!(%error, "cannot tend the stream records of the local tables");
    }
    Ok(database)
}

/// Reads the whole file for damage, which SQLite otherwise reports only when
/// a request touches the damaged page.
fn check(path: &Path) -> Result<(), String> {
    let verdict: Result<String, _> = Connection::open(path)
        .and_then(|file| file.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)));
    match verdict {
        Ok(verdict) if verdict == "ok" => Ok(()),
        Ok(damage) => Err(damage),
        Err(error) => Err(error.to_string()),
    }
}

/// Indexes the stream records and removes those nobody needs.
///
/// The engine keeps every record for ever and looks for the last one by
/// reading them all, at every write to a table with a stream. Like DynamoDB,
/// this keeps a day; unlike DynamoDB, it also keeps whatever a consumer has
/// not passed, since a laptop may sleep for longer than a day.
fn tend_stream_records(path: &Path, checkpoints: &Checkpoints) -> rusqlite::Result<()> {
    let file = Connection::open(path)?;
    file.busy_timeout(Duration::from_secs(5))?;
    file.execute_batch(
        "CREATE INDEX IF NOT EXISTS overglass_stream_order
         ON _stream_records (table_name, CAST(sequence_number AS INTEGER))",
    )?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let oldest = now.unwrap_or_default().saturating_sub(STREAM_RETENTION);
    for (table, passed) in checkpoints.passed_by_every_consumer() {
        let Some(passed) = passed
            .checked_sub(SEQUENCE_OFFSET)
            .and_then(|number| i64::try_from(number).ok())
        else {
            continue;
        };
        file.execute(
            "DELETE FROM _stream_records
             WHERE table_name = ?1 AND CAST(sequence_number AS INTEGER) <= ?2 AND created_at < ?3",
            rusqlite::params![table, passed, oldest.as_secs().cast_signed()],
        )?;
    }
    Ok(())
}

/// Serves DynamoDB and DynamoDB Streams until told to stop.
pub(crate) async fn serve(listener: TcpListener, database: Database, stop: CancellationToken) {
    let served =
        dynoxide::server::serve_with_shutdown(listener, database, stop.cancelled_owned()).await;
    if let Err(error) = served {
        tracing::error!(%error, "the embedded DynamoDB stopped");
    }
}

/// Brings what was committed to the disk once a second, until told to stop.
pub(crate) async fn sync(log: CommitLog, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(SYNC_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut synced = None;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let written = log.written_at();
        if written == synced {
            continue;
        }
        let log = log.clone();
        match tokio::task::spawn_blocking(move || log.sync()).await {
            Ok(Ok(())) => synced = written,
            Ok(Err(error)) => tracing::error!(%error, "cannot bring commits to the disk"),
            Err(panic) => tracing::error!(%panic, "bringing commits to the disk panicked"),
        }
    }
}

/// Deletes expired items every `interval` until told to stop.
pub(crate) async fn expire(database: Database, interval: Duration, stop: CancellationToken) {
    // An interval of nothing would be refused.
    let mut ticks = tokio::time::interval(interval.max(Duration::from_millis(1)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let database = database.clone();
        match tokio::task::spawn_blocking(move || database.sweep_ttl()).await {
            Ok(Ok(deleted)) if deleted > 0 => tracing::debug!(deleted, "deleted expired items"),
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::warn!(%error, "cannot delete expired items"),
            Err(panic) => tracing::error!(%panic, "the deletion of expired items panicked"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::Storage;

    #[test]
    fn the_last_stream_record_is_found_without_reading_them_all() {
        let root = tempfile::tempdir().expect("a folder");
        let storage = Storage::Folder(root.path().to_path_buf());
        let folder = DataFolder::open(&storage).expect("opened");
        let checkpoints = Checkpoints::new(folder.checkpoints(), None);
        let _engine = open(&folder, &checkpoints, true).expect("opened");

        let file = Connection::open(folder.database().expect("a file")).expect("opened");
        // What the engine asks at every write, and at every look for records.
        for question in [
            "SELECT COALESCE(MAX(CAST(sequence_number AS INTEGER)), 0) + 1
             FROM _stream_records WHERE table_name = 'log'",
            "SELECT new_image FROM _stream_records
             WHERE table_name = 'log' AND shard_id = 'shard'
             AND CAST(sequence_number AS INTEGER) > 7
             ORDER BY CAST(sequence_number AS INTEGER) ASC LIMIT 100",
        ] {
            let plan: String = file
                .query_row(&format!("EXPLAIN QUERY PLAN {question}"), [], |row| {
                    row.get("detail")
                })
                .expect("a plan");
            assert!(plan.contains("overglass_stream_order"), "{plan}");
        }
    }
}
