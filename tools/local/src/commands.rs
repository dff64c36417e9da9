//! The command line.
//!
//! | command | does | file |
//! |---|---|---|
//! | none, `demo` | the demonstration; serves, or ends | `serve.rs` |
//! | `ask` | asks a question about a file, or about what was imported | `ask.rs` |
//! | `import` | brings the files of a folder into a knowledge base | `import.rs` |
//! | `search` | what is found by words, by meaning, or by both | `search.rs` |
//! | `reindex` | makes the text indexes anew | `reindex.rs` |
//! | `verify-audit` | verifies an exported audit chain | `verify_audit.rs` |
//!
//! A command ends as 0 if all of it was done, as 1 if something was not, and as 2 where it could not
//! be understood.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::session::{HostArguments, log_to};
use crate::terminal::{self, Terminal};

mod ask;
mod import;
mod reindex;
mod search;
mod serve;
mod verify_audit;

/// Overglass on one machine: starts everything, does a first job and keeps serving.
#[derive(Debug, Parser)]
#[command(name = "overglass", version, about)]
struct Arguments {
    #[command(flatten)]
    host: HostArguments,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    Ask(ask::Ask),
    Import(import::Import),
    Search(search::Search),
    /// Verify an exported audit chain: a JSON array of entries, in any order, as `/v1/audit` lists
    /// them. Needs nothing but the file.
    VerifyAudit {
        file: PathBuf,
    },
    /// Make the text index of every organization anew, from the tables, and exit.
    Reindex,
    /// Do the first job once and exit.
    Demo {
        /// Print one JSON object and nothing else.
        #[arg(long)]
        json: bool,
    },
}

/// Does what the command line asks for.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.into()),
    };
    match runtime.block_on(run(arguments)) {
        Ok(code) => code,
        Err(error) => failed(&error),
    }
}

fn failed(error: &anyhow::Error) -> ExitCode {
    use std::io::Write as _;
    let told = format!("error: {error:#}");
    let _ = writeln!(std::io::stderr(), "{}", terminal::printable(&told));
    ExitCode::FAILURE
}

async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let Arguments { host, command } = arguments;
    if let Some(Command::VerifyAudit { file }) = &command {
        return verify_audit::run(file);
    }
    log_to(&host.data)?;
    match command {
        None => serve::run(&host).await,
        Some(Command::Demo { json }) => serve::once(&host, json).await,
        Some(Command::Ask(ask)) => ask.run(&host).await,
        Some(Command::Import(import)) => import.run(&host).await,
        Some(Command::Search(search)) => search.run(&host).await,
        Some(Command::Reindex) => reindex::run(&host).await,
        Some(Command::VerifyAudit { .. }) => Ok(ExitCode::SUCCESS),
    }
}

/// Ends the program with what is wrong about its arguments.
fn misunderstood(what: impl std::fmt::Display) -> ! {
    use clap::CommandFactory as _;
    Arguments::command()
        .error(clap::error::ErrorKind::ValueValidation, what)
        .exit()
}

/// A terminal for people, or for programs that want one result.
fn output(json: bool) -> Terminal {
    if json {
        Terminal::quiet()
    } else {
        Terminal::talkative()
    }
}

/// Somebody ends the program, by Ctrl-C or from outside.
async fn interrupted() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminated) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminated.recv() => {}
            }
            return;
        }
    }
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}
