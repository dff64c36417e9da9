//! The virtual environment of the servers that are written in Python.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

const REQUIREMENTS: &str = include_str!("../../peers/requirements.txt");
const FOLDER: &str = "bench-peers";
/// Says what was installed, once it was.
const STAMP: &str = "installed.txt";
/// The longest that an installation may take.
const PATIENCE: Duration = Duration::from_secs(15 * 60);

/// The environment below the target folder; it is made where it is missing or has other versions.
pub fn open(target: &Path) -> anyhow::Result<PathBuf> {
    let folder = target.join(FOLDER);
    let environment = folder.join("venv");
    let stamp = folder.join(STAMP);
    if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == REQUIREMENTS) {
        return Ok(environment);
    }
    std::fs::create_dir_all(&folder)?;
    let requirements = folder.join("requirements.txt");
    std::fs::write(&requirements, REQUIREMENTS)?;
    let mut venv = Command::new("python3");
    venv.args(["-m", "venv", "--clear"]).arg(&environment);
    run(venv)?;
    let mut pip = Command::new(environment.join("bin/pip"));
    pip.args(["install", "--quiet", "--disable-pip-version-check"])
        .args(["--no-input", "--requirement"])
        .arg(&requirements);
    run(pip)?;
    std::fs::write(&stamp, REQUIREMENTS)?;
    Ok(environment)
}

/// The version of a package that is installed.
pub fn version(package: &str) -> &'static str {
    let mut lines = REQUIREMENTS.lines();
    lines
        .find_map(|line| line.strip_prefix(package)?.strip_prefix("=="))
        .unwrap_or("of an unknown version")
}

fn run(mut command: Command) -> anyhow::Result<()> {
    let name = command.get_program().display().to_string();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .with_context(|| format!("{name} cannot be run"))?;
    let began = Instant::now();
    loop {
        match child.try_wait()? {
            Some(status) if status.success() => return Ok(()),
            Some(status) => bail!("{name} ended with {status}"),
            None if began.elapsed() > PATIENCE => {
                child.kill()?;
                child.wait()?;
                bail!("{name} did not end within {PATIENCE:?}");
            }
            None => std::thread::sleep(Duration::from_millis(100)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_are_pinned() {
        for package in ["agno", "langgraph-cli", "langgraph-api"] {
            let version = version(package);
            assert!(
                version.starts_with(|first: char| first.is_ascii_digit()),
                "{package} {version}"
            );
        }
    }
}
