//! The running services: start, clients, shutdown.

use std::net::{Ipv4Addr, SocketAddr, TcpListener as StdListener};
use std::path::PathBuf;
use std::time::Duration;

use futures::future::join_all;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::checkpoint::Checkpoints;
use crate::endpoints::{Clients, Endpoints};
use crate::error::{Error, StartError};
use crate::folder::DataFolder;
use crate::log_stream::LogStream;
use crate::{database, objects, queue_server};

/// How long requests under way may take to finish at shutdown.
const GRACE: Duration = Duration::from_secs(5);

/// The database engine answers on the thread that took the request, so one
/// long search must not hold up objects and queues.
const THREADS: usize = 4;

/// Where the data lives.
#[derive(Clone, Debug)]
pub enum Storage {
    /// In this folder, made where missing. Queues are in memory all the same.
    Folder(PathBuf),
    /// Tables in memory, objects in a temporary folder; all of it ends with
    /// the services.
    Memory,
}

/// How to run the services.
#[derive(Clone, Debug)]
pub struct Options {
    pub storage: Storage,
    /// How often items past their `expires_at` are deleted. AWS promises
    /// days; nothing may rely on the deletion.
    pub expiry_interval: Duration,
    /// Whether each commit waits for the disk. Without, a power failure can
    /// take the last second; the end of the process, however it comes, takes
    /// nothing either way.
    pub sync_every_commit: bool,
}

impl Options {
    /// Over a folder, with expired items deleted once a minute.
    pub fn folder(path: impl Into<PathBuf>) -> Self {
        Self::new(Storage::Folder(path.into()))
    }

    /// In memory, with expired items deleted once a minute.
    pub fn memory() -> Self {
        Self::new(Storage::Memory)
    }

    fn new(storage: Storage) -> Self {
        Self {
            storage,
            expiry_interval: Duration::from_secs(60),
            sync_every_commit: false,
        }
    }
}

/// DynamoDB, S3 and SQS, answering on loopback.
///
/// They run on threads of their own. Call [`shutdown`](Self::shutdown) to let
/// requests under way finish; dropping the value stops serving at once. Every
/// acknowledged write is in the folder either way, and on the disk a second
/// later, or at once with [`Options::sync_every_commit`].
#[derive(Debug)]
pub struct Services {
    endpoints: Endpoints,
    clients: Clients,
    checkpoints: Checkpoints,
    stop: CancellationToken,
    servers: Vec<JoinHandle<()>>,
    runtime: Option<Runtime>,
    folder: Option<DataFolder>,
}

impl Services {
    /// Locks and opens the data, and serves it on three free ports.
    ///
    /// # Errors
    ///
    /// [`StartError`] when the folder cannot be used, is held by another
    /// process or is damaged, or when no port or thread is to be had.
    pub async fn start(options: Options) -> Result<Self, StartError> {
        // Opening the database reads and may recover a file.
        tokio::task::spawn_blocking(move || Self::start_blocking(&options))
            .await
            .map_err(|panic| StartError::Threads(std::io::Error::other(panic)))?
    }

    fn start_blocking(options: &Options) -> Result<Self, StartError> {
        let folder = DataFolder::open(&options.storage)?;
        let log = database::commit_log(&folder, options.sync_every_commit);
        let checkpoints = Checkpoints::new(folder.checkpoints(), log.clone());
        let tables = database::open(&folder, &checkpoints, options.sync_every_commit)?;
        let files = objects::open(&folder.objects())?;

        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(THREADS)
            .thread_name("embedded-aws")
            .enable_all()
            .build()
            .map_err(StartError::Threads)?;
        let stop = CancellationToken::new();
        // Listeners and servers register with the runtime that is entered.
        let entered = runtime.enter();
        let (dynamodb, dynamodb_port) = listen("DynamoDB")?;
        let (s3, s3_port) = listen("S3")?;
        let (sqs, sqs_port) = listen("SQS")?;
        let endpoints = Endpoints::new(dynamodb_port, s3_port, sqs_port);
        let mut servers = vec![
            tokio::spawn(database::expire(
                tables.clone(),
                options.expiry_interval,
                stop.clone(),
            )),
            tokio::spawn(database::serve(dynamodb, tables, stop.clone())),
            tokio::spawn(objects::serve(s3, files, stop.clone())),
            tokio::spawn(queue_server::serve(
                sqs,
                endpoints.sqs.clone(),
                stop.clone(),
            )),
        ];
        servers.extend(log.map(|log| tokio::spawn(database::sync(log, stop.clone()))));
        drop(entered);

        Ok(Self {
            clients: Clients::new(&endpoints),
            endpoints,
            checkpoints,
            stop,
            servers,
            runtime: Some(runtime),
            folder: Some(folder),
        })
    }

    /// Where the services answer.
    pub fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    /// SDK clients that are ready to use.
    pub fn clients(&self) -> &Clients {
        &self.clients
    }

    /// Follows the stream of a table on behalf of `consumer`, from where that
    /// consumer last stood. A new consumer begins with the oldest record. Only
    /// one follower at a time may speak for a consumer.
    ///
    /// # Errors
    ///
    /// [`Error::Stream`] when the table has no stream, [`Error::Checkpoint`]
    /// when the position cannot be read.
    pub async fn log_stream(&self, table: &str, consumer: &str) -> Result<LogStream, Error> {
        LogStream::open(&self.clients, self.checkpoints.clone(), table, consumer).await
    }

    /// Stops serving: lets requests under way finish, ends every task and
    /// thread, closes the database and releases the folder.
    pub async fn shutdown(mut self) {
        self.stop.cancel();
        let servers = std::mem::take(&mut self.servers);
        if tokio::time::timeout(GRACE, join_all(servers))
            .await
            .is_err()
        {
            tracing::warn!("requests to the embedded services did not end in time");
        }
        if let Some(runtime) = self.runtime.take() {
            // A runtime may not be dropped from asynchronous code.
            let stopped = tokio::task::spawn_blocking(move || runtime.shutdown_timeout(GRACE));
            if let Err(panic) = stopped.await {
                tracing::error!(%panic, "the embedded services did not stop cleanly");
            }
        }
        self.folder.take();
    }
}

impl Drop for Services {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Opens a free loopback port in the runtime that is entered.
fn listen(service: &'static str) -> Result<(TcpListener, u16), StartError> {
    let failed = |cause| StartError::Listen { service, cause };
    let listener = StdListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    let port = listener.local_addr().map_err(failed)?.port();
    let listener = TcpListener::from_std(listener).map_err(failed)?;
    Ok((listener, port))
}
