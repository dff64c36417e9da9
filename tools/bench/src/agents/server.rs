//! What an agent server has to offer to be measured: how it is started, and its API as far as the
//! measurements need it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::Full;
use serde_json::Value;
use tempfile::TempDir;

use super::child::{Process, free_port};
use super::model::{ModelServer, Script};
use crate::load::Connection;

/// The longest that a server may take to start.
const START: Duration = Duration::from_secs(120);
/// How often it is looked whether a server has started.
const LOOK: Duration = Duration::from_millis(20);

/// An agent server that can be started.
pub trait Server {
    type Client: Client;

    fn name(&self) -> &'static str;

    /// Writes what the server needs into its folder, and says how it is started.
    fn command(&self, place: &Place) -> anyhow::Result<Command>;

    /// Whether it has come to rest after its start.
    fn is_settled(&self, process: &Process) -> bool;

    /// How long after a run all that it has to store is stored.
    fn rest(&self) -> Duration;

    /// A client, once the server answers; agents are made where there are none.
    async fn client(&self, place: &Place) -> anyhow::Result<Self::Client>;
}

/// A client of a running server. Clones are the same client.
pub trait Client: Clone + Send + 'static {
    /// The tool that does nothing, or as little as the server offers.
    const TOOL: Tool;
    /// The tool that a person has to allow.
    const ASKING_TOOL: Tool;

    /// Runs an agent on a message until its answer is there and stored. `thread` names the
    /// conversation that the message goes on with; without one, it begins its own.
    async fn run(
        &self,
        connection: &mut Connection,
        script: &Script,
        thread: Option<&Thread>,
    ) -> anyhow::Result<()>;

    /// Begins a conversation.
    async fn thread(&self, connection: &mut Connection) -> anyhow::Result<Thread>;

    /// Runs an agent until it waits for a person.
    async fn pause(&self, connection: &mut Connection, script: &Script) -> anyhow::Result<Paused>;

    /// Allows what the agent waits for, and waits until its answer is there and stored.
    async fn resume(&self, connection: &mut Connection, paused: Paused) -> anyhow::Result<()>;

    /// Starts a run without waiting for anything but the server's word that it has it.
    async fn begin(&self, connection: &mut Connection, script: &Script) -> anyhow::Result<Begun>;

    /// What has become of a run.
    async fn standing(
        &self,
        connection: &mut Connection,
        begun: &Begun,
    ) -> anyhow::Result<Standing>;

    /// What the server has stored so far, of this conversation or of all.
    async fn stored(&self, connection: &mut Connection, thread: &Thread) -> anyhow::Result<Stored>;
}

/// A tool as the model calls it.
pub struct Tool {
    pub name: &'static str,
    /// A JSON object.
    pub arguments: &'static str,
}

/// A conversation.
pub struct Thread(pub String);

/// A run that waits for a person: what the server wants to have back.
pub struct Paused {
    pub thread: String,
    pub id: String,
    pub asked: Value,
}

/// A run that was started.
pub struct Begun {
    pub thread: String,
    pub id: String,
}

/// What has become of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    Completed,
    /// It has ended without an answer.
    Failed(String),
    /// Not ended, as far as the server knows.
    Open(String),
    /// The server does not know of it.
    Unknown,
}

/// What a server has stored, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stored {
    /// What it would call its data: items, rows, checkpoints.
    pub content: u64,
    /// What that takes on disk.
    pub disk: u64,
}

impl Stored {
    /// What has come on top of an earlier state.
    pub fn since(self, earlier: Self) -> Self {
        Self {
            content: self.content.saturating_sub(earlier.content),
            disk: self.disk.saturating_sub(earlier.disk),
        }
    }
}

/// Where a server runs, and with which model.
pub struct Place {
    pub folder: PathBuf,
    pub port: u16,
    pub model: ModelServer,
}

impl Place {
    /// `127.0.0.1:port`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The environment by which every one of the servers finds the model.
    pub fn with_model(&self, command: &mut Command) {
        command
            .env("OPENAI_BASE_URL", self.model.base_url())
            .env("OPENAI_API_KEY", "none-is-needed");
    }
}

