//! A server as a process: started, watched and killed by its id.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::proc;

/// What of a log is shown when something went wrong.
const LAST_LINES: usize = 12;
const LOG: &str = "output.log";

/// A process with the processes that it has started. They end with the value.
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a program in a folder. It gets no environment but what the command names, and what
    /// every program needs; what it says goes to a file in the folder.
    pub fn start(mut command: Command, folder: &Path) -> anyhow::Result<Self> {
        let log = folder.join(LOG);
        let output = File::create(&log).context("the output of a server cannot be kept")?;
        let named: Vec<_> = command
            .get_envs()
            .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())))
            .collect();
        let child = command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", folder)
            .env("LANG", "C.UTF-8")
            .envs(named)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("{} cannot be run", command.get_program().display()))?;
        Ok(Self { child, log })
    }

    /// Fails if the process has ended.
    pub fn check(&mut self) -> anyhow::Result<()> {
        match self.child.try_wait()? {
            Some(status) => bail!("the server ended with {status}:\n{}", self.last_words()),
            None => Ok(()),
        }
    }

    /// Whether it has said this.
    pub fn has_said(&self, words: &str) -> bool {
        std::fs::read(&self.log).is_ok_and(|log| String::from_utf8_lossy(&log).contains(words))
    }

    /// The end of what it said.
    pub fn last_words(&self) -> String {
        let log = std::fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
    }

    /// What it and those that it has started hold in memory, in bytes.
    pub fn resident(&self) -> u64 {
        let memory = self.tree().into_iter().map(proc::memory_of);
        memory.flatten().map(|memory| memory.resident).sum()
    }

    /// The processor time that it and those that it has started have had.
    pub fn cpu(&self) -> Duration {
        self.tree().into_iter().filter_map(proc::total_cpu_of).sum()
    }

    /// `kill -9`, of it and those that it has started.
    pub fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        let descendants = self.tree();
        let _ = self.child.kill();
        for process in descendants.into_iter().skip(1) {
            if let Some(process) = i32::try_from(process).ok().and_then(Pid::from_raw) {
                let _ = kill_process(process, Signal::KILL);
            }
        }
        let _ = self.child.wait();
    }

    /// Its id first, then those of its descendants.
    fn tree(&self) -> Vec<u32> {
        family(self.child.id(), &proc::parents())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}

/// A process and its descendants, by who is whose parent.
fn family(first: u32, parents: &BTreeMap<u32, u32>) -> Vec<u32> {
    let mut family = vec![first];
    let mut next = 0;
    while let Some(&parent) = family.get(next) {
        let children = parents.iter().filter(|(_, of)| **of == parent);
        family.extend(children.map(|(child, _)| *child));
        next += 1;
    }
    family
}

/// A port that nobody listened on a moment ago.
pub fn free_port() -> anyhow::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(listener.local_addr()?.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_has_all_generations_and_no_strangers() {
        let parents = BTreeMap::from([(2, 1), (3, 2), (4, 3), (5, 3), (6, 1)]);
        assert_eq!(family(2, &parents), [2, 3, 4, 5]);
        assert_eq!(family(9, &parents), [9]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_process_ends_with_what_it_has_started() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 600 & echo started; wait"]);
        let mut process = Process::start(command, folder.path()).unwrap();
        while process.tree().len() < 2 || !process.has_said("started") {
            process.check().unwrap();
            std::thread::yield_now();
        }
        let tree = process.tree();
        assert!(process.resident() > 0);
        process.kill();
        let parents = proc::parents();
        let gone = |process: &u32| {
            // A child of nobody is taken over and reaped by another process, at its leisure.
            let state = std::fs::read_to_string(format!("/proc/{process}/stat"));
            !parents.contains_key(process) || state.is_ok_and(|state| state.contains(") Z "))
        };
        while !tree.iter().all(gone) {
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_program_that_ends_is_noticed_with_its_last_words() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "echo no port left; exit 3"]);
        let mut process = Process::start(command, folder.path()).unwrap();
        let error = loop {
            if let Err(error) = process.check() {
                break error.to_string();
            }
        };
        assert!(error.contains("no port left"), "{error}");
    }
}
