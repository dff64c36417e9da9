//! One world, from its first job to its judgement.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use kernel::{Clock as _, JobId, OrgId};
use serde_json::json;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use work::{
    Bell as _, Control, Delivery, Job, JobState, Lane, NewJob, Runner, RunnerConfig, Sweeper,
    SweeperConfig,
};

use super::script::{Ending, KIND, Script, ScriptedHandler, Scripts};
use crate::world::bell::{Message, SimBell};
use crate::world::chaos::Chaos;
use crate::world::clock::SimClock;
use crate::world::store::{Sabotage, SimStore, Tally};
use crate::world::{Dice, Faults, lock};

/// How far the clock of a worker may be off, either way.
const CLOCK_OFF_MILLIS: u64 = 1_500;
/// How long a parked job waits for an approval that does not wake it: longer than a world lasts.
pub const PARKED_FOR: Duration = Duration::from_secs(3 * 3_600);
/// How long after the faults every job must have ended.
const RECOVERY: Duration = Duration::from_secs(45 * 60);
const MAX_RECEIVES: u32 = 5;

#[derive(Clone)]
struct World {
    dice: Dice,
    clock: SimClock,
    faults: Faults,
    store: SimStore,
    bell: SimBell,
    runners: Vec<Arc<Runner>>,
    scripts: Scripts,
    incidents: Arc<Mutex<Incidents>>,
}

/// Misfortunes of workers, to show that a run was not a calm one.
#[derive(Debug, Clone, Copy, Default)]
pub struct Incidents {
    pub crashes: u64,
    pub freezes: u64,
    pub kills: u64,
    pub redelivered: u64,
}

pub struct Verdict {
    pub violations: Vec<String>,
    pub tally: Tally,
    pub incidents: Incidents,
    pub history: Vec<String>,
}

pub fn simulate(seed: u64, sabotage: Sabotage, keep_history: bool) -> Verdict {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime")
        .block_on(live(seed, sabotage, keep_history))
}

async fn live(seed: u64, sabotage: Sabotage, keep_history: bool) -> Verdict {
    let (world, rings) = World::new(seed, sabotage, keep_history);
    let jobs = world.make_jobs();
    tokio::spawn(world.clone().dispatch(rings));
    if sabotage != Sabotage::NobodySweeps {
        tokio::spawn(world.clone().sweep());
    }
    for job in &jobs {
        tokio::spawn(world.clone().begin(job.clone()));
        tokio::spawn(world.clone().meddle(job.id));
    }

    tokio::time::sleep(world.dice.millis(120_000, 300_000)).await;
    world.store.heal();
    let healed = tokio::time::Instant::now();
    while !world.all_ended(&jobs) && healed.elapsed() < RECOVERY {
        tokio::time::sleep(Duration::from_secs(10)).await;
    }
    // Requests that are late and workers that stand still have their say after the end, too.
    tokio::time::sleep(Duration::from_secs(200)).await;
    world.judge(&jobs)
}

impl World {
    fn new(
        seed: u64,
        sabotage: Sabotage,
        keep_history: bool,
    ) -> (Self, UnboundedReceiver<Message>) {
        let dice = Dice::new(seed);
        let clock = SimClock::start();
        let faults = Faults::ALL;
        let skew = Duration::from_millis(2 * CLOCK_OFF_MILLIS);
        let store = SimStore::new(dice.clone(), clock, skew, faults, sabotage);
        store.read(|rows| rows.log = keep_history.then(Vec::new));
        let (out, rings) = unbounded_channel();
        let bell = SimBell::new(store.clone(), dice.clone(), faults, out);
        let scripts = Scripts::default();
        let handler = Arc::new(ScriptedHandler {
            store: store.clone(),
            dice: dice.clone(),
            clock,
            scripts: Arc::clone(&scripts),
        });
        let runners = (0..3)
            .map(|_| {
                let runner = Runner::new(
                    Arc::new(store.clone()),
                    Arc::new(bell.clone()),
                    Arc::new(clock.off_by(off(&dice))),
                    RunnerConfig::default(),
                );
                Arc::new(runner.handler(handler.clone()).seed(dice.seed()))
            })
            .collect();
        let world = Self {
            dice,
            clock,
            faults,
            store,
            bell,
            runners,
            scripts,
            incidents: Arc::default(),
        };
        (world, rings)
    }

