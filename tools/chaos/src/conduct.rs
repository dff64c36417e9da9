//! One run from the first execution to the last check: executions are asked for as others end,
//! workers are killed on the way, and a sweeper ticks.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use domain::task::Task;
use kernel::TaskId;
use rand::Rng as _;
use serde_json::json;
use store::executions::NewRun;
use store::{Store, Tenant};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use crate::evidence::{self, Evidence};
use crate::fleet::Fleet;
use crate::history::{History, RunFacts};
use crate::party::Party;
use crate::person;
use crate::plan::{Control, Plan};
use crate::script::{HASTY_SECONDS, Script};
use crate::seeds::sequence;
use crate::stage::{Stage, cause};
use crate::treasurer;

const SWEEP_EVERY: Duration = Duration::from_secs(1);
const LOOK: Duration = Duration::from_millis(25);

/// Runs the plan and gathers what is to be judged.
///
/// # Errors
/// Whatever keeps the stage itself from working; what the product does wrong is no error here.
pub(crate) async fn conduct(plan: &Plan, logs: Option<PathBuf>) -> anyhow::Result<Evidence> {
    let began = Instant::now();
    let stage = Stage::start(plan).await?;
    let history = Arc::clone(&stage.history);
    let mut fleet = Fleet::start(plan, stage.orders(), Arc::clone(&history), logs).await?;
    let sweeping = tokio::spawn(sweep(stage.store_of(Party::Sweeper)?));

    let mut people = JoinSet::new();
    let orgs = stage.offices.iter().map(|office| office.agent.org);
    people.spawn(person::answer_all(
        plan.seed,
        stage.store_of(Party::Starter)?,
        orgs.collect(),
        Arc::clone(&history),
    ));
    people.spawn(person::pause_some(
        plan.seed,
        plan.control == Some(Control::DeafWorkers),
        stage.store_of(Party::Starter)?,
        Arc::clone(&history),
    ));
    if let Some(poor) = stage.poor() {
        let store = stage.store_of(Party::Starter)?;
        people.spawn(treasurer::raise_all(store, poor));
    }

    let played = play(plan, &stage, &mut fleet).await;
    fleet.end().await?;
    sweeping.abort();
    people.shutdown().await;
    stage.tables.settle().await;
    played?;
    let store = stage.undisturbed()?;
    let took = began.elapsed();
    let evidence = evidence::gather(plan.clone(), &store, &stage.offices, &history, took).await;
    stage.end().await;
    evidence
}

/// Asks for executions and kills workers, until everything has ended or nothing goes on.
async fn play(plan: &Plan, stage: &Stage, fleet: &mut Fleet) -> anyhow::Result<()> {
    let history = &stage.history;
    let starter = stage.store_of(Party::Starter)?;
    let acts = async {
        tokio::try_join!(
            start_all(plan, stage, &starter),
            kill_all(plan, history, fleet)
        )?;
        // The rest comes to its end undisturbed by kills.
        while history.look(|facts| facts.open() + facts.open_jobs() + facts.open_holds()) > 0 {
            sleep(LOOK).await;
        }
        anyhow::Ok(())
    };
    tokio::select! {
        ended = acts => ended,
        () = standstill(plan, history) => Ok(()),
    }
}

/// Returns once nothing has ended for as long as the plan is patient, or its time is over.
async fn standstill(plan: &Plan, history: &History) {
    let began = Instant::now();
    let (mut ends, mut since) = (0, began);
    while since.elapsed() < plan.patience && began.elapsed() < plan.limit {
        let now = history.look(|facts| facts.ends());
        if now != ends {
            (ends, since) = (now, Instant::now());
        }
        sleep(Duration::from_millis(200)).await;
    }
}

/// Asks for executions until enough are acknowledged, as many at a time as the window holds.
async fn start_all(plan: &Plan, stage: &Stage, starter: &Store) -> anyhow::Result<()> {
    let history = &stage.history;
    let (mut number, mut acknowledged) = (0, 0);
    while acknowledged < plan.executions {
        if history.look(|facts| facts.open_asked_for()) >= plan.window {
            sleep(LOOK).await;
            continue;
        }
        number += 1;
        if start(plan, stage, starter, number).await? {
            history.acknowledged(number);
            acknowledged += 1;
        }
    }
    Ok(())
}

/// Asks for one execution. Whether the store acknowledged it.
async fn start(plan: &Plan, stage: &Stage, store: &Store, number: u64) -> anyhow::Result<bool> {
    let script = Script::of(plan.seed, number);
    let office = stage.office_of(number, &script)?;
    let agent = &office.agent;
    let tenant = Tenant::authorised(agent.org);
    let now = store.now();
    let task = script.has_task.then(|| TaskId::generate(now));
    let run = NewRun::new(store, &cause(), agent, script.input(), task);
    let run = if script.in_bulk { run.in_bulk() } else { run };
    let run = if script.in_swarm {
        run.for_swarm(&office.swarm)
    } else {
        run
    };
    let run = if script.expires {
        run.within(Duration::from_secs(HASTY_SECONDS))
    } else {
        run
    };
    stage.history.run(RunFacts {
        number,
        org: agent.org,
        execution: run.execution().id,
        job: run.execution().job,
        task,
        acknowledged: false,
        ended: None,
        pauses: Vec::new(),
    });
    let Some(id) = task else {
        return Ok(store.executions(tenant).queue(&cause(), &run).await.is_ok());
    };
    let task: Task = serde_json::from_value(json!({
        "id": id, "org": agent.org, "title": format!("Task of run {number}"),
        "status": "in_progress", "priority": "normal", "auto_run": true,
        "assignee": { "kind": "agent", "id": agent.id }, "execution": run.execution().id,
        "created_by": cause().actor, "created_at": now, "updated_at": now, "version": 1,
    }))?;
    let created = store
        .tasks(tenant)
        .create(&cause(), &task, Some(&run))
        .await;
    Ok(created.is_ok())
}

/// Kills workers at moments that the seed chooses, in the progress of the whole and in time.
async fn kill_all(plan: &Plan, history: &History, fleet: &mut Fleet) -> anyhow::Result<()> {
    let mut draw = sequence(plan.seed, "kills", 0);
    let mut moments: Vec<(f64, Duration)> = (0..plan.kills)
        .map(|_| {
            let progress = draw.random_range(0.0..plan.killing_ends);
            let pause = Duration::from_millis(draw.random_range(0..400));
            (progress, pause)
        })
        .collect();
    moments.sort_by(|one, other| one.0.total_cmp(&other.0));
    for (progress, pause) in moments {
        let ended = || history.look(|facts| facts.ended());
        while (ended() as f64) < progress * plan.executions as f64 {
            sleep(LOOK).await;
        }
        sleep(pause).await;
        fleet.kill_one().await?;
    }
    Ok(())
}

async fn sweep(store: Store) {
    let mut ticks = interval(SWEEP_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        // What a sweep did not reach comes first in the next.
        let _ = sweeper::sweep(&store, store.now()).await;
    }
}
