//! What is measured of each server, one server at a time.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use serde_json::Value;
use uuid::Uuid;

use super::model::{Hold, ModelServer, Script};
use super::server::{Client, Running, Server, Standing, Stored, Tool};
use crate::Effort;
use crate::load::{Connection, Plan, closed_loop};

/// From the start of a server until its memory is looked at.
const IDLE: Duration = Duration::from_secs(5);
/// How often a run is looked at whose server was killed.
const LOOK: Duration = Duration::from_millis(50);
/// The longest until a run reaches the model call during which its server is killed.
const REACH: Duration = Duration::from_secs(30);
/// How long a server may not know of a run before it is taken at its word.
const UNKNOWN: Duration = Duration::from_secs(10);
/// How much longer than the server lives the model takes for the call during which it is killed.
const BEYOND: Duration = Duration::from_secs(60);

/// What all measurements share.
pub struct Bench {
    pub target: PathBuf,
    pub model: ModelServer,
    pub effort: Effort,
}

/// How a server is loaded.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// How long the model takes for each turn.
    pub latency: Duration,
    pub parallel: usize,
}

/// What a server did under one load.
pub struct Load {
    pub rate: f64,
    pub latencies: Vec<Duration>,
    /// Processor time of the server's processes, for each run.
    pub cpu: Duration,
    pub model_calls: f64,
}

/// What a server did under all loads, and what it held in memory.
pub struct Loaded {
    pub started_in: Duration,
    pub idle: u64,
    pub afterwards: u64,
    /// In the order of the cases.
    pub loads: Vec<Load>,
}

/// Loads a server that was just started.
pub async fn load<S: Server + Clone>(
    bench: &Bench,
    server: &S,
    cases: &[Case],
) -> anyhow::Result<Loaded> {
    let mut running = Running::start(server.clone(), &bench.target, &bench.model).await?;
    running.settle().await?;
    tokio::time::sleep(IDLE).await;
    let idle = running.process()?.resident();
    let mut loads = Vec::new();
    for case in cases {
        bench.model.set_latency(case.latency);
        let loaded = load_once(bench, &running, case.parallel).await;
        bench.model.set_latency(Duration::ZERO);
        bench.model.forget();
        let words = running.process()?.last_words();
        loads.push(loaded.with_context(|| format!("its last words:\n{words}\nwhat happened"))?);
    }
    Ok(Loaded {
        started_in: running.started_in,
        idle,
        afterwards: running.process()?.resident(),
        loads,
    })
}

async fn load_once<S: Server>(
    bench: &Bench,
    running: &Running<S>,
    parallel: usize,
) -> anyhow::Result<Load> {
    let plan = Plan {
        address: running.address(),
        connections: parallel,
        warm_up: bench.effort.warm_up,
        window: bench.effort.agents.window,
    };
    let client = running.client.clone();
    let (calls, cpu) = (bench.model.calls(), running.process()?.cpu());
    let turn = async move |connection: &mut Connection, _| {
        client
            .run(connection, &one_call(&S::Client::TOOL)?, None)
            .await
    };
    let measured = closed_loop(plan, turn).await?;
    let turns = u32::try_from(measured.turns).unwrap_or(u32::MAX);
    let cpu = running.process()?.cpu().saturating_sub(cpu);
    Ok(Load {
        rate: measured.rate(),
        latencies: measured.latencies,
        cpu: cpu.checked_div(turns).unwrap_or_default(),
        model_calls: (bench.model.calls() - calls) as f64 / f64::from(turns),
    })
}

/// How long runs took until they waited for a person, and from the answer to the end.
#[derive(Default)]
pub struct Pauses {
    pub until_paused: Vec<Duration>,
    pub until_completed: Vec<Duration>,
}

/// Runs that wait for a person, one after the other.
pub async fn pause<S: Server + Clone>(bench: &Bench, server: &S) -> anyhow::Result<Pauses> {
    let mut running = Running::start(server.clone(), &bench.target, &bench.model).await?;
    running.settle().await?;
    let mut connection = running.connect().await?;
    let mut pauses = Pauses::default();
    // The first one finds caches empty and connections closed.
    for number in 0..=bench.effort.agents.pauses {
        let script = one_call(&S::Client::ASKING_TOOL)?;
        let began = Instant::now();
        let paused = running.client.pause(&mut connection, &script).await?;
        let until_paused = began.elapsed();
        let began = Instant::now();
        running.client.resume(&mut connection, paused).await?;
        if number > 0 {
            pauses.until_paused.push(until_paused);
            pauses.until_completed.push(began.elapsed());
        }
    }
    Ok(pauses)
}

