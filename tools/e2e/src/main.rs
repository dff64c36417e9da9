//! The deployed journey: the real template on an emulator of AWS, its functions as Lambda binaries,
//! driven through the API as a person would, with workers killed on the way.
//!
//! | module | holds |
//! |---|---|
//! | [`emulator`] | the private Python environment, the binaries, the deployment |
//! | [`journey`] | what is done and what must be seen |

mod emulator;
mod journey;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use crate::emulator::Emulator;

/// Deploys the template to an emulator and runs the journey on it.
#[derive(Parser)]
struct Arguments {
    /// The port of the emulator; any that is free if absent.
    #[arg(long)]
    port: Option<u16>,
    /// Where the environment, the binaries and the state are kept.
    #[arg(long, default_value = "target/e2e")]
    folder: PathBuf,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let emulator = Emulator::deploy(&arguments.folder, arguments.port)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let outcome = runtime.block_on(journey::run(&emulator));
    let stopped = emulator.stop();
    outcome.and(stopped)
}

/// Tells how far it has come.
pub(crate) fn say(text: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "{text}");
}
