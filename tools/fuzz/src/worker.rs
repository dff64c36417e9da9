//! The process that reads the cases.

use std::io::Write as _;
use std::time::{Duration, Instant};

use documents::{ChunkOptions, Document, Isolation, Limits, abandoned_readers, chunk, process};

use crate::mutation;
use crate::seeds::Target;

const MIB: u64 = 1024 * 1024;
/// A case that takes longer than it may is one that the clock of the reader did not stop.
const SLACK: Duration = Duration::from_secs(3);

fn limits() -> Limits {
    Limits {
        input_bytes: 8 * MIB,
        streamed_bytes: 8 * MIB,
        inflated_bytes: 16 * MIB,
        text_bytes: 4 * MIB,
        streamed_text_bytes: 4 * MIB,
        wall_clock: Duration::from_secs(5),
        ..Limits::default()
    }
}

/// Reads case after case until time is over, and says of each that it begins and how it ended.
pub fn work(target: &Target, first: u64, time: Duration) {
    std::panic::set_hook(Box::new(|_| {}));
    confine();
    let until = Instant::now() + time;
    let mut number = first;
    let mut output = std::io::stdout().lock();
    // One that does not end by itself keeps its memory: another process goes on.
    while Instant::now() < until && abandoned_readers() == 0 {
        let file = mutation::case(target, number);
        if writeln!(output, "{number} begins")
            .and_then(|()| output.flush())
            .is_err()
        {
            return;
        }
        let ended = ended(file, target);
        if writeln!(output, "{number} {ended}")
            .and_then(|()| output.flush())
            .is_err()
        {
            return;
        }
        number += 1;
    }
}

fn ended(file: Vec<u8>, target: &Target) -> String {
    let limits = limits();
    let began = Instant::now();
    let outcome = process(file, target.file_name, &limits, &Isolation::Thread);
    let took = began.elapsed();
    if took > limits.wall_clock + SLACK {
        return format!("took {} ms", took.as_millis());
    }
    match outcome {
        Ok(document) => match what_does_not_hold(&document) {
            Some(what) => what,
            None => "read".to_owned(),
        },
        Err(rejection) if rejection.code() == "parser_panicked" => "panicked".to_owned(),
        Err(rejection) if rejection.is_retryable() => format!("no verdict: {rejection:?}"),
        Err(_) => "refused".to_owned(),
    }
}

/// What must hold for the text of every file, and does not for this one.
fn what_does_not_hold(document: &Document) -> Option<String> {
    let text: Vec<char> = document.text().chars().collect();
    if document.about.characters != text.len() as u64 {
        return Some("the length of the text is not what is told".to_owned());
    }
    if document
        .sections
        .iter()
        .any(|section| section.text.trim().is_empty())
    {
        return Some("a section is blank".to_owned());
    }
    let outside = |start: u64| start >= text.len() as u64;
    if document
        .about
        .outline
        .iter()
        .any(|heading| outside(heading.start))
    {
        return Some("a heading stands outside of the text".to_owned());
    }
    let size = |text: &str| text.len().div_ceil(4);
    let options = ChunkOptions::default();
    for chunk in chunk(document, &options, &size) {
        let there = text.get(chunk.start..chunk.end);
        if !there.is_some_and(|there| there.iter().copied().eq(chunk.text.chars())) {
            return Some(format!("chunk {} is not where it says", chunk.ordinal));
        }
        if size(&chunk.text) > options.max_tokens {
            return Some(format!("chunk {} is too large", chunk.ordinal));
        }
    }
    None
}

/// Memory is bounded, as it is for readers in production.
#[cfg(target_os = "linux")]
fn confine() {
    use rustix::process::{Resource, Rlimit, setrlimit};

    let limit = Rlimit {
        current: Some(2_048 * MIB),
        maximum: Some(2_048 * MIB),
    };
    let _ = setrlimit(Resource::As, limit);
}

#[cfg(not(target_os = "linux"))]
fn confine() {}
