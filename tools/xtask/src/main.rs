//! `cargo xtask`: what is generated from the code, and whether everything fits together.
//!
//! | module | holds |
//! |---|---|
//! | [`functions`] | the one table of API functions |
//! | [`operations`] | the operations they serve, read from their OpenAPI documents |
//! | [`generated`] | `openapi.json` and `docs/routes.txt` |
//! | [`template`] | `template.yaml` and its nested stacks, as far as rules need them |
//! | [`check`] | the rules, one module a family |
//! | [`new_function`] | a new function crate by the pattern |
//! | [`samples`] | sample events in `events/` |

mod check;
mod functions;
mod generated;
mod new_function;
mod operations;
mod repo;
mod samples;
mod template;
#[cfg(test)]
mod testing;

use std::io::Write as _;
use std::process::{Command, ExitCode};

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::repo::Repo;

/// Tasks of the repository.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Check that workspace, template, routes, documents and sample events fit together.
    Check,
    /// Write openapi.json from the handlers.
    Openapi {
        /// Write nothing; fail if the file is not what would be written.
        #[arg(long)]
        check: bool,
    },
    /// Write docs/routes.txt, the index of operations.
    Routes {
        /// Write nothing; fail if the file is not what would be written.
        #[arg(long)]
        check: bool,
    },
    /// Write a sample event for each operation that has none.
    Samples,
    /// Deploy the template to an emulator and run the journey on it. Arguments go to `e2e`.
    E2e {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Measure, and write docs/BENCHMARKS.md. Arguments go to `bench`.
    Bench {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Kill workers and break what they reach while executions run; fail if anything is lost.
    /// Arguments go to `chaos`.
    Chaos {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Read changed files until time is over; fail if a reader dies or its text does not hold
    /// together. Arguments go to `fuzz`.
    Fuzz {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Make a function crate by the pattern, with a first route or job and a sample event.
    NewFunction {
        /// Its name: folder, crate, binary and, for an API function, path segment.
        name: String,
        /// Make an API function, behind the HTTP API.
        #[arg(long, conflicts_with = "worker", required_unless_present = "worker")]
        api: bool,
        /// Make a worker, woken by doorbells of jobs.
        #[arg(long)]
        worker: bool,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(arguments.task) {
        Ok(outcome) => outcome,
        Err(error) => {
            say(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> Result<ExitCode> {
    let repo = Repo::find()?;
    match task {
        Task::Check => check(&repo),
        Task::Openapi { check } => write(&repo, generated::openapi()?, check),
        Task::Routes { check } => write(&repo, generated::routes()?, check),
        Task::Samples => {
            for path in samples::write_missing(&repo)? {
                say(&path);
            }
            Ok(ExitCode::SUCCESS)
        }
        Task::E2e { arguments } => tool(&repo, &["--package", "e2e"], &arguments),
        Task::Bench { arguments } => bench(&repo, &arguments),
        Task::Chaos { arguments } => tool(&repo, &["--package", "chaos"], &arguments),
        Task::Fuzz { arguments } => tool(&repo, &["--package", "fuzz"], &arguments),
        Task::NewFunction { name, worker, .. } => {
            let kind = if worker {
                new_function::Kind::Worker
            } else {
                new_function::Kind::Api
            };
            say(&new_function::create(&repo, &name, kind)?);
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Runs a tool of the workspace that is a program of its own.
/// Another model is compiled in only where it is measured.
fn bench(repo: &Repo, arguments: &[String]) -> Result<ExitCode> {
    let mut options = vec!["--release", "--package", "bench"];
    if arguments
        .iter()
        .any(|argument| argument.starts_with("--minilm"))
    {
        options.extend(["--features", "minilm"]);
    }
    tool(repo, &options, arguments)
}

fn tool(repo: &Repo, options: &[&str], arguments: &[String]) -> Result<ExitCode> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let status = Command::new(cargo)
        .current_dir(repo.path(""))
        .args(["run", "--quiet"])
        .args(options)
        .arg("--")
        .args(arguments)
        .status()?;
    Ok(if status.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn check(repo: &Repo) -> Result<ExitCode> {
    let findings = check::all(repo)?;
    if findings.is_empty() {
        say("Everything fits together.");
        return Ok(ExitCode::SUCCESS);
    }
    for finding in &findings {
        say(&finding.to_string());
    }
    say(&format!("{} findings.", findings.len()));
    Ok(ExitCode::FAILURE)
}

fn write(repo: &Repo, document: generated::Document, check: bool) -> Result<ExitCode> {
    if check {
        let Some(finding) = document.staleness(repo) else {
            return Ok(ExitCode::SUCCESS);
        };
        say(&finding.to_string());
        return Ok(ExitCode::FAILURE);
    }
    repo.write(document.path, &document.text)?;
    say(document.path);
    Ok(ExitCode::SUCCESS)
}

/// One line for whoever called. A reader that has gone away is none of our business.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}
