//! A reader in a process of its own, and the talk between the two.
//!
//! The host writes to the standard input of the child: the length of the request in eight bytes,
//! little end first, the request as JSON, and the file to the end of the stream. The child writes
//! a marker and the outcome as JSON to its standard output, and ends.

use std::io::{self, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Processed, thread};
use crate::limits::Limits;
use crate::rejection::Rejection;

/// The only environment variable that the child gets.
const CHILD_VARIABLE: &str = "OVERGLASS_DOCUMENT_READER";
/// Stands before the outcome: a program may print something of its own before it gets here.
const MARKER: &[u8] = b"\ndocument-reader-outcome:";
/// Time for the child to start, and to say itself that its time is over.
const GRACE: Duration = Duration::from_secs(5);
/// What an outcome may take beyond its text, which JSON makes up to six times longer.
const REPLY_OVERHEAD_BYTES: u64 = 1024 * 1024;

#[derive(Serialize, Deserialize)]
struct Request {
    file_name: String,
    limits: Limits,
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
    let code = match serve(io::stdin().lock(), io::stdout().lock(), confine) {
        Ok(()) => 0,
        Err(_) => 1,
    };
    std::process::exit(code);
}

fn serve(
    mut input: impl Read,
    mut output: impl Write,
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
    let mut bytes = Vec::new();
    input.read_to_end(&mut bytes)?;
    let outcome = thread::run(bytes, request.file_name, request.limits);
    output.write_all(MARKER)?;
    serde_json::to_writer(&mut output, &outcome)?;
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
    bytes: &[u8],
    file_name: &str,
    limits: &Limits,
    program: &Path,
    arguments: &[String],
) -> Result<Processed, Rejection> {
    let request = Request {
        file_name: file_name.to_owned(),
        limits: limits.clone(),
    };
    let request = serde_json::to_vec(&request).map_err(unavailable)?;
    let mut child = Command::new(program)
        .args(arguments)
        .env_clear()
        .env(CHILD_VARIABLE, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(unavailable)?;
    let reply = talk(&mut child, &request, bytes, limits);
    // An error leaves the child alive; one that is not waited for stays as a zombie.
    let _ = child.kill();
    let _ = child.wait();
    outcome(&reply?)
}

/// Gives the child the file and takes its reply, until its time is over.
fn talk(
    child: &mut Child,
    request: &[u8],
    bytes: &[u8],
    limits: &Limits,
) -> Result<Vec<u8>, Rejection> {
    let (Some(mut input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(unavailable("the pipes of the child are missing"));
    };
    let longest = limits
        .text_bytes
        .saturating_mul(6)
        .saturating_add(REPLY_OVERHEAD_BYTES);
    std::thread::scope(|scope| {
        let (sender, receiver) = mpsc::channel();
        scope.spawn(move || {
            let mut reply = Vec::new();
            let _ = output.take(longest).read_to_end(&mut reply);
            let _ = sender.send(reply);
        });
        scope.spawn(move || {
            // A child that died does not read; its silence is the answer.
            let _ = input
                .write_all(&(request.len() as u64).to_le_bytes())
                .and_then(|()| input.write_all(request))
                .and_then(|()| input.write_all(bytes));
        });
        let reply = receiver.recv_timeout(limits.wall_clock + GRACE);
        // Its output has ended or its time is over. Both threads end once the child does.
        let _ = child.kill();
        reply.map_err(|_| Rejection::timed_out(limits.wall_clock))
    })
}

fn outcome(reply: &[u8]) -> Result<Processed, Rejection> {
    let Some(at) = memchr::memmem::rfind(reply, MARKER) else {
        return Err(Rejection::ParserPanicked);
    };
    // A reply that is cut short comes from a child that died while it spoke.
    serde_json::from_slice(&reply[at + MARKER.len()..]).unwrap_or(Err(Rejection::ParserPanicked))
}

fn unavailable(cause: impl std::fmt::Display) -> Rejection {
    Rejection::ReaderUnavailable {
        detail: cause.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn served(file_name: &str, bytes: &[u8]) -> Result<Processed, Rejection> {
        let request = serde_json::to_vec(&Request {
            file_name: file_name.to_owned(),
            limits: Limits::default(),
        })
        .unwrap();
        let length = (request.len() as u64).to_le_bytes();
        let input = [&length[..], &request, bytes].concat();
        let mut output = b"a line of the program\n".to_vec();
        // Confined, this process could not go on with other tests.
        serve(&input[..], &mut output, |_| {}).unwrap();
        outcome(&output)
    }

    #[test]
    fn request_and_outcome_survive_the_pipe() {
        let processed = served("a.md", "# Hello\n\nWörld".as_bytes()).unwrap();
        assert_eq!(processed.document.sections[0].text, "Hello\n\nWörld");
        assert_eq!(
            served("a.pdf", b"no PDF").unwrap_err().code(),
            "unsupported_type"
        );
    }

    #[test]
    fn silence_and_half_an_answer_are_a_crash() {
        assert_eq!(outcome(b""), Err(Rejection::ParserPanicked));
        assert_eq!(
            outcome(b"\ndocument-reader-outcome:{\"Ok\":"),
            Err(Rejection::ParserPanicked)
        );
    }

    #[test]
    fn a_program_that_is_not_there_is_no_verdict_on_the_file() {
        let missing = Path::new("/nowhere/reader");
        let rejection = run(b"text", "a.txt", &Limits::default(), missing, &[]).unwrap_err();
        assert!(rejection.is_retryable());
    }
}
