//! Where and when figures were made: without it they say nothing.

use std::fs;
use std::process::Command;

use jiff::Timestamp;

use crate::proc::kilobytes;

/// One sentence: when, and on what.
pub fn circumstances() -> String {
    let now = Timestamp::now().strftime("%Y-%m-%d %H:%M UTC").to_string();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let memory = kilobytes(&read("/proc/meminfo"), "MemTotal").unwrap_or_default();
    let load = read("/proc/loadavg");
    format!(
        "Measured {now} on {} ({}, {cores} cores seen), {:.1} GiB of memory, Linux {}, {}; load \
         average {} when it began.",
        processor(),
        std::env::consts::ARCH,
        memory as f64 / (1024.0 * 1024.0),
        read("/proc/sys/kernel/osrelease").trim(),
        compiler(),
        load.split_whitespace().next().unwrap_or("unknown"),
    )
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn processor() -> String {
    read("/proc/cpuinfo")
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(':'))
        .map_or_else(
            || "an unnamed processor".to_owned(),
            |(_, name)| name.trim().to_owned(),
        )
}

/// `rustc 1.95.0`.
fn compiler() -> String {
    let output = Command::new("rustc").arg("--version").output();
    let version = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let version = version.unwrap_or_default();
    let words: Vec<&str> = version.split_whitespace().take(2).collect();
    match words.as_slice() {
        [] => "an unknown compiler".to_owned(),
        words => words.join(" "),
    }
}
