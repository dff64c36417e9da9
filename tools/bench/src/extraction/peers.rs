//! Another reader of PDF on the same files, to know what is fast.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, bail};
use documents::Isolation;
use serde::Deserialize;

use super::reading;
use super::samples::Sample;
use crate::Effort;
use crate::figures::{millis, ratio};
use crate::report::Table;

const SCRIPT: &str = include_str!("pypdf_peer.py");
/// Where a Python with pypdf may be, if nobody says.
const PYTHONS: [&str; 2] = [".venv/bin/python3", "python3"];
const HANDBOOK: &[u8] = include_bytes!("../../../../samples/turbine-maintenance-handbook.pdf");

/// What the other reader says of one file.
#[derive(Debug, Deserialize)]
struct Peer {
    version: String,
    /// The median of its passes.
    seconds: f64,
    characters: usize,
}

/// Reads the PDF files with pypdf as well.
pub fn beside_pypdf(samples: &[Sample], python: &str, effort: &Effort) -> anyhow::Result<String> {
    let Some(python) = with_pypdf(python) else {
        return Ok("No Python with pypdf was found, so it was not measured beside.\n".to_owned());
    };
    let mut table = Table::new(&[
        "PDF",
        "this reader ms",
        "pypdf ms",
        "pypdf takes",
        "characters",
        "pypdf characters",
    ]);
    let handbook = Sample {
        name: "turbine-maintenance-handbook.pdf",
        file_name: "turbine-maintenance-handbook.pdf",
        content: HANDBOOK.to_vec(),
    };
    let generated = samples.iter().filter(|sample| sample.name == "PDF");
    let mut version = String::new();
    for sample in generated.chain([&handbook]) {
        let (time, processed) = reading(sample, &Isolation::Thread, effort)?;
        let peer = ask(&python, &sample.content, effort)?;
        table.row([
            sample.file_name.to_owned(),
            millis(time),
            millis(Duration::from_secs_f64(peer.seconds)),
            ratio(peer.seconds / time.as_secs_f64()),
            processed.document.text().chars().count().to_string(),
            peer.characters.to_string(),
        ]);
        version = peer.version;
    }
    Ok(format!(
        "Beside pypdf {version}, both on one thread:\n\n{table}"
    ))
}

/// A Python that has pypdf.
fn with_pypdf(named: &str) -> Option<String> {
    let found = if named.is_empty() {
        PYTHONS.as_slice()
    } else {
        &[named]
    };
    let has_pypdf = |python: &&str| {
        let asked = Command::new(python).args(["-c", "import pypdf"]).output();
        asked.is_ok_and(|output| output.status.success())
    };
    found
        .iter()
        .copied()
        .find(|python| has_pypdf(python))
        .map(str::to_owned)
}

fn ask(python: &str, content: &[u8], effort: &Effort) -> anyhow::Result<Peer> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("file.pdf");
    std::fs::write(&path, content)?;
    let output = script(python, &path, effort)
        .output()
        .context("Python cannot be run")?;
    if !output.status.success() {
        bail!(
            "pypdf failed: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    serde_json::from_slice(&output.stdout).context("the script for pypdf says nothing useful")
}

fn script(python: &str, path: &Path, effort: &Effort) -> Command {
    let mut command = Command::new(python);
    command
        .args(["-c", SCRIPT])
        .arg(path)
        .arg(effort.reading.as_secs_f64().to_string());
    command
}
