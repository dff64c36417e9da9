//! Functions as Lambda would start them: how large they are, how soon they are ready, what they
//! hold in memory then. A bare function is started in turn with each of them, so that whatever the
//! machine does meanwhile befalls both.

pub mod build;
mod package;
mod runtime_api;
mod start;

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;

use crate::Effort;
use crate::figures::{median, millis, ratio};
use crate::report::{Goal, Table};
use build::Binary;
use runtime_api::RuntimeApi;
use start::Start;

const MOST_ZIP_BYTES: u64 = 6_000_000;
const MOST_CPU_RATIO: f64 = 2.0;
const MOST_RESIDENT_BYTES: u64 = 64 * 1024 * 1024;

/// What was measured of one function.
struct Measured {
    name: String,
    binary_bytes: u64,
    zip_bytes: u64,
    wall: Duration,
    wall_ratio: f64,
    cpu: Duration,
    cpu_ratio: f64,
    resident: u64,
    private: u64,
}

/// Builds every function, or those in `only`, and measures them.
pub fn measure(root: &Path, effort: &Effort, only: &[String]) -> anyhow::Result<String> {
    let functions = build::functions(root, only)?;
    let bare = build::bare(root)?;
    let api = RuntimeApi::serve()?;
    // The first start of a program reads it from disk, which is no figure of the program.
    for binary in functions.iter().chain([&bare]) {
        start::start(binary, &api)?;
    }
    let mut starts: Vec<Vec<(Start, Start)>> = functions.iter().map(|_| Vec::new()).collect();
    for _ in 0..effort.starts {
        for (function, starts) in functions.iter().zip(&mut starts) {
            let beside = start::start(&bare, &api)?;
            starts.push((start::start(function, &api)?, beside));
        }
    }
    let mut measured = Vec::new();
    for (function, starts) in functions.iter().zip(&starts) {
        measured.push(of(function, starts)?);
    }
    let beside: Vec<(Start, Start)> = starts
        .iter()
        .flatten()
        .map(|pair| (pair.1, pair.1))
        .collect();
    measured.push(of(&bare, &beside)?);
    Ok(written(&measured, effort))
}

fn of(binary: &Binary, starts: &[(Start, Start)]) -> anyhow::Result<Measured> {
    let figure = |read: fn(&Start) -> Duration| {
        let own: Vec<Duration> = starts.iter().map(|(own, _)| read(own)).collect();
        let bare: Vec<Duration> = starts.iter().map(|(_, bare)| read(bare)).collect();
        let (own, bare) = (median(&own), median(&bare));
        (own, own.as_secs_f64() / bare.as_secs_f64())
    };
    let (wall, wall_ratio) = figure(|start| start.wall);
    let (cpu, cpu_ratio) = figure(|start| start.cpu);
    let memory = |read: fn(&Start) -> u64| {
        median(&starts.iter().map(|(own, _)| read(own)).collect::<Vec<_>>())
    };
    let program = std::fs::read(&binary.path)
        .with_context(|| format!("cannot read the program of {}", binary.name))?;
    Ok(Measured {
        name: binary.name.clone(),
        binary_bytes: program.len() as u64,
        zip_bytes: package::zipped_bytes(&program)?,
        wall,
        wall_ratio,
        cpu,
        cpu_ratio,
        resident: memory(|start| start.memory.resident),
        private: memory(|start| start.memory.private),
    })
}

fn written(measured: &[Measured], effort: &Effort) -> String {
    let mut table = Table::new(&[
        "function",
        "binary MB",
        "zip MB",
        "start ms",
        "× bare",
        "CPU ms",
        "× bare",
        "memory MiB",
        "private MiB",
    ]);
    for one in measured {
        table.row([
            one.name.clone(),
            megabytes(one.binary_bytes),
            megabytes(one.zip_bytes),
            millis(one.wall),
            ratio(one.wall_ratio),
            millis(one.cpu),
            ratio(one.cpu_ratio),
            mebibytes(one.resident),
            mebibytes(one.private),
        ]);
    }
    // The bare function is the last, and has no goals.
    let functions = &measured[..measured.len().saturating_sub(1)];
    let mut zip = Goal::new("zip under 6 MB");
    let mut cpu = Goal::new("CPU of a start under 2× bare");
    let mut memory = Goal::new("under 64 MiB resident");
    for one in functions {
        let name = &one.name;
        zip.judge(
            name,
            one.zip_bytes < MOST_ZIP_BYTES,
            megabytes(one.zip_bytes),
        );
        cpu.judge(name, one.cpu_ratio < MOST_CPU_RATIO, ratio(one.cpu_ratio));
        memory.judge(
            name,
            one.resident < MOST_RESIDENT_BYTES,
            mebibytes(one.resident),
        );
    }
    format!(
        "{table}\n{zip}{cpu}{memory}\nMedians of {} starts; the bare function was started once \
         before each.\n",
        effort.starts,
    )
}

fn megabytes(bytes: u64) -> String {
    format!("{:.2}", bytes as f64 / 1e6)
}

fn mebibytes(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / (1024.0 * 1024.0))
}
