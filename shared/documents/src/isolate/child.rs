//! A reader in a process of its own, and the talk between the two.
//!
//! The host writes to the standard input of the child: the length of the request in eight bytes,
//! little end first, the request as JSON, and the file to the end of the stream. The child writes
//! a marker to its standard output and then frames, each with its length in four bytes, little end
//! first: sections and at last the outcome, as JSON. Neither holds more of the file than a part.

use std::io::{self, BufReader, BufWriter, Read, Write};
use std::ops::ControlFlow;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, OnceLock, mpsc};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::thread;
use super::told::{Heard, Told, broken_off, listen};
use crate::document::{About, Section};
use crate::limits::Limits;
use crate::rejection::Rejection;

/// The only environment variable that the child gets.
const CHILD_VARIABLE: &str = "OVERGLASS_DOCUMENT_READER";
/// Stands before the frames: a program may print something of its own before it gets here.
const MARKER: &[u8] = b"\ndocument-reader-outcome:";
/// How much a program may print before the marker.
const MAX_BEFORE_MARKER: usize = 1024 * 1024;
/// Time for the child to start, and to say itself that its time is over.
const GRACE: Duration = Duration::from_secs(5);
/// What a frame may hold beyond the text of a section, which JSON makes up to six times longer.
const FRAME_OVERHEAD_BYTES: u64 = 4 * 1024 * 1024;
/// Sections that wait for the host. A child that is ahead of it waits.
const WAITING_SECTIONS: usize = 4;
const COPIED_BYTES: usize = 64 * 1024;

#[derive(Serialize, Deserialize)]
struct Request {
    file_name: String,
    limits: Limits,
}

#[derive(Serialize, Deserialize)]
enum Frame {
    Section(Section),
    Ended(Result<About, Rejection>),
}

/// Reads one file and ends the process, if this process was started to do so; otherwise returns
/// at once.
///
/// Call it first in the `main` of a program that [`Isolation::this_program`] is used in, before
/// threads are started and before secrets are read.
///
/// [`Isolation::this_program`]: crate::Isolation::this_program
pub fn serve_if_child() {
    if std::env::var_os(CHILD_VARIABLE).is_none() {
        return;
    }
    // The message of a panic may quote the file, and there is nobody to read it.
    std::panic::set_hook(Box::new(|_| {}));
    let code = match serve(io::stdin(), io::stdout().lock(), confine) {
        Ok(()) => 0,
        Err(_) => 1,
    };
    std::process::exit(code);
}

fn serve(
    mut input: impl Read + Send + 'static,
    output: impl Write,
    confine: impl Fn(&Limits),
) -> io::Result<()> {
    let mut length = [0u8; 8];
    input.read_exact(&mut length)?;
    let mut request = Vec::new();
    input
        .by_ref()
        .take(u64::from_le_bytes(length))
        .read_to_end(&mut request)?;
    let request: Request = serde_json::from_slice(&request)?;
    confine(&request.limits);
    let mut output = BufWriter::new(output);
    output.write_all(MARKER)?;
    let mut failed = None;
    let outcome =
        thread::run(
            input,
            request.file_name,
            request.limits,
            &mut |section| match write_frame(&mut output, &Frame::Section(section)) {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => {
                    failed = Some(error);
                    ControlFlow::Break(())
                }
            },
        );
    match failed {
        // The host has gone.
        Some(error) => Err(error),
        None => write_frame(&mut output, &Frame::Ended(outcome)),
    }
}

fn write_frame(output: &mut impl Write, frame: &Frame) -> io::Result<()> {
    let json = serde_json::to_vec(frame)?;
    let length = u32::try_from(json.len()).map_err(io::Error::other)?;
    output.write_all(&length.to_le_bytes())?;
    output.write_all(&json)?;
    output.flush()
}

