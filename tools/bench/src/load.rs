//! Requests in a closed loop: each connection sends the next one when it has the answer to the
//! last. The load has a thread of its own, so that its cost can be told from the host's.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::LocalSet;

use crate::proc;

/// The name of the thread that sends.
pub const LOAD_THREAD: &str = "load";
/// The longest that one answer may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// How much load there is.
#[derive(Debug, Clone)]
pub struct Plan {
    /// `127.0.0.1:port`.
    pub address: String,
    pub connections: usize,
    /// Load that is not counted.
    pub warm_up: Duration,
    /// What is counted: turns that end in this time.
    pub window: Duration,
}

/// What came of it.
#[derive(Debug)]
pub struct Measured {
    /// How long each turn took that ended within the window.
    pub latencies: Vec<Duration>,
    /// How long the window was.
    pub window: Duration,
    /// All turns, also those before the window and after it.
    pub turns: u64,
    /// Processor time within the window, by the names of threads.
    pub cpu: BTreeMap<String, Duration>,
}

impl Measured {
    /// Turns in a second.
    pub fn rate(&self) -> f64 {
        self.latencies.len() as f64 / self.window.as_secs_f64()
    }

    /// Processor time that threads of this name had for each turn.
    pub fn cpu_per_turn(&self, thread: &str) -> Duration {
        let turns = u32::try_from(self.latencies.len()).unwrap_or(u32::MAX);
        let time = self.cpu.get(thread).copied().unwrap_or_default();
        time.checked_div(turns).unwrap_or_default()
    }
}

/// A connection that is kept open.
pub struct Connection {
    sender: SendRequest<Full<Bytes>>,
}

impl Connection {
    /// Connects to `127.0.0.1:port`.
    pub async fn open(address: &str) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Self { sender })
    }

    /// Sends a request and reads its answer whole.
    pub async fn exchange(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> anyhow::Result<(StatusCode, Bytes)> {
        let answer = async {
            self.sender.ready().await?;
            let response = self.sender.send_request(request).await?;
            let status = response.status();
            let body = response.into_body().collect().await?.to_bytes();
            Ok::<_, hyper::Error>((status, body))
        };
        Ok(tokio::time::timeout(PATIENCE, answer)
            .await
            .with_context(|| format!("no answer within {PATIENCE:?}"))??)
    }

    /// The same, where only one status will do.
    pub async fn send(
        &mut self,
        request: Request<Full<Bytes>>,
        expected: StatusCode,
    ) -> anyhow::Result<Bytes> {
        let (status, body) = self.exchange(request).await?;
        if status != expected {
            bail!("answered {status}: {}", String::from_utf8_lossy(&body));
        }
        Ok(body)
    }
}

/// Takes turns on every connection until the time is over. A turn gets its number, from 0.
///
/// # Errors
/// The first that a turn ends with; it ends the load.
pub async fn closed_loop<T>(plan: Plan, turn: T) -> anyhow::Result<Measured>
where
    T: AsyncFn(&mut Connection, u64) -> anyhow::Result<()> + Send + 'static,
{
    let (sender, done) = oneshot::channel();
    std::thread::Builder::new()
        .name(LOAD_THREAD.to_owned())
        .spawn(move || {
            let _ = sender.send(drive(&plan, turn));
        })
        .context("no thread for the load")?;
    done.await.context("the load broke off")?
}

fn drive<T>(plan: &Plan, turn: T) -> anyhow::Result<Measured>
where
    T: AsyncFn(&mut Connection, u64) -> anyhow::Result<()> + 'static,
{
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    LocalSet::new().block_on(&runtime, async {
        let begins = Instant::now() + plan.warm_up;
        let ends = begins + plan.window;
        let turn = Rc::new(turn);
        let latencies = Rc::new(RefCell::new(Vec::new()));
        let turns = Rc::new(Cell::new(0u64));
        let mut connections = Vec::new();
        for _ in 0..plan.connections {
            let mut connection = Connection::open(&plan.address).await?;
            let (turn, turns) = (Rc::clone(&turn), Rc::clone(&turns));
            let latencies = Rc::clone(&latencies);
            connections.push(tokio::task::spawn_local(async move {
                while Instant::now() < ends {
                    let number = turns.replace(turns.get() + 1);
                    let began = Instant::now();
                    turn(&mut connection, number).await?;
                    let now = Instant::now();
                    if (begins..ends).contains(&now) {
                        latencies.borrow_mut().push(now - began);
                    }
                }
                anyhow::Ok(())
            }));
        }
        tokio::time::sleep_until(begins.into()).await;
        let before = proc::cpu_by_thread();
        tokio::time::sleep_until(ends.into()).await;
        let cpu = proc::cpu_by_thread()
            .into_iter()
            .map(|(thread, time)| {
                let earlier = before.get(&thread).copied().unwrap_or_default();
                (thread, time.saturating_sub(earlier))
            })
            .collect();
        for connection in connections {
            connection.await.context("a connection broke off")??;
        }
        let latencies = latencies.take();
        if latencies.is_empty() {
            bail!("no turn ended within {:?}", plan.window);
        }
        Ok(Measured {
            latencies,
            window: plan.window,
            turns: turns.get(),
            cpu,
        })
    })
}
