//! The process: embedded stores, the API with every function mounted, the workers.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use api::{ApiConfig, App, Problem, Table};
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use domain::price::PriceMap;
use embedded::{Options, QueueSpec, Services, TableNames};
use embedding::Embedders;
use identity::KeyEnvironment;
use kernel::SystemClock;
use llm::ChatModel;
use outbound::Policy;
use store::clients::LocalEndpoints;
use store::{Clients, Store, StoreConfig};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use vault::Vault;

use crate::address;
use crate::issuer::LocalIssuer;
use crate::secrets::Secrets;
use crate::workers;

const BUCKET: &str = "overglass-files";
/// The variable by which a deployment names its issuer of tokens.
const ISSUER_VARIABLE: &str = "OVERGLASS_OIDC_ISSUER";
/// How long requests and jobs under way may take to end.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(3);
/// Long enough that a doorbell is not handed out twice while its job runs.
const VISIBILITY: Duration = Duration::from_secs(15 * 60);

/// How a host is to run.
pub struct HostOptions {
    /// The port to listen on; 0 for any that is free.
    pub port: u16,
    /// The folder that keeps everything; `None` keeps nothing beyond the process.
    pub data: Option<PathBuf>,
    /// The model that agents use unless they name another.
    pub model: Arc<dyn ChatModel>,
    /// What tools and crawls may reach.
    pub outbound: Policy,
    /// How sites are crawled.
    pub crawling: crawler::Settings,
    /// What models cost.
    pub prices: PriceMap,
    /// How files are read: each in a process of its own, or on a thread.
    pub files: file_processor::Reader,
    /// How many executions of one org may run at the same time.
    pub runs_per_org: u32,
    /// Whether each commit waits for the disk; a power failure can take the last second, if not.
    pub sync_every_commit: bool,
    /// The embedding models that knowledge bases may have.
    pub embedders: Embedders,
}

/// A running host.
pub struct Host {
    address: SocketAddr,
    app: App,
    issuer: Arc<LocalIssuer>,
    services: Services,
    stop: CancellationToken,
    tasks: TaskTracker,
    data: Option<PathBuf>,
}

impl Host {
    /// Starts everything. When this returns, the API answers and the workers wait.
    ///
    /// # Errors
    /// Says in words what is in the way: a taken port, a data folder that another host uses or
    /// that is damaged, a real issuer in the environment.
    pub async fn start(options: HostOptions) -> anyhow::Result<Self> {
        if std::env::var_os(ISSUER_VARIABLE).is_some_and(|issuer| !issuer.is_empty()) {
            bail!(
                "{ISSUER_VARIABLE} is set, and the local host signs anybody in without a password. \
                 It does not run beside a real issuer: unset the variable."
            );
        }
        let storage = match &options.data {
            Some(folder) => Options::folder(folder),
            None => Options::memory(),
        };
        let storage = Options {
            sync_every_commit: options.sync_every_commit,
            ..storage
        };
        let services = Services::start(storage).await?;
        if let Some(folder) = &options.data {
            address::withdraw(folder);
        }
        let listener = listen(options.port).await?;
        let address = listener.local_addr()?;
        let secrets = Secrets::open(options.data.as_deref())?;
        let vault = Vault::new(Arc::new(secrets.key_wrap()?), Arc::new(SystemClock));
        let store = open_store(&services, options.runs_per_org)
            .await?
            .with_vault(vault);
        let issuer = Arc::new(LocalIssuer::new(&secrets)?);
        let config = ApiConfig {
            environment: KeyEnvironment::new("local")?,
            verifier: issuer.verifier()?,
            signing: secrets.signing_key()?,
            streams_url: Some(format!("http://{address}")),
        };
        let app = App::new(store.clone(), config);
        let stop = CancellationToken::new();
        let tasks = TaskTracker::new();

        let routes = routes::<api::Routes>()
            .with(options.embedders.clone())
            .with(search::Indexes::default())
            .with(options.outbound.clone());
        let router = api::service(routes, app.clone())
            .merge(issuer.routes())
            .layer(axum::middleware::from_fn(refuse_other_hosts));
        let serving =
            axum::serve(listener, router).with_graceful_shutdown(stop.clone().cancelled_owned());
        tasks.spawn(async move {
            if let Err(error) = serving.await {
                tracing::error!(%error, "the API stopped");
            }
        });
        let web = outbound::Client::new(options.outbound.clone())?;
        let web = crawler::handlers(&store, web, options.crawling);
        let outbound = outbound::Client::new(agent_runner::tool_policy(options.outbound))?;
        let embedding = file_processor::Embedding {
            embedders: options.embedders.clone(),
            prices: Arc::new(options.prices.clone()),
        };
        let agents =
            agent_runner::AgentRunner::new(store.clone(), options.model, outbound, options.prices)
                .with_embedders(options.embedders);
        let files = file_processor::handlers_with(&store, options.files, embedding);
        let indexes = indexer::handlers(&store);
        let workers = workers::Workers {
            agents,
            files,
            indexes,
            web,
        };
        workers::start(&services, &store, workers, &stop, &tasks).await?;
        tasks.close();
        Ok(Self {
            address,
            app,
            issuer,
            services,
            stop,
            tasks,
            data: options.data,
        })
    }

