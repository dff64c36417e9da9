//! Pollers that hand the workers the events that Lambda would: doorbells from the queues, records
//! from the log's stream, a tick for the sweeper.

use std::sync::Arc;
use std::time::Duration;

use embedded::{QueueSource, Services};
use event_router::EventRouter;
use lambda::batch;
use store::Store;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use work::{
    DUE_SHARDS, Handler, JobState, JobStore, Lane, Runner, RunnerConfig, StoreError, protocol,
};

/// How long an attempt may run before it yields: the longest time of the worker functions.
const ATTEMPT_TIME: Duration = Duration::from_secs(15 * 60);
/// A worker that hangs is replaced after this long.
const LEASE: Duration = Duration::from_secs(10);
const SWEEP_EVERY: Duration = Duration::from_secs(1);
/// How many batches of a lane run at the same time, and how many jobs of each, at least.
const CONCURRENCY: usize = 64;
/// How many times what one org may run that is at least, or one that has much to do would hold up
/// all others.
const ORGS_AT_ONCE: usize = 3;
const DOORBELLS_AT_ONCE: i32 = 10;
/// How often a batch of the log is tried before its first record is given up, as Lambda would.
const LOG_ATTEMPTS: u32 = 5_000;
/// How long a batch of the log that failed waits before it is tried again, at the longest.
const LOG_PAUSE: Duration = Duration::from_secs(5);
const STARTUP_PAGE: usize = 1_000;

/// What the workers do, lane by lane.
pub(crate) struct Workers {
    pub(crate) agents: agent_runner::AgentRunner,
    pub(crate) files: Vec<Arc<dyn Handler>>,
    pub(crate) indexes: Vec<Arc<dyn Handler>>,
    pub(crate) web: Vec<Arc<dyn Handler>>,
}

/// Starts every worker. They stop when `stop` is cancelled.
pub(crate) async fn start(
    services: &Services,
    store: &Store,
    workers: Workers,
    stop: &CancellationToken,
    tasks: &TaskTracker,
) -> anyhow::Result<()> {
    let of_one_org = store.config().runs_per_org as usize;
    let concurrency = CONCURRENCY.max(ORGS_AT_ONCE * of_one_org);
    let config = RunnerConfig {
        lease: LEASE,
        heartbeat: LEASE / 4,
        store_timeout: LEASE / 5,
        concurrency,
        ..RunnerConfig::default()
    };
    let agents: Vec<Arc<dyn Handler>> = vec![Arc::new(workers.agents)];
    let agent_runner = Arc::new(batch::runner(store, agents, config.clone()));
    let file_runner = Arc::new(batch::runner(store, workers.files, config.clone()));
    let index_runner = Arc::new(batch::runner(store, workers.indexes, config.clone()));
    let web_runner = Arc::new(batch::runner(store, workers.web, config));
    let left_behind = take_back(store).await;
    for lane in Lane::ALL {
        let runner = match lane {
            Lane::AgentInteractive | Lane::AgentBulk => &agent_runner,
            Lane::Files => &file_runner,
            Lane::Index => &index_runner,
            Lane::Web => &web_runner,
        };
        let url = store.config().queue(lane);
        let source = QueueSource::new(&services.clients().sqs, url, DOORBELLS_AT_ONCE).await?;
        let poller = poll(
            source,
            concurrency,
            Arc::clone(runner),
            store.clone(),
            tasks.clone(),
            stop.clone(),
        );
        tasks.spawn(poller);
    }
    tasks.spawn(until(stop.clone(), follow_log(services, store).await?));
    tasks.spawn(until(stop.clone(), sweep(store.clone())));
    if let Err(error) = left_behind {
        tracing::warn!(%error, "jobs under way were left to their leases, and those that wait to the sweeper");
    }
    Ok(())
}

async fn until(stop: CancellationToken, work: impl Future<Output = ()>) {
    stop.run_until_cancelled_owned(work).await;
}

/// Takes doorbells off a queue and runs each batch beside the others.
async fn poll(
    source: QueueSource,
    concurrency: usize,
    runner: Arc<Runner>,
    store: Store,
    tasks: TaskTracker,
    stop: CancellationToken,
) {
    let source = Arc::new(source);
    let places = Arc::new(tokio::sync::Semaphore::new(concurrency));
    let taking = async {
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else {
                return;
            };
            let event = match source.poll().await {
                Ok(Some(event)) => event,
                Ok(None) => continue,
                Err(error) => {
                    tracing::warn!(%error, "a queue does not answer");
                    tokio::time::sleep(Duration::from_millis(500)).await;
                    continue;
                }
            };
            let (source, runner, store, stop) = (
                Arc::clone(&source),
                Arc::clone(&runner),
                store.clone(),
                stop.clone(),
            );
            tasks.spawn(async move {
                let _place = place;
                let run = async {
                    let deadline = store.now().plus(ATTEMPT_TIME);
                    let response = batch::run_doorbells(&runner, event.clone(), deadline).await;
                    if let Err(error) = source.acknowledge(&event, &response).await {
                        tracing::warn!(%error, "doorbells were not acknowledged");
                    }
                };
                stop.run_until_cancelled_owned(run).await;
            });
        }
    };
    stop.run_until_cancelled(taking).await;
}

async fn follow_log(
    services: &Services,
    store: &Store,
) -> anyhow::Result<impl Future<Output = ()> + use<>> {
    let mut stream = services
        .log_stream(&store.config().log, "event-router")
        .await?;
    let router = EventRouter::new(store.clone());
    Ok(async move {
        loop {
            let settled = match stream.next().await {
                Ok(batch) if batch.attempt > LOG_ATTEMPTS => {
                    tracing::error!("a record of the log is given up");
                    stream.discard_first().await.map(drop)
                }
                Ok(batch) => {
                    let attempt = batch.attempt;
                    let response = batch::read_stream(&router, batch.event).await;
                    if !response.batch_item_failures.is_empty() {
                        let pause = Duration::from_millis(100) * attempt.min(100);
                        tokio::time::sleep(pause.min(LOG_PAUSE)).await;
                    }
                    stream.settle(&response).await
                }
                Err(error) => Err(error),
            };
            if let Err(error) = settled {
                tracing::warn!(%error, "the log could not be followed");
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        }
    })
}

async fn sweep(store: Store) {
    let mut ticks = tokio::time::interval(SWEEP_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Err(error) = sweeper::sweep(&store, store.now()).await {
            tracing::warn!(%error, "a sweep was not whole");
        }
    }
}

/// Takes up what an earlier process has left. Whoever holds the data folder is the only one who
/// does, so the attempts of that process are dead, whatever their leases say. The queues are in
/// memory: what it had rung for is rung again at once, instead of when the sweeper would.
async fn take_back(store: &Store) -> Result<(), StoreError> {
    let horizon = store.now().plus(Duration::from_hours(24 * 365));
    for shard in 0..DUE_SHARDS {
        for job in store.due(shard, horizon, STARTUP_PAGE).await? {
            let now = store.now();
            let job = match protocol::orphan(&job, now) {
                Some(orphan) if store.replace(&orphan, job.version).await? => orphan,
                _ => job,
            };
            if job.state != JobState::Ready || job.due_at > now {
                continue;
            }
            if let Err(error) = store.bell().ring(&job.doorbell(), Duration::ZERO).await {
                tracing::warn!(%error, "a waiting job was left to the sweeper");
            }
        }
    }
    Ok(())
}
