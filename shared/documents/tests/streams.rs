//! Files far larger than the memory that reading may take. A test program of its own: what it holds
//! at most is measured, and other tests hold more.

#[path = "support/reader.rs"]
mod reader;

use std::io::Read;
use std::ops::ControlFlow;
use std::time::Duration;

use documents::{ChunkOptions, Chunker, Isolation, Limits, read};

use reader::a_process;

const MIB: u64 = 1024 * 1024;

/// A line over and over, up to so many bytes, of which no more than a piece is ever there.
struct Lines {
    line: Vec<u8>,
    at: usize,
    left: u64,
}

impl Lines {
    fn new(line: &str, bytes: u64) -> Self {
        Self {
            line: line.as_bytes().to_vec(),
            at: 0,
            left: bytes,
        }
    }
}

impl Read for Lines {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() && self.left > 0 {
            let rest = &self.line[self.at..];
            let left = usize::try_from(self.left).unwrap_or(usize::MAX);
            let taken = rest.len().min(buffer.len() - filled).min(left);
            buffer[filled..filled + taken].copy_from_slice(&rest[..taken]);
            self.at = (self.at + taken) % self.line.len();
            self.left -= taken as u64;
            filled += taken;
        }
        Ok(filled)
    }
}

const PROSE: &str = "The gearbox oil is changed every five hundred hours; the old oil – 20 l – goes \
                     to the tank behind the main building.\n";

/// The bytes that a process has held at most, by what its status says.
#[cfg(target_os = "linux")]
fn peak(process: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse().ok());
    kilobytes.unwrap_or(0u64) * 1024
}

/// The processes that this one has started and that still run.
#[cfg(target_os = "linux")]
fn children() -> Vec<String> {
    let parent = format!("PPid:\t{}", std::process::id());
    std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
        .filter(|name| {
            let status = std::fs::read_to_string(format!("/proc/{name}/status"));
            status.is_ok_and(|status| status.lines().any(|line| line == parent))
        })
        .collect()
}

/// The reader's process and the one that cuts what it reads, together in a function of 512 MB: the
/// one is held to 256 MiB of address space by the system, both are looked at.
#[test]
#[cfg(target_os = "linux")]
fn two_hundred_megabytes_pass_through_little_memory() {
    let limits = Limits {
        memory_bytes: 256 * MIB,
        // A build without optimisation takes its time.
        wall_clock: Duration::from_secs(600),
        ..Limits::default()
    };
    let size = |text: &str| text.len().div_ceil(4);
    let lines = PROSE.repeat(30);
    for (name, line, size_bytes) in [
        ("a.txt", PROSE.to_owned(), 200_000_000),
        ("a.md", format!("## Part\n\n{lines}\n"), 40_000_000),
        (
            "a.csv",
            format!("T-1,\"changed, and so on\",{}\n", PROSE.trim()),
            40_000_000,
        ),
        (
            "a.rs",
            format!("/// Changes the oil.\nfn change(oil: Oil) {{\n{lines}}}\n"),
            40_000_000,
        ),
    ] {
        let mut chunker = Chunker::new(&ChunkOptions::default(), &size);
        let (mut chunks, mut bytes, mut sections, mut reader_peak) = (0, 0, 0, 0);
        let source = Lines::new(&line, size_bytes);
        let about = read(source, name, &limits, &a_process(), &mut |section| {
            chunker.push(&section, &mut |chunk| {
                chunks += 1;
                bytes += chunk.text.len();
            });
            sections += 1;
            if sections % 256 == 0 {
                let peaks = children().iter().map(|child| peak(child)).max();
                reader_peak = reader_peak.max(peaks.unwrap_or(0));
            }
            ControlFlow::Continue(())
        })
        .unwrap();
        chunker.finish(&mut |_| chunks += 1);
        let own_peak = peak("self");
        let megabytes = |bytes: u64| bytes / 1_000_000;
        eprintln!(
            "{name}: {} MB, {} characters, {chunks} chunks; at most {} MB in the reader, {} MB beside it",
            megabytes(size_bytes),
            about.characters,
            megabytes(reader_peak),
            megabytes(own_peak),
        );
        assert!(
            bytes as u64 > size_bytes / 2,
            "{name}: {bytes} bytes in chunks"
        );
        assert!(reader_peak > 0, "{name}: the reader was never seen");
        assert!(
            reader_peak + own_peak < 256 * MIB,
            "{name}: {reader_peak} and {own_peak} bytes"
        );
    }
}

#[test]
fn a_text_at_the_bound_and_one_byte_more() {
    let limits = Limits {
        streamed_bytes: 3_000_000,
        ..Limits::default()
    };
    for isolation in [Isolation::Thread, a_process()] {
        let taken = |bytes| {
            let source = Lines::new(PROSE, bytes);
            read(source, "a.txt", &limits, &isolation, &mut |_| {
                ControlFlow::Continue(())
            })
        };
        assert!(taken(3_000_000).is_ok());
        assert_eq!(taken(3_000_001).unwrap_err().code(), "too_large");
    }
}

#[test]
fn a_file_that_does_not_come_to_its_end_is_not_judged() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::ConnectionReset.into())
        }
    }
    for isolation in [Isolation::Thread, a_process()] {
        for bytes in [0, 1_000, 3_000_000] {
            let source = Lines::new(PROSE, bytes).chain(Broken);
            let outcome = read(source, "a.txt", &Limits::default(), &isolation, &mut |_| {
                ControlFlow::Continue(())
            });
            assert!(outcome.unwrap_err().is_retryable(), "{bytes} bytes");
        }
    }
}

#[test]
fn a_reader_whose_text_is_not_wanted_stops() {
    for isolation in [Isolation::Thread, a_process()] {
        let mut taken = 0;
        let source = Lines::new(PROSE, u64::MAX);
        let limits = Limits {
            streamed_bytes: u64::MAX,
            streamed_text_bytes: u64::MAX,
            ..Limits::default()
        };
        let outcome = read(source, "a.txt", &limits, &isolation, &mut |_| {
            taken += 1;
            if taken < 5 {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        });
        assert!(outcome.unwrap_err().is_retryable());
        assert_eq!(taken, 5);
    }
}
