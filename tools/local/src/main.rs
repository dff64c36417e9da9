//! `overglass`: the product on one machine.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand};
use domain::audit::{AuditEntry, ChainVerifier};
use domain::price::PriceMap;
use file_processor::Reader;
use kernel::env::process_environment;
use lambda::telemetry;
use llm::ModelConfig;
use local::client::Client;
use local::journey::{Job, next_steps};
use local::terminal::Terminal;
use local::{Host, HostOptions};
use outbound::Policy;

const DEFAULT_PORT: u16 = 8700;

/// Overglass on one machine: starts everything, does a first job and keeps serving.
#[derive(Parser)]
#[command(version, about)]
struct Arguments {
    /// The port of the API; 0 for any. [default: 8700, or any for `demo`]
    #[arg(long, global = true)]
    port: Option<u16>,
    /// The folder that keeps everything.
    #[arg(long, global = true, default_value = ".overglass")]
    data: PathBuf,
    /// Wait for the disk at every commit. Without, a power failure can take the last second.
    #[arg(long, global = true)]
    sync_every_commit: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Ask a question about a file of your own, and keep serving.
    Ask {
        file: PathBuf,
        question: String,
        /// Exit with the answer.
        #[arg(long)]
        once: bool,
    },
    /// Verify an exported audit chain: a JSON array of entries, in any order, as `/v1/audit` lists
    /// them. Needs nothing but the file.
    VerifyAudit { file: PathBuf },
    /// Make the text index of every organization anew, from the tables, and exit.
    Reindex,
    /// Do the first job once and exit.
    Demo {
        /// Print one JSON object and nothing else.
        #[arg(long)]
        json: bool,
    },
}

fn main() -> ExitCode {
    // The same program, started as the process that reads one file and nothing else.
    documents::serve_if_child();
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.into()),
    };
    match runtime.block_on(run(arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

fn failed(error: &anyhow::Error) -> ExitCode {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "error: {error:#}");
    ExitCode::FAILURE
}

async fn run(arguments: Arguments) -> anyhow::Result<()> {
    if let Some(Command::VerifyAudit { file }) = &arguments.command {
        return verify_audit(file);
    }
    if let Some(Command::Reindex) = &arguments.command {
        let port = arguments.port.unwrap_or(0);
        return reindex(port, &arguments.data, arguments.sync_every_commit).await;
    }
    let (job, json, once) = match arguments.command {
        None => (Job::demonstration(), false, false),
        Some(Command::Ask {
            file,
            question,
            once,
        }) => (Job::about(&file, question)?, false, once),
        Some(Command::Demo { json }) => (Job::demonstration(), json, true),
        Some(Command::VerifyAudit { .. } | Command::Reindex) => return Ok(()),
    };
    let terminal = if json {
        Terminal::quiet()
    } else {
        Terminal::talkative()
    };
    let default_port = if once { 0 } else { DEFAULT_PORT };
    let port = arguments.port.unwrap_or(default_port);
    let sync = arguments.sync_every_commit;
    let host = start(port, &arguments.data, sync, terminal).await?;
    let served = tokio::select! {
        served = serve(&host, &job, terminal, json, once) => served,
        () = interrupted() => {
            terminal.line("\nEnding. What is stored stays.");
            Ok(())
        }
    };
    host.shutdown().await;
    served
}

/// Recomputes a chain from its first entry, as an auditor who trusts nothing but arithmetic.
fn verify_audit(file: &Path) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("{} cannot be read", file.display()))?;
    let mut entries: Vec<AuditEntry> =
        serde_json::from_str(&text).context("the file is no array of audit entries")?;
    entries.sort_by_key(|entry| entry.sequence);
    let first = entries.first().context("the file holds no entries")?;
    let mut verifier = ChainVerifier::new(first.org);
    for entry in &entries {
        verifier.check(entry)?;
    }
    let head = verifier.head();
    Terminal::talkative().line(format!(
        "{} entries, whole; head {}",
        head.sequence, head.hash
    ));
    Ok(())
}

async fn reindex(port: u16, data: &Path, sync_every_commit: bool) -> anyhow::Result<()> {
    let terminal = Terminal::talkative();
    let host = start(port, data, sync_every_commit, terminal).await?;
    let done = tokio::select! {
        done = local::reindex::all(host.app().store(), terminal) => done,
        () = interrupted() => {
            terminal.line("\nEnding. What is left goes on at the next start.");
            Ok(())
        }
    };
    host.shutdown().await;
    done
}

async fn start(
    port: u16,
    data: &Path,
    sync_every_commit: bool,
    terminal: Terminal,
) -> anyhow::Result<Host> {
    std::fs::create_dir_all(data).with_context(|| format!("{} cannot be made", data.display()))?;
    log_to(&data.join("log.jsonl"))?;
    let config = ModelConfig::from_env(&process_environment)?;
    let model = llm::build(&config)?;
    terminal.line(format!(
        "Overglass  model {}  data {}",
        model.id(),
        data.display()
    ));
    let options = HostOptions {
        port,
        data: Some(data.to_owned()),
        model,
        outbound: Policy::public(),
        prices: PriceMap::from_env(&process_environment)?,
        files: Reader::of_this_program()?,
        runs_per_org: store::config::runs_per_org(&process_environment)?,
        sync_every_commit,
        embedders: llm::embedders_from_env(&process_environment)?,
    };
    Host::start(options).await
}

async fn serve(
    host: &Host,
    job: &Job,
    terminal: Terminal,
    json: bool,
    once: bool,
) -> anyhow::Result<()> {
    let token = host.issuer().token("ada", "Ada Admin")?;
    let client = Client::new(host.url(), token)?;
    let outcome = job.run(&client, terminal).await?;
    if json {
        terminal.result(&outcome);
    }
    if !once {
        terminal.line(next_steps(&host.url()));
        std::future::pending::<()>().await;
    }
    Ok(())
}

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

/// Logs go to a file in the data folder, one JSON object a line.
fn log_to(path: &Path) -> anyhow::Result<()> {
    let file = File::options()
        .create(true)
        .append(true)
        .open(path)
        .with_context(|| format!("{} cannot be written", path.display()))?;
    telemetry::init_to(file, telemetry::levels(local::LOG_LEVELS));
    Ok(())
}
