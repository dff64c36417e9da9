//! The worker processes: started, killed without warning, and followed by successors.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, bail};
use rand::Rng as _;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::time::{Instant, sleep};

use crate::history::History;
use crate::party::Party;
use crate::plan::Plan;
use crate::seeds::Dice;
use crate::worker::{Orders, READY};

/// The argument that makes this program a worker.
pub(crate) const WORKER: &str = "worker";
/// How long a worker may take to start.
const START: Duration = Duration::from_secs(60);

/// The workers that run at present.
#[derive(Debug)]
pub(crate) struct Fleet {
    orders: Orders,
    history: Arc<History>,
    dice: Dice,
    members: Vec<Member>,
    started: u32,
    logs: Option<PathBuf>,
}

#[derive(Debug)]
struct Member {
    party: Party,
    child: Child,
    /// Closed with this value, and then the worker ends.
    _input: ChildStdin,
    ready: Arc<AtomicBool>,
}

impl Fleet {
    /// Starts as many workers as the plan says. With `logs`, each writes a file there.
    pub(crate) async fn start(
        plan: &Plan,
        orders: Orders,
        history: Arc<History>,
        logs: Option<PathBuf>,
    ) -> anyhow::Result<Self> {
        let mut fleet = Self {
            orders,
            history,
            dice: Dice::new(plan.seed, "victims"),
            members: Vec::new(),
            started: 0,
            logs,
        };
        for _ in 0..plan.workers {
            fleet.add().await?;
        }
        Ok(fleet)
    }

    async fn add(&mut self) -> anyhow::Result<()> {
        self.started += 1;
        let party = Party::Worker(self.started);
        let errors = match &self.logs {
            Some(folder) => std::fs::File::create(folder.join(format!("{party}.log")))?.into(),
            None => Stdio::null(),
        };
        let mut child = Command::new(std::env::current_exe()?)
            .arg(WORKER)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(errors)
            .kill_on_drop(true)
            .spawn()
            .context("a worker could not be started")?;
        let mut input = child.stdin.take().context("a worker has no input")?;
        let orders = Orders {
            name: party.to_string(),
            ..self.orders.clone()
        };
        let line = format!("{}\n", serde_json::to_string(&orders)?);
        input.write_all(line.as_bytes()).await?;
        let output = child.stdout.take().context("a worker has no output")?;
        let ready = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&ready);
        tokio::spawn(async move {
            let mut lines = BufReader::new(output).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                if line == READY {
                    seen.store(true, Ordering::Release);
                }
            }
        });
        self.members.push(Member {
            party,
            child,
            _input: input,
            ready,
        });
        Ok(())
    }

    /// Kills one of the workers that take doorbells and starts its successor. Returns how many
    /// jobs it held.
    ///
    /// # Errors
    /// A worker that ended by itself, or does not start.
    pub(crate) async fn kill_one(&mut self) -> anyhow::Result<usize> {
        let began = Instant::now();
        loop {
            for member in &mut self.members {
                if let Some(status) = member.child.try_wait()? {
                    bail!("{} ended by itself: {status}", member.party);
                }
            }
            let ready: Vec<usize> = (0..self.members.len())
                .filter(|index| self.members[*index].ready.load(Ordering::Acquire))
                .collect();
            if !ready.is_empty() {
                let one = self.dice.roll(|draw| draw.random_range(0..ready.len()));
                let mut victim = self.members.swap_remove(ready[one]);
                // On Unix this is SIGKILL: nothing of the process runs on.
                victim.child.start_kill()?;
                let held = self.history.killed(victim.party);
                victim.child.wait().await?;
                self.add().await?;
                return Ok(held);
            }
            if began.elapsed() > START {
                bail!("no worker was ready within {START:?}");
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Ends every worker.
    pub(crate) async fn end(mut self) -> anyhow::Result<()> {
        for member in &mut self.members {
            member.child.kill().await?;
        }
        Ok(())
    }
}