/// A server that runs. It ends with the value, and what it stored is removed.
pub struct Running<S: Server> {
    server: S,
    process: Option<Process>,
    pub client: S::Client,
    place: Place,
    /// From the order to start until it answered.
    pub started_in: Duration,
    _folder: TempDir,
}

impl<S: Server> Running<S> {
    /// Starts a server over an empty folder, with a port of its own.
    pub async fn start(server: S, target: &Path, model: &ModelServer) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("bench-")
            .tempdir_in(target)?;
        let place = Place {
            folder: folder.path().to_owned(),
            port: free_port()?,
            model: model.clone(),
        };
        let began = Instant::now();
        let (process, client) = start(&server, &place).await?;
        Ok(Self {
            server,
            process: Some(process),
            client,
            place,
            started_in: began.elapsed(),
            _folder: folder,
        })
    }

    /// The process.
    pub fn process(&self) -> anyhow::Result<&Process> {
        self.process.as_ref().context("the server was killed")
    }

    /// A connection to it.
    pub async fn connect(&self) -> anyhow::Result<Connection> {
        Connection::open(&self.address()).await
    }

    /// `127.0.0.1:port`.
    pub fn address(&self) -> String {
        self.place.address()
    }

    /// Waits until nothing more comes of its start.
    pub async fn settle(&mut self) -> anyhow::Result<()> {
        let began = Instant::now();
        loop {
            let process = self.process.as_mut().context("the server was killed")?;
            process.check()?;
            if self.server.is_settled(process) {
                return Ok(());
            }
            if began.elapsed() > START {
                bail!("not at rest within {START:?}:\n{}", process.last_words());
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// `kill -9`, and the same again over what it has left. Returns when the new one answers.
    pub async fn kill_and_restart(&mut self) -> anyhow::Result<()> {
        if let Some(process) = self.process.take() {
            process.kill();
        }
        let (process, client) = start(&self.server, &self.place).await?;
        self.process = Some(process);
        self.client = client;
        Ok(())
    }
}

async fn start<S: Server>(server: &S, place: &Place) -> anyhow::Result<(Process, S::Client)> {
    let mut process = Process::start(server.command(place)?, &place.folder)?;
    let began = Instant::now();
    loop {
        match server.client(place).await {
            Ok(client) => return Ok((process, client)),
            Err(error) if began.elapsed() > START => {
                let words = process.last_words();
                return Err(error.context(format!("no answer within {START:?}:\n{words}")));
            }
            Err(_) => process.check()?,
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// What goes along with a request.
pub enum Body<'a> {
    None,
    Json(&'a Value),
    Form(&'a [(&'a str, &'a str)]),
}

/// A request with these headers beside those that every one has.
pub fn request(
    method: Method,
    path: &str,
    headers: &HeaderMap,
    body: &Body<'_>,
) -> anyhow::Result<Request<Full<Bytes>>> {
    let (content_type, body) = match body {
        Body::None => (None, Bytes::new()),
        Body::Json(value) => (Some("application/json"), Bytes::from(value.to_string())),
        Body::Form(fields) => (
            Some("application/x-www-form-urlencoded"),
            Bytes::from(serde_urlencoded::to_string(fields)?),
        ),
    };
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, "localhost")
        .body(Full::new(body))?;
    request.headers_mut().extend(headers.clone());
    if let Some(content_type) = content_type {
        let content_type = http::HeaderValue::from_static(content_type);
        request
            .headers_mut()
            .insert(header::CONTENT_TYPE, content_type);
    }
    Ok(request)
}

/// Sends a request and reads the JSON that it is answered with.
pub async fn ask(
    connection: &mut Connection,
    request: Request<Full<Bytes>>,
    expected: StatusCode,
) -> anyhow::Result<Value> {
    let body = connection.send(request, expected).await?;
    serde_json::from_slice(&body).context("the answer is no JSON")
}
