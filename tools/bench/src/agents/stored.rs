//! How many bytes are stored, in files and in the databases of servers that are running.

use std::path::Path;

use anyhow::Context as _;
use rusqlite::{Connection, OpenFlags};

/// The bytes of all files of a folder and of those in it.
pub fn bytes_of_files(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.file_type() {
            Ok(kind) if kind.is_dir() => bytes_of_files(&entry.path()),
            _ => entry.metadata().map_or(0, |metadata| metadata.len()),
        })
        .sum()
}

/// An SQLite database of another process, which may go on writing.
pub struct Database(Connection);

impl Database {
    /// Opens it for reading.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        // Written ahead logs are shared memory, which a reader has to take part in.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)
            .with_context(|| format!("{} cannot be opened", path.display()))?;
        connection.busy_timeout(std::time::Duration::from_secs(10))?;
        connection.pragma_update(None, "query_only", true)?;
        Ok(Self(connection))
    }

    /// Its pages, those that are still in the log ahead included.
    pub fn bytes(&self) -> anyhow::Result<u64> {
        let pragma = |name: &str| {
            let value = self
                .0
                .query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i64>(0));
            anyhow::Ok(u64::try_from(value?)?)
        };
        Ok(pragma("page_count")? * pragma("page_size")?)
    }

    /// A sum over a table, 0 where it is empty.
    pub fn sum(&self, expression: &str, table: &str) -> anyhow::Result<u64> {
        let query = format!(
            "SELECT COALESCE(SUM({expression}), 0) FROM {}",
            quoted(table)
        );
        let sum: i64 = self.0.query_row(&query, [], |row| row.get(0))?;
        Ok(u64::try_from(sum)?)
    }

    /// The names that a query gives.
    pub fn names(&self, query: &str) -> anyhow::Result<Vec<String>> {
        let mut statement = self.0.prepare(query)?;
        let names = statement.query_map([], |row| row.get(0))?;
        Ok(names.collect::<Result<_, _>>()?)
    }
}

/// The bytes of all values in the tables that `counts` accepts, indexes and pages aside.
pub fn bytes_of_rows(database: &Database, counts: impl Fn(&str) -> bool) -> anyhow::Result<u64> {
    let mut bytes = 0;
    let tables = database.names("SELECT name FROM sqlite_schema WHERE type = 'table'")?;
    for table in tables.iter().filter(|table| counts(table)) {
        let columns = database.names(&format!(
            "SELECT name FROM pragma_table_info({})",
            quoted_text(table)
        ))?;
        let lengths: Vec<String> = columns
            .iter()
            .map(|column| format!("COALESCE(LENGTH(CAST({} AS BLOB)), 0)", quoted(column)))
            .collect();
        bytes += database.sum(&lengths.join(" + "), table)?;
    }
    Ok(bytes)
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn quoted_text(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_count_by_their_bytes_while_another_writes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("db");
        let writer = Connection::open(&path).unwrap();
        writer
            .execute_batch(
                "PRAGMA journal_mode = WAL;
                 CREATE TABLE \"a b\" (id INTEGER, text TEXT, data BLOB);
                 CREATE TABLE other (text TEXT);
                 INSERT INTO \"a b\" VALUES (12, 'ü', NULL), (3, 'abc', x'0001');
                 INSERT INTO other VALUES ('not counted');",
            )
            .unwrap();
        let database = Database::open(&path).unwrap();
        let count = || bytes_of_rows(&database, |table| table == "a b").unwrap();
        // Two digits and two bytes; one digit, three bytes and two bytes.
        assert_eq!(count(), 4 + 6);
        let empty = database.bytes().unwrap();
        writer
            .execute(
                "INSERT INTO \"a b\" VALUES (1, ?1, NULL)",
                ["x".repeat(9_999)],
            )
            .unwrap();
        assert_eq!(count(), 10 + 10_000);
        assert!(database.bytes().unwrap() > empty);
    }

    #[test]
    fn files_of_all_folders_count() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("in")).unwrap();
        std::fs::write(folder.path().join("one"), "12345").unwrap();
        std::fs::write(folder.path().join("in/two"), "123").unwrap();
        assert_eq!(bytes_of_files(folder.path()), 8);
        assert_eq!(bytes_of_files(&folder.path().join("none")), 0);
    }
}