/// Gives up what this process does not need. A limit that cannot be set is no reason to fail: the
/// host still has its clock.
#[cfg(target_os = "linux")]
fn confine(limits: &Limits) {
    use rustix::process::{Resource, Rlimit, setrlimit};

    let cap = |resource, amount: u64| {
        let limit = Rlimit {
            current: Some(amount),
            maximum: Some(amount),
        };
        let _ = setrlimit(resource, limit);
    };
    cap(Resource::As, limits.memory_bytes);
    // Ends a reader whose host died and that is stuck.
    cap(Resource::Cpu, (limits.wall_clock + GRACE).as_secs() + 1);
    cap(Resource::Core, 0);
    cap(Resource::Fsize, 0);
}

#[cfg(not(target_os = "linux"))]
fn confine(_limits: &Limits) {}

pub(super) fn run(
    source: impl Read + Send + 'static,
    file_name: &str,
    limits: &Limits,
    program: &Path,
    arguments: &[String],
    take: &mut dyn FnMut(Section) -> ControlFlow<()>,
) -> Result<About, Rejection> {
    let request = Request {
        file_name: file_name.to_owned(),
        limits: limits.clone(),
    };
    let request = serde_json::to_vec(&request).map_err(unavailable)?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .env(CHILD_VARIABLE, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    // Ctrl-C at a terminal goes to the whole group of the host. It ends the host, which knows, and
    // says nothing about the file that is being read.
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    let mut child = command.spawn().map_err(unavailable)?;
    let outcome = talk(&mut child, request, source, limits, take);
    // An error leaves the child alive; one that is not waited for stays as a zombie.
    let _ = child.kill();
    let _ = child.wait();
    outcome
}

/// Gives the child the file and takes what it tells, until its time is over. Both threads end by
/// themselves once the child has.
fn talk(
    child: &mut Child,
    request: Vec<u8>,
    source: impl Read + Send + 'static,
    limits: &Limits,
    take: &mut dyn FnMut(Section) -> ControlFlow<()>,
) -> Result<About, Rejection> {
    let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(unavailable("the pipes of the child are missing"));
    };
    let (sender, receiver) = mpsc::sync_channel(WAITING_SECTIONS);
    let most_text = limits.most_text_bytes();
    let listener = std::thread::Builder::new().name("reader-output".to_owned());
    listener
        .spawn(move || hear(output, most_text, &sender))
        .map_err(unavailable)?;
    let failure = Arc::new(OnceLock::new());
    let told = Arc::clone(&failure);
    let feeder = std::thread::Builder::new().name("reader-input".to_owned());
    feeder
        .spawn(move || {
            if let Some(error) = feed(input, &request, source) {
                let _ = told.set(error.to_string());
            }
        })
        .map_err(unavailable)?;
    let outcome = match listen(&receiver, limits.wall_clock + GRACE, take) {
        Heard::Ended(outcome) => outcome,
        Heard::Silence => Err(Rejection::ParserPanicked),
        Heard::TimedOut => Err(Rejection::timed_out(limits.wall_clock)),
        Heard::BrokenOff => Err(broken_off()),
    };
    // The child took what it got for all there is.
    match failure.get() {
        Some(failure) => Err(unavailable(format!("the file did not come: {failure}"))),
        None => outcome,
    }
}

/// Writes the request and the file. Returns the error with which the file ended, if it did; a child
/// that has died does not read, and its silence is the answer.
fn feed(mut input: ChildStdin, request: &[u8], mut source: impl Read) -> Option<io::Error> {
    let begun = input
        .write_all(&(request.len() as u64).to_le_bytes())
        .and_then(|()| input.write_all(request));
    if begun.is_err() {
        return None;
    }
    let mut buffer = vec![0u8; COPIED_BYTES];
    loop {
        match source.read(&mut buffer) {
            Ok(0) => return None,
            Ok(read) if input.write_all(&buffer[..read]).is_ok() => {}
            Ok(_) => return None,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Some(error),
        }
    }
}

