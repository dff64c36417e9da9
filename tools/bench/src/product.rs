//! The product on its local host, for those who measure it from outside.

use std::path::Path;
use std::sync::{Arc, Once};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use bytes::Bytes;
use domain::price::PriceMap;
use embedding::Embedders;
use file_processor::Reader;
use http::{HeaderName, Method, Request, header};
use http_body_util::Full;
use lambda::telemetry;
use llm::ChatModel;
use local::client::{Client, text};
use local::{Host, HostOptions};
use outbound::Policy;
use serde_json::{Value, json};
use store::config::DEFAULT_RUNS_PER_ORG;
use tempfile::TempDir;

const ORG: HeaderName = HeaderName::from_static("overglass-org");
/// How long the followers of events may take to come to rest.
const REST: Duration = Duration::from_secs(90);
/// How the calls of an idle host are counted.
const IDLE: Duration = Duration::from_secs(3);

static LOGGING: Once = Once::new();

/// A running host with one org in it.
pub struct Product {
    pub host: Host,
    /// Signed in, for the org.
    pub client: Client,
    token: String,
    /// DynamoDB calls in a second, when nobody asks for anything: the sweeper's.
    pub idle_calls: f64,
    setup: Setup,
    folder: TempDir,
}

/// What the host is started with.
#[derive(Clone)]
struct Setup {
    model: Arc<dyn ChatModel>,
    embedders: Embedders,
}

impl Setup {
    async fn start(&self, folder: &Path) -> anyhow::Result<Host> {
        Host::start(HostOptions {
            port: 0,
            data: Some(folder.join("data")),
            model: Arc::clone(&self.model),
            outbound: Policy::public(),
            crawling: crawler::Settings::default(),
            prices: PriceMap::built_in(),
            files: Reader::of_this_program()?,
            runs_per_org: DEFAULT_RUNS_PER_ORG,
            sync_every_commit: false,
            embedders: self.embedders.clone(),
        })
        .await
    }
}

/// Runs a measurement on threads whose processor time can be told from that of others.
pub fn on_its_threads(
    measurement: impl Future<Output = anyhow::Result<String>>,
) -> anyhow::Result<String> {
    tokio::runtime::Builder::new_multi_thread()
        .thread_name(HOST_THREADS)
        .enable_all()
        .build()?
        .block_on(measurement)
}

/// The name of the threads that the host runs on.
pub const HOST_THREADS: &str = "api-host";
/// The name of the threads that the embedded DynamoDB, S3 and SQS run on.
pub const STORE_THREADS: &str = "embedded-aws";

impl Product {
    /// Starts a host as `cargo run` does: over a folder, with a log.
    pub async fn start(root: &Path, model: Arc<dyn ChatModel>) -> anyhow::Result<Self> {
        Self::start_with(root, model, Embedders::default()).await
    }

    /// The same, with these embedding models.
    pub async fn start_with(
        root: &Path,
        model: Arc<dyn ChatModel>,
        embedders: Embedders,
    ) -> anyhow::Result<Self> {
        let target = root.join("target");
        std::fs::create_dir_all(&target)?;
        let folder = tempfile::Builder::new()
            .prefix("bench-")
            .tempdir_in(target)?;
        log_once(folder.path())?;
        let setup = Setup { model, embedders };
        let host = setup.start(folder.path()).await?;
        let token = host.issuer().token("ada", "Ada Admin")?;
        let person = Client::new(host.url(), &*token)?;
        let org: Value = person.post("/v1/orgs", &json!({ "name": "Bench" })).await?;
        let client = person.for_org(&text(&org["id"])?);
        let mut product = Self {
            host,
            client,
            token,
            idle_calls: 0.0,
            setup,
            folder,
        };
        tokio::time::sleep(Duration::from_secs(1)).await;
        let before = product.calls();
        tokio::time::sleep(IDLE).await;
        product.idle_calls = (product.calls() - before) as f64 / IDLE.as_secs_f64();
        Ok(product)
    }

    /// Calls to DynamoDB so far, by the API and the workers together.
    pub fn calls(&self) -> u64 {
        self.host.app().store().clients().meter.count()
    }

    /// `127.0.0.1:port`.
    pub fn address(&self) -> String {
        self.host.url().trim_start_matches("http://").to_owned()
    }

    /// A request of the org, with what every connection says.
    pub fn request(&self, method: Method, path: &str, body: Option<&Value>) -> Requester {
        Requester {
            method,
            path: path.to_owned(),
            body: body.map_or_else(Bytes::new, |body| Bytes::from(body.to_string())),
            token: self.token.clone(),
            org: self.client.org().unwrap_or_default().to_owned(),
        }
    }

    /// Waits until the workers have followed all that has happened: no more calls than when idle.
    pub async fn rest(&self) -> anyhow::Result<()> {
        let began = Instant::now();
        loop {
            let before = self.calls();
            tokio::time::sleep(Duration::from_secs(1)).await;
            if ((self.calls() - before) as f64) < self.idle_calls * 1.5 + 5.0 {
                return Ok(());
            }
            if began.elapsed() > REST {
                anyhow::bail!("the workers did not come to rest within {REST:?}");
            }
        }
    }

    /// The same org on a host that has just started.
    pub async fn restarted(self) -> anyhow::Result<Self> {
        self.host.shutdown().await;
        let host = self.setup.start(self.folder.path()).await?;
        let token = host.issuer().token("ada", "Ada Admin")?;
        let client = Client::new(host.url(), &*token)?.for_org(self.client.org()?);
        Ok(Self {
            host,
            client,
            token,
            ..self
        })
    }

    /// Ends the host, and removes what it kept.
    pub async fn end(self) {
        self.host.shutdown().await;
    }
}

/// Makes the same request again and again.
#[derive(Debug, Clone)]
pub struct Requester {
    method: Method,
    path: String,
    body: Bytes,
    token: String,
    org: String,
}

impl Requester {
    /// The request.
    pub fn make(&self) -> anyhow::Result<Request<Full<Bytes>>> {
        self.make_at(&self.path)
    }

    /// The same, with another body.
    pub fn with_body(&self, body: &Value) -> Self {
        Self {
            body: Bytes::from(body.to_string()),
            ..self.clone()
        }
    }

    /// The request, to another path.
    pub fn make_at(&self, path: &str) -> anyhow::Result<Request<Full<Bytes>>> {
        Request::builder()
            .method(self.method.clone())
            .uri(path)
            .header(header::HOST, "localhost")
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token))
            .header(header::CONTENT_TYPE, "application/json")
            .header(ORG, &self.org)
            .body(Full::new(self.body.clone()))
            .context("a request could not be made")
    }
}

/// Requests are logged as on the local host, to a file, since that is part of their cost.
fn log_once(folder: &Path) -> anyhow::Result<()> {
    let file = tempfile::tempfile_in(folder).context("the log cannot be written")?;
    LOGGING.call_once(|| {
        telemetry::init_to(file, telemetry::levels(local::LOG_LEVELS));
    });
    Ok(())
}
