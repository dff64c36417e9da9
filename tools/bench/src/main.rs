//! `cargo xtask bench`: what the product costs, measured.
//!
//! | module | holds |
//! |---|---|
//! | [`functions`] | size, start and memory of each function, beside a bare one |
//! | [`api`] | requests on the local host, and what the store has of them |
//! | [`executions`] | whole executions with a model that answers at once |
//! | [`agents`] | runs of agents, beside two agent servers written in Python |
//! | [`extraction`] | text out of files, chunks out of text, vectors out of chunks |
//! | [`search`] | how good and how fast answers to searches are |
//! | [`product`], [`metered`] | the local host, and its API once more over clients that are timed |
//! | [`load`] | requests in a closed loop |
//! | [`proc`], [`machine`] | what Linux tells of processes, and of the machine |
//! | [`figures`], [`report`] | medians and percentiles; tables and the document they go into |

mod agents;
mod api;
mod executions;
mod extraction;
mod figures;
mod functions;
mod load;
mod machine;
mod metered;
mod proc;
mod product;
mod report;
mod search;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Parser, ValueEnum};

/// Measures Overglass and writes docs/BENCHMARKS.md.
#[derive(Parser)]
#[command(name = "cargo xtask bench")]
struct Arguments {
    /// What to measure; everything if absent.
    #[arg(value_enum)]
    sections: Vec<Section>,
    /// The same, as a list.
    #[arg(long, value_enum, value_delimiter = ',', conflicts_with = "sections")]
    only: Vec<Section>,
    /// Measure these functions, and keep nothing.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    functions: Vec<String>,
    /// A short run that shows that everything works. Its figures are printed and not kept.
    #[arg(long)]
    quick: bool,
    /// Measure pypdf and pdfminer.six beside the PDF reader, with this Python or one that is found;
    /// it needs reportlab and fpdf2 as well, which make the files.
    #[arg(long, value_name = "PYTHON", num_args = 0..=1, default_missing_value = "")]
    peers: Option<String>,
    /// Measure this program of the local host beside the agent servers, instead of building it.
    #[arg(long, value_name = "PROGRAM")]
    overglass: Option<PathBuf>,
    /// Measure search by MiniLM as well, with the file that `tools/embedding/minilm.py` makes.
    #[arg(long, value_name = "FILE")]
    minilm: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Section {
    Functions,
    Api,
    Executions,
    Agents,
    #[value(alias = "extract")]
    Extraction,
    Search,
}

impl Section {
    const fn name(self) -> &'static str {
        match self {
            Self::Functions => "functions",
            Self::Api => "api",
            Self::Executions => "executions",
            Self::Agents => "agents",
            Self::Extraction => "extraction",
            Self::Search => "search",
        }
    }
}

/// How much is measured.
#[derive(Debug, Clone)]
struct Effort {
    /// How often each function is started.
    starts: usize,
    /// Load before a measurement, which counts for nothing.
    warm_up: Duration,
    /// How long each measurement of load takes.
    window: Duration,
    /// How long a format is read over and over.
    reading: Duration,
    /// The least size of a generated file, in bytes.
    file_bytes: usize,
    /// How much is measured of agent servers.
    agents: agents::Amounts,
    /// How much is measured of search.
    search: search::Amounts,
}

impl Effort {
    const WHOLE: Self = Self {
        starts: 31,
        warm_up: Duration::from_secs(2),
        window: Duration::from_secs(8),
        reading: Duration::from_secs(4),
        file_bytes: 1_500_000,
        agents: agents::Amounts {
            window: Duration::from_secs(20),
            pauses: 20,
            turns: [10, 100],
            kills: &[Duration::from_secs(1), Duration::from_secs(15)],
            patience: Duration::from_secs(120),
        },
        search: search::Amounts {
            documents: usize::MAX,
            questions: usize::MAX,
            chunks: &[1_000, 10_000, 100_000],
            asked: 200,
            starts: 5,
        },
    };
    const QUICK: Self = Self {
        starts: 3,
        warm_up: Duration::from_millis(300),
        window: Duration::from_secs(1),
        reading: Duration::from_millis(200),
        file_bytes: 200_000,
        agents: agents::Amounts {
            window: Duration::from_secs(3),
            pauses: 2,
            turns: [2, 6],
            kills: &[Duration::from_secs(1)],
            patience: Duration::from_secs(20),
        },
        search: search::Amounts {
            documents: 40,
            questions: 20,
            chunks: &[200],
            asked: 5,
            starts: 1,
        },
    };
}

fn main() -> ExitCode {
    // The same program, started as the process that reads one file and nothing else.
    documents::serve_if_child();
    let arguments = Arguments::parse();
    match measure(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            say(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Measures section by section. One that fails says why and does not keep the others from their
/// turn; `false` if any did.
fn measure(arguments: &Arguments) -> anyhow::Result<bool> {
    let root = repository()?;
    let effort = if arguments.quick {
        Effort::QUICK
    } else {
        Effort::WHOLE
    };
    let sections = match (arguments.sections.as_slice(), arguments.only.as_slice()) {
        ([], []) if !arguments.functions.is_empty() => &[Section::Functions],
        ([], []) => Section::value_variants(),
        ([], some) | (some, _) => some,
    };
    let mut all_measured = true;
    for section in sections {
        say(&format!("== {}\n", section.name()));
        let circumstances = machine::circumstances();
        let measured = match section {
            Section::Functions => functions::measure(&root, &effort, &arguments.functions),
            Section::Api => product::on_its_threads(api::measure(&root, &effort)),
            Section::Executions => product::on_its_threads(executions::measure(&root, &effort)),
            Section::Agents => product::on_its_threads(agents::measure(
                &root,
                &effort,
                arguments.overglass.as_deref(),
            )),
            Section::Extraction => extraction::measure(&effort, arguments.peers.as_deref()),
            Section::Search => product::on_its_threads(search::measure(
                &root,
                &effort,
                arguments.minilm.as_deref(),
            )),
        };
        let kept = measured.and_then(|figures| {
            let text = format!("{circumstances}\n\n{}", figures.trim_end());
            say(&format!("{text}\n"));
            if arguments.quick || !arguments.functions.is_empty() {
                return Ok(());
            }
            report::keep(&root, section.name(), &text)
        });
        if let Err(error) = kept {
            all_measured = false;
            say(&format!("{} failed: {error:#}\n", section.name()));
        }
    }
    Ok(all_measured)
}

fn repository() -> anyhow::Result<PathBuf> {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .context("the repository that this program was built from is gone")
}

/// One text for whoever called. A reader that has gone away is none of our business.
fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}
