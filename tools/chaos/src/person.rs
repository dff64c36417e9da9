//! Who answers what people are asked: a call was interrupted, and nobody knows whether it happened.
//! The person looks it up where the call was to arrive, as one would by the idempotency key.
//!
//! And who pauses runs, and resumes them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use domain::approval::{
    AnsweredVia, Approval, ApprovalAnswer, ApprovalState, ApprovalSubject, Decision,
};
use domain::execution::ExecutionState;
use kernel::OrgId;
use kernel::cursor::PageRequest;
use rand::Rng as _;
use store::{Error, Store, Tenant};
use tokio::time::{Instant, sleep};

use crate::history::{EffectKey, History, RunFacts};
use crate::script::Script;
use crate::seeds::sequence;
use crate::stage::cause;

/// How often the person looks.
const LOOK: Duration = Duration::from_millis(500);
/// How often a call that did not happen is to be given up instead of made again.
const GIVEN_UP: f64 = 0.3;
const PAGE: u32 = 100;
/// How often the person thinks of pausing, and how often one run is paused at most.
const PAUSES: Duration = Duration::from_millis(100);
const MOST_PAUSES: u32 = 2;

/// Answers, for as long as it is polled.
pub(crate) async fn answer_all(seed: u64, store: Store, orgs: Vec<OrgId>, history: Arc<History>) {
    loop {
        sleep(LOOK).await;
        for org in &orgs {
            let approvals = store.approvals(Tenant::authorised(*org));
            let page = PageRequest::first(PAGE);
            // What is not answered now is answered when the person looks again.
            let Ok(page) = approvals.page(Some(ApprovalState::Pending), &page).await else {
                continue;
            };
            for approval in &page.items {
                if let Some(answer) = answer(seed, &store, approval, &history) {
                    let _ = approvals.answer(&cause(), approval, answer, None).await;
                }
            }
        }
    }
}

/// Pauses runs whose script says so, or all of them, and resumes them, for as long as it is polled.
pub(crate) async fn pause_some(seed: u64, all: bool, store: Store, history: Arc<History>) {
    let mut left: BTreeMap<u64, u32> = BTreeMap::new();
    let mut resting: Vec<(Instant, RunFacts)> = Vec::new();
    let mut draw = sequence(seed, "pauses", 0);
    loop {
        sleep(PAUSES).await;
        let now = Instant::now();
        let (due, not_yet): (Vec<_>, Vec<_>) =
            resting.into_iter().partition(|(until, _)| *until <= now);
        resting = not_yet;
        for (_, run) in due {
            if resume(&store, &history, &run).await.is_err() {
                resting.push((now, run));
            }
        }
        let runs: Vec<RunFacts> = history.look(|facts| {
            let open = |run: &&RunFacts| run.acknowledged && run.ended.is_none();
            let runs = facts.runs.values().filter(open);
            runs.filter(|run| run.is_asked_for()).cloned().collect()
        });
        for run in runs {
            let script = Script::of(seed, run.number);
            let left = left.entry(run.number).or_insert(MOST_PAUSES);
            let may = (all || script.is_paused) && !script.expires && *left > 0;
            let rests = resting.iter().any(|(_, one)| one.number == run.number);
            if !may || rests || draw.random_bool(0.5) {
                continue;
            }
            *left -= 1;
            // Whatever the answer is, it may be paused.
            pause(&store, &history, &run).await;
            let rest = Duration::from_millis(draw.random_range(200..1_500));
            resting.push((Instant::now() + rest, run));
        }
    }
}

async fn pause(store: &Store, history: &History, run: &RunFacts) {
    let executions = store.executions(Tenant::authorised(run.org));
    let Ok(Some(current)) = executions.get(run.execution).await else {
        return;
    };
    let paused = executions.pause(&cause(), &current).await;
    if paused.is_ok_and(|run| run.state == ExecutionState::Paused) {
        history.paused(run.number);
    }
}

async fn resume(store: &Store, history: &History, run: &RunFacts) -> Result<(), Error> {
    let executions = store.executions(Tenant::authorised(run.org));
    if let Some(current) = executions.get(run.execution).await?
        && current.state == ExecutionState::Paused
    {
        history.resuming(run.number);
        executions.resume(&cause(), &current).await?;
    }
    history.resuming(run.number);
    Ok(())
}

/// The person says what is true: that the call happened, with its result, or that it did not, and
/// then whether it shall.
fn answer(
    seed: u64,
    store: &Store,
    approval: &Approval,
    history: &History,
) -> Option<ApprovalAnswer> {
    if !matches!(approval.subject, ApprovalSubject::UnknownOutcome { .. }) {
        return None;
    }
    let key = EffectKey {
        execution: approval.execution,
        step: approval.step,
        call: approval.call,
    };
    let (number, happened) = history.look(|facts| {
        let effect = facts.effects.get(&key);
        let happened = effect.is_some_and(|effect| !effect.calls.is_empty());
        (facts.number_of(key.execution), happened)
    });
    let script = Script::of(seed, number?);
    let call = script.call(key.step, key.call)?;
    let place = u64::from(key.step) * 100 + u64::from(key.call);
    let gives_up = sequence(seed, &call.item, place).random_bool(GIVEN_UP);
    let (decision, text) = match (happened, gives_up) {
        (true, _) => (Decision::Succeeded, Some(call.value(seed))),
        (false, true) => (Decision::Reject, None),
        (false, false) => (Decision::Retry, None),
    };
    Some(ApprovalAnswer {
        decision,
        by: cause().actor,
        via: AnsweredVia::Api,
        reason: None,
        arguments: None,
        text,
        at: store.now(),
    })
}
