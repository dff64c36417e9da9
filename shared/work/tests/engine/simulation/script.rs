//! What the simulated jobs do.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, Once};
use std::time::Duration;

use async_trait::async_trait;
use kernel::{Clock as _, JobId};
use serde_json::json;
use work::{Attempt, Handler, Outcome};

use super::life::PARKED_FOR;
use crate::world::clock::SimClock;
use crate::world::store::SimStore;
use crate::world::{Dice, lock};

/// The kind of every simulated job.
pub const KIND: &str = "simulated";

const EXPECTED_PANIC: &str = "simulated panic";

/// How a job means to end once its steps are done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    Done,
    Fail,
    Reject,
    Panic,
    /// Never comes back: each worker is killed at its deadline or stopped shortly before.
    KillWorker,
}

#[derive(Debug, Clone, Copy)]
pub struct Script {
    pub steps: usize,
    pub ending: Ending,
    /// The step that waits for an approval.
    pub approval_before: Option<usize>,
}

pub type Scripts = Arc<Mutex<BTreeMap<JobId, Script>>>;

pub struct ScriptedHandler {
    pub store: SimStore,
    pub dice: Dice,
    pub clock: SimClock,
    pub scripts: Scripts,
}

#[async_trait]
impl Handler for ScriptedHandler {
    fn kinds(&self) -> &[&'static str] {
        &[KIND]
    }

    async fn run(&self, attempt: Attempt) -> Outcome {
        let id = attempt.job.id;
        let script = lock(&self.scripts)[&id];
        let Ok(done) = self.store.steps(id).await else {
            return Outcome::retry("unavailable", "steps not read");
        };
        for step in done..script.steps {
            if let Some(outcome) = self.before_step(&attempt, &script, step).await {
                return outcome;
            }
            let append = self.store.append(attempt.fence);
            match tokio::time::timeout(Duration::from_secs(10), append).await {
                Ok(Ok(true)) => {}
                // The row knows better by now; whatever is returned is refused.
                Ok(Ok(false)) => return Outcome::retry("fence_lost", "a step was refused"),
                // Done or not: only the next attempt can tell. To write again would be the bug.
                Ok(Err(_)) | Err(_) => return Outcome::retry("unavailable", "a step is in doubt"),
            }
            attempt
                .progress
                .report(step as u64 + 1, Some(script.steps as u64), "steps");
        }
        match script.ending {
            Ending::Done => Outcome::done_with(json!({ "steps": script.steps })),
            Ending::Fail => Outcome::fail("scripted", "this job fails"),
            Ending::Reject => Outcome::reject("scripted", "this job is not understood"),
            Ending::Panic => panic!("{EXPECTED_PANIC}"),
            Ending::KillWorker => std::future::pending().await,
        }
    }
}

impl ScriptedHandler {
    async fn before_step(
        &self,
        attempt: &Attempt,
        script: &Script,
        step: usize,
    ) -> Option<Outcome> {
        let wild = !self.store.is_healed();
        if attempt.cancel.is_cancelled() && !(wild && self.dice.chance(0.2)) {
            return Some(Outcome::Cancelled);
        }
        if attempt.budget.should_yield() && !(wild && self.dice.chance(0.2)) {
            return Some(Outcome::Yield);
        }
        if script.approval_before == Some(step) {
            match self.store.approved(attempt.job.id).await {
                Ok(true) => {}
                Ok(false) => {
                    // Time between looking and parking: the approval may come right here.
                    tokio::time::sleep(self.dice.millis(0, 10_000)).await;
                    let until = self.clock.now().plus(PARKED_FOR);
                    return Some(Outcome::Park { until });
                }
                Err(_) => return Some(Outcome::retry("unavailable", "approval not read")),
            }
        }
        if wild {
            match self.dice.between(0, 99) {
                0..3 => panic!("{EXPECTED_PANIC}"),
                3..7 => return Some(Outcome::retry("flaky", "bad luck")),
                7..12 => return Some(Outcome::Yield),
                12..16 => {
                    let until = self.clock.now().plus(self.dice.millis(0, 90_000));
                    return Some(Outcome::Park { until });
                }
                16..18 => std::future::pending::<()>().await,
                _ => {}
            }
        }
        let most = if self.dice.chance(0.2) { 40_000 } else { 3_000 };
        tokio::time::sleep(self.dice.millis(0, most)).await;
        None
    }
}

/// Keeps panics that belong to the script off the screen.
pub fn silence_expected_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let others = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if info.payload_as_str() != Some(EXPECTED_PANIC) {
                others(info);
            }
        }));
    });
}
