//! Changed files for the readers of documents, one path of the parsers after the other, for as long
//! as there is time.
//!
//! Each case is made from a number, so it can be made again: a sound file of the format, changed in
//! a few places. A worker process reads case after case. One that dies, of a stack that overflows
//! or of memory that runs out, is a finding, and so is a case whose text does not hold together or
//! that takes too long. A panic within a parser is contained in production as it is here; it is
//! counted and the first one is kept, to be told to whoever makes the parser.
//!
//! | file | holds |
//! |---|---|
//! | `seeds.rs` | the sound files and the words of each format |
//! | `mutation.rs` | how they are changed |
//! | `worker.rs` | the process that reads the cases, and what must hold |

mod mutation;
mod seeds;
mod worker;

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use clap::Parser;

use seeds::Target;

/// Read changed files until time is over.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask fuzz")]
struct Arguments {
    /// The paths to take; all of them if none is named.
    targets: Vec<String>,
    /// For how long each of them is taken.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Where the numbers of the cases begin. The same number makes the same cases.
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// Write one case to a file instead, by its number.
    #[arg(long)]
    write: Option<u64>,
    /// Where findings are written to.
    #[arg(long, default_value = "target/fuzz")]
    folder: PathBuf,
    /// Be the process that reads the cases.
    #[arg(long, hide = true)]
    worker: bool,
}

/// What became of one path.
#[derive(Default)]
struct Tally {
    cases: u64,
    read: u64,
    refused: u64,
    panics: u64,
    findings: Vec<String>,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            say(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<bool> {
    let all = seeds::targets();
    let chosen: Vec<&Target> = if arguments.targets.is_empty() {
        all.iter().collect()
    } else {
        let named = |name: &String| {
            let found = all.iter().find(|target| target.name == name);
            found.with_context(|| format!("there is no path named {name}"))
        };
        arguments.targets.iter().map(named).collect::<Result<_>>()?
    };
    let seconds = Duration::from_secs(arguments.seconds);
    if arguments.worker {
        let [target] = chosen.as_slice() else {
            bail!("a worker takes one path");
        };
        worker::work(target, arguments.first, seconds);
        return Ok(true);
    }
    if let (Some(number), [target]) = (arguments.write, chosen.as_slice()) {
        say(&keep(target, number, &arguments.folder)?);
        return Ok(true);
    }
    let mut all_held = true;
    for target in chosen {
        let tally = take(target, arguments.first, seconds, &arguments.folder)?;
        say(&format!(
            "{}: {} cases, {} read, {} refused, {} panics contained, {} findings",
            target.name,
            tally.cases,
            tally.read,
            tally.refused,
            tally.panics,
            tally.findings.len()
        ));
        for finding in &tally.findings {
            say(&format!("  {finding}"));
        }
        all_held &= tally.findings.is_empty();
    }
    Ok(all_held)
}

/// Has one path taken by workers, one after the other: each death begins another.
fn take(target: &Target, first: u64, time: Duration, folder: &Path) -> Result<Tally> {
    let until = Instant::now() + time;
    let mut tally = Tally::default();
    let mut next = first;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(tally);
        }
        next = one_worker(target, next, left, folder, &mut tally)?;
    }
}

/// Listens to one worker to its end. Returns the number of the case for the next one.
fn one_worker(
    target: &Target,
    first: u64,
    time: Duration,
    folder: &Path,
    tally: &mut Tally,
) -> Result<u64> {
    let mut child = Command::new(std::env::current_exe()?)
        .args(["--worker", target.name, "--first", &first.to_string()])
        .args(["--seconds", &time.as_secs().max(1).to_string()])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let output = child.stdout.take().context("the worker has no output")?;
    let mut begun = None;
    let mut next = first;
    for line in BufReader::new(output).lines() {
        let line = line?;
        let (number, what) = line.split_once(' ').context("a line of a worker")?;
        let number: u64 = number.parse()?;
        match what {
            "begins" => {
                begun = Some(number);
                tally.cases += 1;
                continue;
            }
            "read" => tally.read += 1,
            "refused" => tally.refused += 1,
            "panicked" => {
                tally.panics += 1;
                if tally.panics == 1 {
                    let path = keep(target, number, folder)?;
                    say(&format!(
                        "  {}: a panic that was contained: {path}",
                        target.name
                    ));
                }
            }
            finding => {
                let path = keep(target, number, folder)?;
                tally
                    .findings
                    .push(format!("case {number}: {finding}: {path}"));
            }
        }
        begun = None;
        next = number + 1;
    }
    let status = child.wait()?;
    if let Some(number) = begun {
        let path = keep(target, number, folder)?;
        tally
            .findings
            .push(format!("case {number}: the reader died ({status}): {path}"));
        next = number + 1;
    }
    Ok(next)
}

fn keep(target: &Target, number: u64, folder: &Path) -> Result<String> {
    std::fs::create_dir_all(folder)?;
    let path = folder.join(format!("{}-{number}-{}", target.name, target.file_name));
    std::fs::write(&path, mutation::case(target, number))?;
    Ok(path.display().to_string())
}

fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}
