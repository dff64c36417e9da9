//! Serves the AWS services of a data folder alone, to look into it with any
//! AWS client: `embedded [FOLDER]`, by default `.overglass`.
//!
//! Prints their addresses as one line of JSON, then serves until Ctrl-C.

use std::error::Error;
use std::io::Write;
use std::process::ExitCode;

use embedded::{Options, Services};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args_os()
        .nth(1)
        .unwrap_or_else(|| ".overglass".into());
    let services = Services::start(Options::folder(folder)).await?;
    let addresses = serde_json::to_string(services.endpoints())?;
    writeln!(std::io::stdout(), "{addresses}")?;
    tokio::signal::ctrl_c().await?;
    services.shutdown().await;
    Ok(())
}