/// Passes on what the child tells. A child that tells nonsense, or more text than any file has, is
/// not listened to any further, as if it had died.
fn hear(
    output: ChildStdout,
    most_text: u64,
    to: &mpsc::SyncSender<Told<Result<About, Rejection>>>,
) {
    let mut output = BufReader::with_capacity(COPIED_BYTES, output);
    if skip_to_marker(&mut output).is_none() {
        return;
    }
    let most_bytes = most_text
        .saturating_mul(6)
        .saturating_add(FRAME_OVERHEAD_BYTES);
    let mut text = 0u64;
    while let Some(frame) = next_frame(&mut output, most_bytes) {
        let told = match frame {
            Frame::Ended(outcome) => {
                let _ = to.send(Told::Ended(outcome));
                return;
            }
            Frame::Section(section) => {
                text = text.saturating_add(section.text.len() as u64);
                Told::Section(section)
            }
        };
        if text > most_text || to.send(told).is_err() {
            return;
        }
    }
}

fn skip_to_marker(output: &mut impl Read) -> Option<()> {
    let mut window = Vec::with_capacity(MARKER.len());
    let mut byte = [0u8; 1];
    for _ in 0..MAX_BEFORE_MARKER {
        output.read_exact(&mut byte).ok()?;
        if window.len() == MARKER.len() {
            window.remove(0);
        }
        window.push(byte[0]);
        if window == MARKER {
            return Some(());
        }
    }
    None
}

/// The next frame. One that is cut short comes from a child that died while it spoke.
fn next_frame(output: &mut impl Read, most_bytes: u64) -> Option<Frame> {
    let mut length = [0u8; 4];
    output.read_exact(&mut length).ok()?;
    let length = u64::from(u32::from_le_bytes(length));
    if length > most_bytes {
        return None;
    }
    let mut json = Vec::new();
    output.by_ref().take(length).read_to_end(&mut json).ok()?;
    serde_json::from_slice(&json).ok()
}

fn unavailable(cause: impl std::fmt::Display) -> Rejection {
    Rejection::ReaderUnavailable {
        detail: cause.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a host makes of these bytes from a child.
    fn heard(mut output: &[u8]) -> Option<(Vec<Section>, Result<About, Rejection>)> {
        skip_to_marker(&mut output)?;
        let mut sections = Vec::new();
        loop {
            match next_frame(&mut output, 1024 * 1024)? {
                Frame::Section(section) => sections.push(section),
                Frame::Ended(outcome) => return Some((sections, outcome)),
            }
        }
    }

    fn served(file_name: &str, bytes: &[u8]) -> Vec<u8> {
        let request = serde_json::to_vec(&Request {
            file_name: file_name.to_owned(),
            limits: Limits::default(),
        })
        .unwrap();
        let length = (request.len() as u64).to_le_bytes();
        let input = [&length[..], &request, bytes].concat();
        let mut output = b"a line of the program\n".to_vec();
        // Confined, this process could not go on with other tests.
        serve(io::Cursor::new(input), &mut output, |_| {}).unwrap();
        output
    }

    #[test]
    fn request_sections_and_outcome_survive_the_pipe() {
        let output = served("a.md", "# Hello\n\nWörld\n\n# Next".as_bytes());
        let (sections, about) = heard(&output).unwrap();
        assert_eq!(sections[0].text, "Hello\n\nWörld");
        assert_eq!(sections.len(), 2);
        assert_eq!(about.unwrap().outline.len(), 2);
        let (sections, outcome) = heard(&served("a.pdf", b"no PDF")).unwrap();
        assert_eq!(sections, []);
        assert_eq!(outcome.unwrap_err().code(), "unsupported_type");
    }

    #[test]
    fn silence_and_half_an_answer_are_a_crash() {
        assert!(heard(b"").is_none());
        let output = served("a.md", b"# Hello");
        for end in 0..output.len() {
            assert!(heard(&output[..end]).is_none(), "{end} bytes");
        }
        let endless = [MARKER, &[0xFF; 64]].concat();
        assert!(heard(&endless).is_none());
    }

    #[test]
    fn a_program_that_is_not_there_is_no_verdict_on_the_file() {
        let missing = Path::new("/nowhere/reader");
        let rejection = run(
            &b"text"[..],
            "a.txt",
            &Limits::default(),
            missing,
            &[],
            &mut |_| ControlFlow::Continue(()),
        )
        .unwrap_err();
        assert!(rejection.is_retryable());
    }
}
