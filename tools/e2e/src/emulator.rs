//! The emulator in a Python environment of its own, the functions as binaries, the deployment.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};
use kernel::digest::sha256_hex;
use serde_json::Value;

use crate::say;

const SCRIPT: &str = "tools/e2e/deploy.py";
const REQUIREMENTS: &str = "tools/e2e/requirements.txt";
/// The people who can sign in: the first owns the org of the journey, the second has no part in it.
pub(crate) const USERS: [&str; 2] = ["ada@example.com", "eve@example.com"];

/// A deployed stack.
pub(crate) struct Emulator {
    python: PathBuf,
    state: PathBuf,
    description: Value,
}

impl Emulator {
    /// Builds the functions, starts the emulator and deploys the template.
    pub(crate) fn deploy(folder: &Path, port: Option<u16>) -> anyhow::Result<Self> {
        fs::create_dir_all(folder)?;
        let python = environment(folder)?;
        let functions = binaries(folder)?;
        let port = match port {
            Some(port) => port,
            None => TcpListener::bind("127.0.0.1:0")?.local_addr()?.port(),
        };
        let state = folder.join("state.json");
        if state.exists() {
            say("stopping what an earlier run left");
            call(&python, &["down", "--state", &text(&state)])?;
        }
        say("deploying the template");
        let mut arguments = vec!["up".to_owned(), "--functions".to_owned(), text(&functions)];
        arguments.extend([
            "--port".to_owned(),
            port.to_string(),
            "--state".to_owned(),
            text(&state),
        ]);
        for user in USERS {
            arguments.extend(["--user".to_owned(), user.to_owned()]);
        }
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let printed = call(&python, &arguments)?;
        let description =
            serde_json::from_str(&printed).context("the deployment printed no JSON")?;
        Ok(Self {
            python,
            state,
            description,
        })
    }

    /// The address of the API.
    pub(crate) fn api_url(&self) -> String {
        self.description["api_url"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    /// The token of one of [`USERS`].
    pub(crate) fn token(&self, user: &str) -> anyhow::Result<String> {
        self.description["tokens"][user]
            .as_str()
            .map(str::to_owned)
            .with_context(|| format!("{user} could not sign in"))
    }

    /// Invokes a function and waits for it.
    pub(crate) fn invoke(&self, function: &str) -> anyhow::Result<()> {
        call(
            &self.python,
            &["invoke", "--state", &text(&self.state), function],
        )
        .map(drop)
    }

    /// Kills the processes of a function, as a crash would. Returns how many there were.
    pub(crate) fn kill(&self, function: &str) -> anyhow::Result<u64> {
        let printed = call(
            &self.python,
            &["kill", "--state", &text(&self.state), function],
        )?;
        let killed: Value = serde_json::from_str(&printed)?;
        Ok(killed["killed"].as_array().map_or_else(
            || killed["killed"].as_u64().unwrap_or(0),
            |processes| processes.len() as u64,
        ))
    }

    /// Ends the emulator and removes what the deployment made.
    pub(crate) fn stop(&self) -> anyhow::Result<()> {
        call(&self.python, &["down", "--state", &text(&self.state)]).map(drop)
    }
}

/// The Python of a private environment with the pinned requirements, made at the first use.
fn environment(folder: &Path) -> anyhow::Result<PathBuf> {
    let venv = folder.join("venv");
    let python = venv.join("bin/python");
    let stamp = venv.join("requirements.sha256");
    let wanted = sha256_hex(&fs::read(REQUIREMENTS).context("run this in the repository's root")?);
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(python);
    }
    say("making a Python environment");
    run(Command::new("python3")
        .args(["-m", "venv", "--clear"])
        .arg(&venv))?;
    run(Command::new(&python)
        .args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "-r",
        ])
        .arg(REQUIREMENTS))?;
    fs::write(stamp, wanted)?;
    Ok(python)
}

/// A folder with each function's binary as `<name>/bootstrap`, without symbols.
fn binaries(folder: &Path) -> anyhow::Result<PathBuf> {
    say("building the functions");
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    // With the whole workspace, so that dependencies have the features that the tests built.
    let whole = [
        "build",
        "--quiet",
        "--workspace",
        "--exclude",
        "xtask",
        "--exclude",
        "bench",
        "--bins",
    ];
    run(Command::new(&cargo).args(whole))?;
    let target = std::env::var("CARGO_TARGET_DIR").unwrap_or_else(|_| "target".to_owned());
    let built = Path::new(&target).join("debug");
    let packaged = folder.join("functions");
    for kind in ["functions/api", "functions/workers"] {
        for entry in fs::read_dir(kind)? {
            let name = entry?.file_name();
            let place = packaged.join(&name);
            fs::create_dir_all(&place)?;
            let bootstrap = place.join("bootstrap");
            fs::copy(built.join(&name), &bootstrap)
                .with_context(|| format!("there is no binary {}", name.to_string_lossy()))?;
            // Symbols make a debug binary ten times as large; where no `strip` is, they stay.
            let stripped = Command::new("strip")
                .arg(&bootstrap)
                .stderr(Stdio::null())
                .status();
            if stripped.is_err() {
                say("no `strip` here: the binaries keep their symbols");
            }
        }
    }
    Ok(packaged)
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let status = command
        .status()
        .with_context(|| format!("{command:?} does not start"))?;
    if !status.success() {
        bail!("{command:?} ended with {status}");
    }
    Ok(())
}

/// Runs the deployment's script and returns what it prints.
fn call(python: &Path, arguments: &[&str]) -> anyhow::Result<String> {
    let output = Command::new(python)
        .arg(SCRIPT)
        .args(arguments)
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("{} does not start", python.display()))?;
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        bail!(
            "`{}` ended with {}: {printed}",
            arguments.join(" "),
            output.status
        );
    }
    Ok(printed)
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
