//! The API over a data folder: that of the host which serves it already, or of one that is started
//! for a single command.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use domain::price::PriceMap;
use embedded::StartError;
use file_processor::Reader;
use kernel::env::process_environment;
use lambda::telemetry;
use llm::ModelConfig;
use outbound::Policy;

use crate::client::Client;
use crate::journey::find_org;
use crate::terminal::Terminal;
use crate::{Host, HostOptions, address};

/// Who somebody at the command line is.
pub(crate) const PERSON: &str = "ada";
/// How long a process that holds the folder may take until it says where it answers.
const START_TIME: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Where the data is, and how it is served.
#[derive(Debug, Clone, clap::Args)]
pub struct HostArguments {
    /// The port of the API; 0 for any. [default: 8700, or any for a command that ends]
    #[arg(long, global = true)]
    pub port: Option<u16>,
    /// The folder that keeps everything.
    #[arg(long, global = true, default_value = ".overglass")]
    pub data: PathBuf,
    /// Wait for the disk at every commit. Without, a power failure can take the last second.
    #[arg(long, global = true)]
    pub sync_every_commit: bool,
}

impl HostArguments {
    /// Starts a host.
    ///
    /// # Errors
    /// What is in the way, in words.
    pub async fn start(&self, default_port: u16, terminal: Terminal) -> anyhow::Result<Host> {
        let data = &self.data;
        std::fs::create_dir_all(data)
            .with_context(|| format!("{} cannot be made", data.display()))?;
        let config = ModelConfig::from_env(&process_environment)?;
        let model = llm::build(&config)?;
        let id = model.id().to_string();
        let options = HostOptions {
            port: self.port.unwrap_or(default_port),
            data: Some(data.clone()),
            model,
            outbound: Policy::public(),
            crawling: crawler::Settings::default(),
            prices: PriceMap::from_env(&process_environment)?,
            files: Reader::of_this_program()?,
            runs_per_org: store::config::runs_per_org(&process_environment)?,
            sync_every_commit: self.sync_every_commit,
            embedders: llm::embedders_from_env(&process_environment)?,
        };
        let host = Host::start(options).await?;
        terminal.line(format!("Overglass  model {id}  data {}", data.display()));
        Ok(host)
    }
}

/// Somebody who is signed in, for their org.
pub struct Session {
    client: Client,
    url: String,
    /// The host that ends with the session.
    own: Option<Host>,
}

impl Session {
    /// Goes to the host of the data folder, or starts one.
    ///
    /// # Errors
    /// What is in the way, in words: a folder that something else than a host holds, or whatever a
    /// host does not start for.
    pub async fn open(
        arguments: &HostArguments,
        default_port: u16,
        terminal: Terminal,
    ) -> anyhow::Result<Self> {
        let deadline = Instant::now() + START_TIME;
        loop {
            let locked = match arguments.start(default_port, terminal).await {
                Ok(host) => return Self::with(host.url(), Some(host)).await,
                Err(error) if is_locked(&error) => error,
                Err(error) => return Err(error),
            };
            let trouble = match address::of_holder(&arguments.data) {
                None => locked,
                Some(address) => {
                    let url = format!("http://{address}");
                    let data = arguments.data.display();
                    match Self::with(url.clone(), None).await {
                        Ok(session) => {
                            terminal.line(format!("Overglass  at {url}  data {data}"));
                            return Ok(session);
                        }
                        // It may be ending.
                        Err(error) => error,
                    }
                }
            };
            if Instant::now() >= deadline {
                return Err(trouble);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn with(url: String, own: Option<Host>) -> anyhow::Result<Self> {
        let client = Client::sign_in(&url, PERSON).await?;
        let org = find_org(&client).await?;
        Ok(Self {
            client: client.for_org(&org),
            url,
            own,
        })
    }

    /// The client of the API.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Where the API answers.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Keeps serving for whoever comes: other commands may use the host from now on.
    ///
    /// # Errors
    /// A data folder that cannot be written.
    pub fn announce(&self) -> anyhow::Result<()> {
        self.own.as_ref().map_or(Ok(()), Host::announce)
    }

    /// Whether the host ends with the session.
    #[must_use]
    pub fn is_own(&self) -> bool {
        self.own.is_some()
    }

    /// Ends the host, if it was started for this session.
    pub async fn close(self) {
        if let Some(host) = self.own {
            host.shutdown().await;
        }
    }
}

fn is_locked(error: &anyhow::Error) -> bool {
    matches!(
        error.downcast_ref::<StartError>(),
        Some(StartError::Locked { .. })
    )
}

/// Logs go to a file in the data folder, one JSON object a line. Once for each process.
///
/// # Errors
/// A folder that cannot be written.
pub fn log_to(data: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(data).with_context(|| format!("{} cannot be made", data.display()))?;
    let path = data.join("log.jsonl");
    let file = File::options()
        .create(true)
        .append(true)
        .open(&path)
        .with_context(|| format!("{} cannot be written", path.display()))?;
    telemetry::init_to(file, telemetry::levels(crate::LOG_LEVELS));
    Ok(())
}
