//! A worker process: the product's own runner and handler, over stores and servers that its
//! starter names.

use std::collections::BTreeMap;
use std::io::{BufRead as _, Read as _, Write as _};
use std::sync::Arc;
use std::time::Duration;

use agent_runner::AgentRunner;
use anyhow::Context as _;
use domain::price::PriceMap;
use embedded::QueueSource;
use lambda::batch;
use llm::ModelConfig;
use outbound::Policy;
use serde::{Deserialize, Serialize};
use store::clients::LocalEndpoints;
use store::{Clients, Store, StoreConfig};
use tokio::sync::Semaphore;
use work::{Handler, Lane, Runner, RunnerConfig};

/// What a worker prints once it takes doorbells.
pub(crate) const READY: &str = "ready";
/// How many doorbells are taken at once.
const DOORBELLS_AT_ONCE: i32 = 2;
/// How long a worker waits for doorbells, at a time.
const WAIT: Duration = Duration::from_secs(2);
/// How long an attempt may take in all. Short, so that long executions yield to a successor.
const ATTEMPT_TIME: Duration = Duration::from_secs(14);

/// What a worker is told, as one line of JSON on its standard input. The worker ends when that
/// input does, and so with its starter, however that ends.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Orders {
    /// Where the proxies listen.
    pub(crate) dynamo: String,
    pub(crate) sqs: String,
    pub(crate) s3: String,
    pub(crate) region: String,
    /// By which the proxies know the worker.
    pub(crate) name: String,
    /// What a deployed function reads from its environment: names of tables, the model.
    pub(crate) environment: BTreeMap<String, String>,
    /// The port of this machine that tools may call.
    pub(crate) tool_port: u16,
    pub(crate) lease_ms: u64,
    pub(crate) slots: usize,
}

impl Orders {
    /// A store over the proxies.
    pub(crate) fn store(&self) -> anyhow::Result<Store> {
        let read = |name: &str| self.environment.get(name).cloned();
        let clients = Clients::local(&LocalEndpoints {
            dynamo: self.dynamo.clone(),
            s3: self.s3.clone(),
            sqs: self.sqs.clone(),
            region: self.region.clone(),
            access_key_id: self.name.clone(),
            secret_access_key: "chaos".to_owned(),
        });
        let config = StoreConfig::from_env(&read, &[])?;
        Ok(Store::new(clients, config, Arc::new(kernel::SystemClock)))
    }

    fn runner(&self, store: &Store) -> anyhow::Result<Runner> {
        let read = |name: &str| self.environment.get(name).cloned();
        let model = llm::build(&ModelConfig::from_env(&read)?)?;
        let prices = PriceMap::from_env(&read)?;
        let policy = Policy::public().allow_loopback_ports([self.tool_port]);
        let outbound = outbound::Client::new(agent_runner::tool_policy(policy))?;
        let agents = AgentRunner::new(store.clone(), model, outbound, prices);
        let lease = Duration::from_millis(self.lease_ms);
        let config = RunnerConfig {
            lease,
            heartbeat: lease / 4,
            store_timeout: lease / 5,
            progress_every: lease / 5,
            stop_margin: Duration::from_secs(2),
            yield_margin: Duration::from_secs(8),
            least_work: Duration::from_secs(1),
            cancel_grace: Duration::from_secs(2),
            concurrency: self.slots,
        };
        let handlers: Vec<Arc<dyn Handler>> = vec![Arc::new(agents)];
        Ok(batch::runner(store, handlers, config))
    }
}

/// Works until it is killed, or until whoever started it is gone.
pub(crate) fn run() -> anyhow::Result<()> {
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    let orders: Orders = serde_json::from_str(&line).context("the orders are not readable")?;
    std::thread::spawn(|| {
        // Whatever is read, or goes wrong in reading, the starter is gone.
        let _ = std::io::stdin().lock().read(&mut [0]);
        std::process::exit(0);
    });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(work(&orders))
}

async fn work(orders: &Orders) -> anyhow::Result<()> {
    let store = orders.store()?;
    let runner = Arc::new(orders.runner(&store)?);
    let places = Arc::new(Semaphore::new(orders.slots));
    let mut pollers = tokio::task::JoinSet::new();
    for lane in [Lane::AgentInteractive, Lane::AgentBulk] {
        let url = store.config().queue(lane);
        let source = QueueSource::new(store.clients().sqs(), url, DOORBELLS_AT_ONCE)
            .await?
            .with_wait(WAIT);
        let (runner, store, places) = (Arc::clone(&runner), store.clone(), Arc::clone(&places));
        pollers.spawn(poll(source, runner, store, places));
    }
    writeln!(std::io::stdout(), "{READY}")?;
    while pollers.join_next().await.is_some() {}
    anyhow::bail!("the pollers ended")
}

/// Takes doorbells off a queue and answers each batch beside the others, as Lambda would.
async fn poll(source: QueueSource, runner: Arc<Runner>, store: Store, places: Arc<Semaphore>) {
    let source = Arc::new(source);
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        let event = match source.poll().await {
            Ok(Some(event)) => event,
            Ok(None) => continue,
            Err(_) => {
                tokio::time::sleep(Duration::from_millis(200)).await;
                continue;
            }
        };
        let (source, runner, store) = (Arc::clone(&source), Arc::clone(&runner), store.clone());
        tokio::spawn(async move {
            let _place = place;
            let deadline = store.now().plus(ATTEMPT_TIME);
            let response = batch::run_doorbells(&runner, event.clone(), deadline).await;
            // What is not deleted comes again, and is answered by the claim.
            let _ = source.acknowledge(&event, &response).await;
        });
    }
}
