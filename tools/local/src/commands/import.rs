//! `import`: brings the files of a folder into a knowledge base, and waits until they can be searched.
//!
//! What the knowledge base holds already is not sent again, so whoever begins anew goes on where an
//! import ended before.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::builder::{PathBufValueParser, TypedValueParser};
use indicatif::BinaryBytes;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use self::known::KnownFiles;
use self::progress::Progress;
use self::report::{Entry, Report};
use self::upload::Uploader;
use super::{interrupted, misunderstood, output};
use crate::client::Client;
use crate::journey::{IMPORTED, find_or_create};
use crate::session::{HostArguments, Session};
use crate::terminal::Terminal;

mod bring;
mod content;
mod indexed;
mod known;
mod progress;
mod report;
mod upload;
mod walk;
mod watch;

/// What a program ends as that was interrupted twice.
const INTERRUPTED: i32 = 130;

/// Bring the files of a folder into a knowledge base, and exit when they can be searched.
///
/// Hidden files, and those that `.gitignore` and `.ignore` name, are left out. What the knowledge base
/// holds already is not uploaded again: to go on after an interruption, import the folder again. Ends
/// as 0 if every file can be searched, as 1 if some cannot, and says why.
#[derive(Debug, clap::Args)]
pub(super) struct Import {
    /// The folder; or a single file.
    #[arg(value_parser = PathBufValueParser::new().try_map(existing))]
    folder: PathBuf,
    /// The knowledge base to bring them into; it is created if there is none of this name.
    #[arg(long, value_name = "NAME", default_value = IMPORTED)]
    knowledge_base: String,
    /// Print one JSON object and nothing else.
    #[arg(long)]
    json: bool,
}

impl Import {
    pub(super) async fn run(self, arguments: &HostArguments) -> anyhow::Result<ExitCode> {
        let terminal = output(self.json);
        let entries = self.entries(arguments).await?;
        let session = Session::open(arguments, 0, terminal).await?;
        let report = self.import(session.client(), entries, terminal).await;
        session.close().await;
        let report = report?;
        if self.json {
            terminal.result(&report.as_json());
        } else {
            terminal.line(report.summary());
            terminal.line(self.next_steps(&report));
        }
        Ok(if report.is_whole() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }

    /// What the folder holds.
    async fn entries(&self, arguments: &HostArguments) -> anyhow::Result<Vec<Entry>> {
        let (root, data) = (self.folder.canonicalize()?, arguments.data.canonicalize()?);
        if root.starts_with(&data) {
            misunderstood(format!(
                "{} is part of the data folder",
                self.folder.display()
            ));
        }
        Ok(tokio::task::spawn_blocking(move || walk::walk(&root, &data)).await?)
    }

    /// Imports until all is done or somebody interrupts: then what is under way is ended in order, and
    /// at a second interruption at once.
    async fn import(
        &self,
        client: &Client,
        entries: Vec<Entry>,
        terminal: Terminal,
    ) -> anyhow::Result<Report> {
        let stop = CancellationToken::new();
        let importing = self.import_until(client, entries, terminal, &stop);
        tokio::pin!(importing);
        tokio::select! {
            report = &mut importing => return report,
            () = interrupted() => stop.cancel(),
        }
        terminal.line("\nEnding. What is uploaded stays; import the folder again to go on.");
        tokio::select! {
            report = &mut importing => report,
            () = interrupted() => std::process::exit(INTERRUPTED),
        }
    }

    async fn import_until(
        &self,
        client: &Client,
        entries: Vec<Entry>,
        terminal: Terminal,
        stop: &CancellationToken,
    ) -> anyhow::Result<Report> {
        let started = Instant::now();
        let name = self.knowledge_base.as_str();
        let bases = "/v1/knowledge-bases";
        let base = find_or_create(client, bases, name, json!({ "name": name })).await?;
        let bytes = entries.iter().map(|entry| entry.bytes).sum();
        terminal.line(format!(
            "Importing {} into \u{201c}{name}\u{201d}: {} files, {}",
            self.folder.display(),
            entries.len(),
            BinaryBytes(bytes)
        ));
        let progress = Progress::new(terminal, entries.len(), bytes);
        let uploader = Uploader {
            client,
            base: &base,
            known: KnownFiles::of(client, &base).await?,
            progress: &progress,
            stop,
        };
        let entries = bring::all(entries, &uploader).await;
        progress.end();
        let is_indexed = indexed::wait(client, &entries, stop).await;
        Ok(Report {
            knowledge_base: base.clone(),
            name: name.to_owned(),
            entries,
            is_indexed,
            bytes_sent: progress.bytes_sent(),
            took: started.elapsed(),
        })
    }

    fn next_steps(&self, report: &Report) -> String {
        if !report.holds_something() {
            return String::new();
        }
        let which = if self.knowledge_base == IMPORTED {
            String::new()
        } else {
            format!(" --knowledge-base {:?}", self.knowledge_base)
        };
        format!("Ask about them: cargo run -- ask \"QUESTION\"{which}")
    }
}

/// Something that is there.
fn existing(path: PathBuf) -> Result<PathBuf, String> {
    match std::fs::metadata(&path) {
        Ok(_) => Ok(path),
        Err(error) => Err(error.to_string()),
    }
}