    fn make_jobs(&self) -> Vec<Job> {
        let now = self.clock.now();
        (1..=self.dice.between(2, 4))
            .map(|number| {
                let id = JobId::from_u128(u128::from(number));
                let ending = match self.dice.between(0, 9) {
                    0 => Ending::Fail,
                    1 => Ending::Reject,
                    2 => Ending::Panic,
                    3 => Ending::KillWorker,
                    _ => Ending::Done,
                };
                let steps = self.dice.between(1, 5) as usize;
                let script = Script {
                    steps,
                    ending,
                    approval_before: self
                        .dice
                        .chance(0.3)
                        .then(|| self.dice.between(0, steps as u64 - 1) as usize),
                };
                lock(&self.scripts).insert(id, script);
                NewJob::new(
                    OrgId::from_u128(1),
                    KIND,
                    Lane::Files,
                    json!({ "number": number }),
                )
                .id(id)
                .delay(self.dice.millis(0, 60_000))
                .max_attempts(self.dice.between(1, 5) as u32)
                .build(now)
            })
            .collect()
    }

    /// The commit that makes the job, and the ring after it, unless the process dies in between.
    async fn begin(self, job: Job) {
        let now = self.clock.now();
        self.store.insert(job.clone());
        if !self.dice.chance(self.faults.crash)
            && let Some(delay) = job.ring_delay(now)
        {
            // A failed ring is what the sweeper is for.
            let _ = self.bell.ring(&job.doorbell(), delay).await;
        }
    }

    /// What people do to a job meanwhile.
    async fn meddle(self, id: JobId) {
        let org = OrgId::from_u128(1);
        let control = Control::new(
            Arc::new(self.store.clone()),
            Arc::new(self.bell.clone()),
            Arc::new(self.clock.off_by(off(&self.dice))),
        );
        let cancels = self.dice.chance(0.2);
        let redrives = self.dice.chance(0.6);
        tokio::time::sleep(self.dice.millis(0, 200_000)).await;
        self.store.approve(id);
        // Whoever approves goes on until the wake is acknowledged or refused for good.
        while let Err(error) = control.wake(org, id).await {
            if matches!(error, work::ControlError::Illegal(_)) {
                break;
            }
        }
        if cancels {
            // The answer does not matter: what was written is audited.
            let _ = control.cancel(org, id).await;
        }
        for _ in 0..20 {
            tokio::time::sleep(self.dice.millis(1_000, 60_000)).await;
            if redrives && self.store.job(id).state == JobState::Dead {
                if let Some(script) = lock(&self.scripts).get_mut(&id) {
                    script.ending = Ending::Done;
                }
                let _ = control.redrive(org, id).await;
            }
        }
    }

    async fn sweep(self) {
        let sweeper = Sweeper::new(
            Arc::new(self.store.clone()),
            Arc::new(self.bell.clone()),
            Arc::new(self.clock.off_by(off(&self.dice))),
            SweeperConfig {
                page: 2,
                ..SweeperConfig::default()
            },
        );
        let sweeper = Arc::new(sweeper);
        loop {
            tokio::time::sleep(Duration::from_secs(60)).await;
            let at_once = if self.dice.chance(0.1) { 2 } else { 1 };
            for _ in 0..at_once {
                let sweeper = Arc::clone(&sweeper);
                let now = self.clock.now();
                let crash_at = self.crash_point();
                let sweep = async move { sweeper.sweep(now).await };
                tokio::spawn(Chaos::new(sweep, crash_at, None));
            }
        }
    }

    async fn dispatch(self, mut rings: UnboundedReceiver<Message>) {
        while let Some(message) = rings.recv().await {
            let mut batch = vec![message];
            while batch.len() < 3
                && let Ok(another) = rings.try_recv()
            {
                batch.push(another);
            }
            tokio::spawn(self.clone().invoke(batch));
        }
    }