    /// Tells in the data folder where the API answers, so that commands use this host. One that ends
    /// with a single command would take theirs down with it, and does not tell.
    ///
    /// # Errors
    /// A data folder that cannot be written.
    pub fn announce(&self) -> anyhow::Result<()> {
        let Some(folder) = &self.data else {
            return Ok(());
        };
        address::tell(folder, self.address).context("the address could not be told")
    }

    /// Where the API answers, such as `http://127.0.0.1:8700`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The state that handlers see, for tests that look behind the API.
    #[must_use]
    pub fn app(&self) -> &App {
        &self.app
    }

    /// The issuer of this host's tokens.
    #[must_use]
    pub fn issuer(&self) -> &LocalIssuer {
        &self.issuer
    }

    /// Ends the host: no new requests, a moment for those under way, then the stores. What a
    /// worker had not finished goes on at the next start.
    pub async fn shutdown(self) {
        self.stop.cancel();
        if tokio::time::timeout(SHUTDOWN_GRACE, self.tasks.wait())
            .await
            .is_err()
        {
            tracing::info!("work under way goes on at the next start");
        }
        self.services.shutdown().await;
    }
}

/// The operations of every function.
#[must_use]
pub fn routes<T: Table>() -> T {
    T::new()
        .merge(agents::routes())
        .merge(api_keys::routes())
        .merge(approvals::routes())
        .merge(audit::routes())
        .merge(budgets::routes())
        .merge(chat::routes())
        .merge(conversations::routes())
        .merge(docs::routes())
        .merge(executions::routes())
        .merge(files::routes())
        .merge(health::routes())
        .merge(knowledge_bases::routes())
        .merge(orgs::routes())
        .merge(search::routes())
        .merge(streams::routes())
        .merge(swarms::routes())
        .merge(tasks::routes())
        .merge(tools::routes())
        .merge(users::routes())
}

/// Refuses requests that a browser was led here with under another name: a page of somebody else
/// whose name was pointed at this machine could otherwise sign itself in.
async fn refuse_other_hosts(request: Request, next: Next) -> Response {
    let host = request
        .headers()
        .get(http::header::HOST)
        .and_then(|host| host.to_str().ok());
    let name = host.map(|host| host.rsplit_once(':').map_or(host, |(name, _)| name));
    if matches!(name, Some("127.0.0.1" | "localhost" | "[::1]")) {
        return next.run(request).await;
    }
    Problem::new(
        http::StatusCode::MISDIRECTED_REQUEST,
        "misdirected_request",
        "The local host answers to `localhost` and `127.0.0.1` only.",
    )
    .into_response()
}

async fn listen(port: u16) -> anyhow::Result<TcpListener> {
    match TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await {
        Ok(listener) => Ok(listener),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            bail!("Port {port} is taken. Name another with --port, or --port 0 for any.")
        }
        Err(error) => Err(error).with_context(|| format!("Port {port} cannot be opened")),
    }
}

/// A store over embedded services, with its tables, bucket and queues.
///
/// # Errors
/// Services that do not answer.
pub async fn open_store(services: &Services, runs_per_org: u32) -> anyhow::Result<Store> {
    let clients = services.clients();
    let tables = TableNames::default();
    embedded::create_tables(&clients.dynamodb, &tables).await?;
    embedded::create_bucket(&clients.s3, BUCKET).await?;
    let specs = work::Lane::ALL.map(|lane| QueueSpec::new(lane.as_str(), VISIBILITY));
    let queues = embedded::create_queues(&clients.sqs, &specs).await?;
    let url = |lane: work::Lane| {
        queues
            .iter()
            .find(|queue| queue.name == lane.as_str())
            .map(|queue| queue.url.clone())
            .unwrap_or_default()
    };
    let config = StoreConfig {
        core: tables.core,
        work: tables.work,
        log: tables.log,
        metrics: tables.metrics,
        knowledge: tables.knowledge,
        audit: tables.audit,
        ledger: tables.ledger,
        vault: tables.vault,
        ephemeral: tables.ephemeral,
        files_bucket: BUCKET.to_owned(),
        agent_interactive_queue: url(work::Lane::AgentInteractive),
        agent_bulk_queue: url(work::Lane::AgentBulk),
        files_queue: url(work::Lane::Files),
        index_queue: url(work::Lane::Index),
        web_queue: url(work::Lane::Web),
        runs_per_org,
    };
    let endpoints = services.endpoints();
    let local = LocalEndpoints {
        dynamo: endpoints.dynamodb.clone(),
        s3: endpoints.s3.clone(),
        sqs: endpoints.sqs.clone(),
        region: endpoints.region.clone(),
        access_key_id: endpoints.access_key_id.clone(),
        secret_access_key: endpoints.secret_access_key.clone(),
    };
    Ok(Store::new(
        Clients::local(&local),
        config,
        Arc::new(SystemClock),
    ))
}
