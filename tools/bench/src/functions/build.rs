//! Builds what is measured, by the profile that is deployed.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};
use serde::Deserialize;

const FUNCTION_FOLDERS: [&str; 2] = ["functions/api", "functions/workers"];
const BARE: &str = "bare-function";
/// The profile of Cargo.toml by which functions are deployed.
const DEPLOYED: &str = "function";

/// A program that Lambda could start.
pub struct Binary {
    pub name: String,
    pub path: PathBuf,
}

/// What cargo says of each artifact, as far as it matters here.
#[derive(Deserialize)]
struct Message {
    executable: Option<PathBuf>,
    target: Option<Target>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}

/// Builds every function, or those that `only` names, in one call and without any tool, as for a
/// deployment: no function gets features of a library that only the local host asks for. Folder,
/// crate and binary of a function have one name.
pub fn functions(root: &Path, only: &[String]) -> anyhow::Result<Vec<Binary>> {
    let mut names = Vec::new();
    for folder in FUNCTION_FOLDERS {
        let entries = std::fs::read_dir(root.join(folder));
        for entry in entries.with_context(|| format!("cannot read {folder}"))? {
            let entry = entry?;
            if entry.path().join("Cargo.toml").is_file() {
                names.push(entry.file_name().to_string_lossy().into_owned());
            }
        }
    }
    if let Some(unknown) = only.iter().find(|name| !names.contains(name)) {
        bail!("there is no function {unknown}");
    }
    names.retain(|name| only.is_empty() || only.contains(name));
    names.sort();
    build(root, DEPLOYED, &names, &names)
}

/// Builds the bare function, alone: it gets no feature that a function asks for.
pub fn bare(root: &Path) -> anyhow::Result<Binary> {
    alone(root, DEPLOYED, BARE, BARE)
}

/// Builds one binary of a crate, alone, as it is run on a machine of one's own.
pub fn program(root: &Path, package: &str, binary: &str) -> anyhow::Result<Binary> {
    alone(root, "release", package, binary)
}

fn alone(root: &Path, profile: &str, package: &str, binary: &str) -> anyhow::Result<Binary> {
    let built = build(root, profile, &[package.to_owned()], &[binary.to_owned()])?;
    built.into_iter().next().context("nothing was built")
}

fn build(
    root: &Path,
    profile: &str,
    packages: &[String],
    binaries: &[String],
) -> anyhow::Result<Vec<Binary>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(cargo);
    command
        .args([
            "build",
            "--profile",
            profile,
            "--message-format",
            "json-render-diagnostics",
        ])
        .current_dir(root)
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    for package in packages {
        command.args(["--package", package]);
    }
    let mut child = command.spawn().context("cargo cannot be run")?;
    let mut programs = BTreeMap::new();
    if let Some(output) = child.stdout.take() {
        for line in BufReader::new(output).lines() {
            let Ok(message) = serde_json::from_str::<Message>(&line?) else {
                continue;
            };
            if let (Some(path), Some(target)) = (message.executable, message.target) {
                programs.insert(target.name, path);
            }
        }
    }
    let status = child.wait()?;
    if !status.success() {
        bail!("the programs do not build: cargo ended with {status}");
    }
    binaries
        .iter()
        .map(|name| match programs.remove(name) {
            Some(path) => Ok(Binary {
                name: name.clone(),
                path,
            }),
            None => bail!("there is no binary {name}"),
        })
        .collect()
}