    /// One invocation of a worker: it ends, dies, stands still, or is killed at its deadline.
    async fn invoke(self, batch: Vec<Message>) {
        let runner = &self.runners[self.dice.between(0, 2) as usize];
        let time = self.dice.millis(24_000, 180_000);
        let deadline = self.clock.now().plus(time);
        let freeze_at =
            (!self.store.is_healed() && self.dice.chance(self.faults.freeze)).then(|| {
                let pause = self.dice.millis(20_000, 120_000);
                (self.dice.between(1, 30), pause)
            });
        let crash_at = self.crash_point();
        let rings = batch
            .iter()
            .enumerate()
            .map(|(index, message)| (index, message.doorbell()))
            .collect::<Vec<_>>();
        let run = Chaos::new(runner.run_batch(rings, deadline), crash_at, freeze_at);
        // One that stood still is let go on: it is the stale writer.
        let limit = if freeze_at.is_some() {
            time * 20
        } else if !self.store.is_healed() && self.dice.chance(self.faults.kill) {
            self.dice.millis(0, 60_000)
        } else {
            time + Duration::from_millis(2 * CLOCK_OFF_MILLIS)
        };
        let ended = tokio::time::timeout(limit, run).await;
        {
            let mut incidents = lock(&self.incidents);
            incidents.freezes += u64::from(freeze_at.is_some());
            incidents.crashes += u64::from(matches!(ended, Ok(None)));
            incidents.kills += u64::from(ended.is_err());
        }
        let answers = ended.ok().flatten();
        for (index, message) in batch.into_iter().enumerate() {
            let answered = answers
                .as_ref()
                .is_some_and(|answers| answers[index].1 == Delivery::Acknowledge);
            if !answered && message.receives + 1 < MAX_RECEIVES {
                lock(&self.incidents).redelivered += 1;
                let message = Message {
                    receives: message.receives + 1,
                    ..message
                };
                self.bell
                    .deliver_after(self.dice.millis(30_000, 120_000), message);
            }
        }
    }

    fn crash_point(&self) -> Option<u64> {
        let crashes = !self.store.is_healed() && self.dice.chance(self.faults.crash);
        crashes.then(|| self.dice.between(1, 40))
    }

    fn all_ended(&self, jobs: &[Job]) -> bool {
        self.store.read(|rows| {
            jobs.iter()
                .all(|job| rows.jobs[&job.id].state.is_terminal())
        })
    }

    fn judge(&self, jobs: &[Job]) -> Verdict {
        let scripts = lock(&self.scripts);
        self.store.read(|rows| {
            let mut violations = std::mem::take(&mut rows.violations);
            for job in jobs {
                let job = &rows.jobs[&job.id];
                let ledger = &rows.ledgers[&job.id];
                let steps = scripts[&job.id].steps;
                let done = ledger.effects.len();
                let mut complain = |what: String| violations.push(format!("{}: {what}", job.id));
                if !job.state.is_terminal() {
                    complain(format!("lost while {}", job.state));
                }
                if done > steps {
                    complain(format!("a step was done twice: {done} of {steps}"));
                }
                if job.state == JobState::Done && done != steps {
                    complain(format!("done with {done} of {steps} steps"));
                }
                if job.state == JobState::Done && job.result != Some(json!({ "steps": steps })) {
                    complain(format!("another result: {:?}", job.result));
                }
                if !ledger.effects.is_sorted() {
                    complain("an older attempt wrote after a newer one".to_owned());
                }
                let bound = u64::from(job.max_attempts) * (ledger.renewed + 1);
                if ledger.granted > bound {
                    complain(format!("{} attempts, allowed {bound}", ledger.granted));
                }
            }
            Verdict {
                violations,
                tally: rows.tally,
                incidents: *lock(&self.incidents),
                history: rows.log.take().unwrap_or_default(),
            }
        })
    }
}

fn off(dice: &Dice) -> i64 {
    dice.between(0, 2 * CLOCK_OFF_MILLIS) as i64 - CLOCK_OFF_MILLIS as i64
}
