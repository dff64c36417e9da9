//! Other readers of PDF on the same files, in the same run: how much of the text each finds, in
//! which order, and how fast.
//!
//! The files are made for it: pages of this repository's documentation, rendered by two writers of
//! PDF in one and in two columns. So they may be used, and what is in them is known.

mod likeness;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use documents::{Isolation, Limits};
use serde::Deserialize;

use super::repeated;
use crate::Effort;
use crate::figures::{amount, megabytes_per_second};
use crate::report::Table;
use likeness::{pairs, words};

const SCRIPT: &str = include_str!("pdf_peers.py");
/// Where a Python with the other readers may be, if nobody says.
const PYTHONS: [&str; 2] = [".venv/bin/python3", "python3"];
const MODULES: &str = "import pypdf, pdfminer, reportlab, fpdf";
const PEERS: [&str; 2] = ["pypdf", "pdfminer.six"];
const PAGES: [&str; 4] = ["ARCHITECTURE.md", "API.md", "DEPLOYING.md", "LOGGING.md"];
const KINDS: [(&str, &str); 4] = [
    ("reportlab-1", "reportlab, one column"),
    ("reportlab-2", "reportlab, two columns"),
    ("fpdf2-1", "fpdf2, one column"),
    ("fpdf2-2", "fpdf2, two columns"),
];

/// What a reader makes of one file.
struct Read {
    seconds: f64,
    text: String,
}

/// What the script says of one file.
#[derive(Debug, Deserialize)]
struct Answer {
    version: String,
    /// The median of its passes.
    seconds: f64,
    text: String,
}

/// One reader on all files of a kind.
#[derive(Debug, Clone, Copy, Default)]
struct Score {
    words: f64,
    pairs: f64,
    seconds: f64,
    bytes: usize,
    files: usize,
}

impl Score {
    fn of(read: &Read, truth: &str) -> Self {
        Self {
            words: words(&read.text, truth),
            pairs: pairs(&read.text, truth),
            seconds: read.seconds,
            bytes: truth.len(),
            files: 1,
        }
    }

    fn with(self, other: Self) -> Self {
        Self {
            words: self.words + other.words,
            pairs: self.pairs + other.pairs,
            seconds: self.seconds + other.seconds,
            bytes: self.bytes + other.bytes,
            files: self.files + other.files,
        }
    }

    fn cells(self) -> [String; 3] {
        let files = self.files.max(1) as f64;
        let time = Duration::from_secs_f64(self.seconds);
        [
            format!("{:.3}", self.words / files),
            format!("{:.3}", self.pairs / files),
            amount(megabytes_per_second(self.bytes, time)),
        ]
    }
}

/// Reads the files with each reader.
pub fn beside_others(python: &str, effort: &Effort) -> anyhow::Result<String> {
    let Some(python) = with_modules(python) else {
        return Ok(format!(
            "No Python was found that can `{MODULES}`, so nothing was measured beside.\n"
        ));
    };
    let folder = tempfile::tempdir()?;
    make(&python, folder.path())?;
    let mut table = Table::new(&[
        "PDF",
        "words",
        "pairs",
        "MB/s",
        "pypdf words",
        "pairs",
        "MB/s",
        "pdfminer.six words",
        "pairs",
        "MB/s",
    ]);
    let mut versions = [String::new(), String::new()];
    let mut all = [Score::default(); 3];
    for (kind, name) in KINDS {
        let mut scores = [Score::default(); 3];
        for page in PAGES {
            let stem = page.trim_end_matches(".md").to_lowercase();
            let path = folder.path().join(format!("{stem}-{kind}.pdf"));
            let truth = std::fs::read_to_string(path.with_extension("txt"))?;
            let mut reads = vec![ours(&path, effort)?];
            for (peer, version) in PEERS.iter().zip(&mut versions) {
                let answer = ask(&python, peer, &path, effort)?;
                *version = answer.version;
                reads.push(Read {
                    seconds: answer.seconds,
                    text: answer.text,
                });
            }
            for (score, read) in scores.iter_mut().zip(&reads) {
                *score = score.with(Score::of(read, &truth));
            }
        }
        for (whole, score) in all.iter_mut().zip(scores) {
            *whole = whole.with(score);
        }
        table.row(row(name, scores));
    }
    table.row(row("all", all));
    Ok(format!(
        "Beside pypdf {} and pdfminer.six {}, each on one thread. *words* is the F1 of the words \
         found, *pairs* that of neighbouring words, which falls where columns are mixed; MB/s are of \
         text. A table's column names, which this reader repeats in each row, count against it.\n\n{table}",
        versions[0], versions[1]
    ))
}

fn row(name: &str, scores: [Score; 3]) -> Vec<String> {
    let cells = scores.into_iter().flat_map(Score::cells);
    std::iter::once(name.to_owned()).chain(cells).collect()
}

fn ours(path: &Path, effort: &Effort) -> anyhow::Result<Read> {
    let content = std::fs::read(path)?;
    let limits = Limits::default();
    let (time, outcome) = repeated(effort, || {
        documents::process(content.clone(), "file.pdf", &limits, &Isolation::Thread)
    });
    let document = outcome.map_err(|rejection| anyhow!("{}: {rejection}", path.display()))?;
    Ok(Read {
        seconds: time.as_secs_f64(),
        text: document.text(),
    })
}

/// A Python that has the other readers, and the writers.
fn with_modules(named: &str) -> Option<String> {
    let found = if named.is_empty() {
        PYTHONS.as_slice()
    } else {
        &[named]
    };
    let has_modules = |python: &&str| {
        let asked = Command::new(python).args(["-c", MODULES]).output();
        asked.is_ok_and(|output| output.status.success())
    };
    found
        .iter()
        .copied()
        .find(|python| has_modules(python))
        .map(str::to_owned)
}

fn make(python: &str, folder: &Path) -> anyhow::Result<()> {
    let docs = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    let mut command = Command::new(python);
    command.args(["-c", SCRIPT, "make"]).arg(folder);
    command.args(PAGES.map(|page| docs.join(page)));
    run(command).map(drop)
}

fn ask(python: &str, reader: &str, path: &Path, effort: &Effort) -> anyhow::Result<Answer> {
    let mut command = Command::new(python);
    command.args(["-c", SCRIPT, "read", reader]).arg(path);
    command.arg(effort.reading.as_secs_f64().to_string());
    let answer = run(command)?;
    serde_json::from_slice(&answer).with_context(|| format!("{reader} says nothing useful"))
}

fn run(mut command: Command) -> anyhow::Result<Vec<u8>> {
    let output = command.output().context("Python cannot be run")?;
    if !output.status.success() {
        bail!("Python: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(output.stdout)
}