/// What is stored of one conversation after so many turns.
pub async fn store<S: Server + Clone>(bench: &Bench, server: &S) -> anyhow::Result<Vec<Stored>> {
    let mut running = Running::start(server.clone(), &bench.target, &bench.model).await?;
    running.settle().await?;
    let mut connection = running.connect().await?;
    // Tables, caches and files that the first run makes belong to no conversation.
    let first = one_call(&S::Client::TOOL)?;
    running.client.run(&mut connection, &first, None).await?;
    let thread = running.client.thread(&mut connection).await?;
    tokio::time::sleep(server.rest()).await;
    let mut connection = running.connect().await?;
    let before = running.client.stored(&mut connection, &thread).await?;
    let (mut turns, mut all) = (0, Vec::new());
    for until in bench.effort.agents.turns {
        while turns < until {
            let script = one_call(&S::Client::TOOL)?;
            let run = running.client.run(&mut connection, &script, Some(&thread));
            run.await.with_context(|| format!("turn {}", turns + 1))?;
            turns += 1;
        }
        tokio::time::sleep(server.rest()).await;
        // Servers end connections on which nothing comes.
        connection = running.connect().await?;
        let stored = running.client.stored(&mut connection, &thread).await?;
        all.push(stored.since(before));
    }
    Ok(all)
}

/// What became of a run whose server was killed.
pub struct Recovery {
    /// From the kill until the new server answered.
    pub answers_in: Duration,
    pub end: End,
    /// How often the model was asked again for the turn that it had already given.
    pub settled_again: u32,
    /// How often it was asked again for the turn during which the server was killed.
    pub interrupted_again: u32,
}

/// How a run ended.
pub enum End {
    Completed(Duration),
    Failed(String),
    /// It did not end while anybody looked.
    Open(String),
    /// The server has forgotten it.
    Forgotten,
}

/// Kills a server so long after the second model call of a run has begun, starts it again, and
/// waits for the run.
pub async fn recover<S: Server + Clone>(
    bench: &Bench,
    server: &S,
    after: Duration,
) -> anyhow::Result<Recovery> {
    let mut running = Running::start(server.clone(), &bench.target, &bench.model).await?;
    running.settle().await?;
    let millis = u64::try_from((after + BEYOND).as_millis())?;
    let script = Script {
        hold: Some(Hold { turn: 1, millis }),
        ..one_call(&S::Client::TOOL)?
    };
    let mut connection = running.connect().await?;
    let begun = running.client.begin(&mut connection, &script).await?;
    let waiting_since = Instant::now();
    while bench.model.asked(&script.id).turn(1) == 0 {
        if waiting_since.elapsed() > REACH {
            bail!("the run did not come to its second model call within {REACH:?}");
        }
        tokio::time::sleep(LOOK).await;
    }
    tokio::time::sleep(after).await;
    let killed = Instant::now();
    running.kill_and_restart().await?;
    let answers_in = killed.elapsed();
    let mut connection = running.connect().await?;
    let mut known = Instant::now();
    let end = loop {
        let standing = running.client.standing(&mut connection, &begun).await?;
        if standing != Standing::Unknown {
            known = Instant::now();
        }
        match standing {
            Standing::Completed => break End::Completed(killed.elapsed()),
            Standing::Failed(how) => break End::Failed(how),
            Standing::Unknown if known.elapsed() > UNKNOWN => break End::Forgotten,
            Standing::Open(how) if killed.elapsed() > bench.effort.agents.patience => {
                break End::Open(how);
            }
            Standing::Open(_) | Standing::Unknown => tokio::time::sleep(LOOK).await,
        }
    };
    let asked = bench.model.asked(&script.id);
    Ok(Recovery {
        answers_in,
        end,
        settled_again: asked.turn(0).saturating_sub(1),
        interrupted_again: asked.turn(1).saturating_sub(1),
    })
}

/// One tool call, then the answer.
fn one_call(tool: &Tool) -> anyhow::Result<Script> {
    let arguments: Value = serde_json::from_str(tool.arguments)?;
    Ok(Script {
        id: Uuid::new_v4().simple().to_string(),
        calls: 1,
        tool: tool.name.to_owned(),
        arguments,
        hold: None,
    })
}
