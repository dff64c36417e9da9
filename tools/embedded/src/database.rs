//! DynamoDB: the engine, its SQLite file and its server.

use std::path::Path;
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

/// Opens the tables of a folder, or empty ones in memory.
pub(crate) fn open(folder: &DataFolder, checkpoints: &Checkpoints) -> Result<Database, StartError> {
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
        let checkpoints = Checkpoints::new(folder.checkpoints());
        let _engine = open(&folder, &checkpoints).expect("opened");

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
