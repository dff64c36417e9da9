//! A data folder, the program over it, and a host that serves.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Lines};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// A machine with a data folder of its own.
pub struct Machine {
    data: TempDir,
}

/// What a command left behind.
#[derive(Debug)]
pub struct Ended {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Ended {
    fn of(output: Output) -> Self {
        Self {
            code: output.status.code().expect("it was not killed"),
            out: String::from_utf8(output.stdout).expect("UTF-8"),
            err: String::from_utf8(output.stderr).expect("UTF-8"),
        }
    }

    /// The one JSON object that it printed.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl Machine {
    pub fn new() -> Self {
        let data = tempfile::tempdir().expect("a folder");
        Self { data }
    }

    pub fn data(&self) -> &Path {
        self.data.path()
    }

    /// Runs a command to its end.
    pub fn run<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Ended {
        let output = self.command(arguments).output().expect("it starts");
        Ended::of(output)
    }

    /// Starts a command whose output is read line by line.
    pub fn start<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Running {
        let mut command = self.command(arguments);
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let started = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut child = started.expect("it starts");
        let output = child.stdout.take().expect("its output");
        Running {
            child,
            lines: BufReader::new(output).lines(),
        }
    }

    /// A host that serves the data until it is dropped.
    pub fn serve(&self) -> Running {
        let file = crate::folder::handbook(self.data());
        let question = "How often is the oil changed?";
        let mut host = self.start(&["ask", file.as_str(), question, "--port", "0"]);
        host.until("The API is at ");
        host
    }

    fn command<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_overglass"));
        command
            .args(arguments)
            .arg("--data")
            .arg(self.data())
            // Whatever the environment of the tests holds: no key, no colours, no issuer.
            .env_clear()
            .env("OVERGLASS_MODEL_PROVIDER", "offline")
            .stdin(Stdio::null());
        command
    }
}

/// A command that runs. It is killed when dropped.
pub struct Running {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Running {
    /// Waits for a line that begins so, and gives the rest of it.
    pub fn until(&mut self, beginning: &str) -> String {
        for line in &mut self.lines {
            let line = line.expect("a line");
            if let Some(rest) = line.trim_start().strip_prefix(beginning) {
                return rest.to_owned();
            }
        }
        panic!("it ended before it said: {beginning}");
    }

    /// Presses Ctrl-C, which a terminal sends to all processes of a group.
    #[cfg(unix)]
    pub fn interrupt(&self) {
        let group = format!("-{}", self.child.id());
        let sent = Command::new("kill").args(["-INT", "--", &group]).status();
        assert!(sent.expect("kill starts").success());
    }

    /// Waits for its end.
    pub fn ended(mut self) -> Ended {
        let lines = (&mut self.lines).map(|line| line.expect("a line") + "\n");
        let out = lines.collect();
        let mut err = String::new();
        if let Some(mut stderr) = self.child.stderr.take() {
            std::io::Read::read_to_string(&mut stderr, &mut err).expect("UTF-8");
        }
        let status = self.child.wait().expect("it ends");
        Ended {
            code: status.code().expect("it was not killed"),
            out,
            err,
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
