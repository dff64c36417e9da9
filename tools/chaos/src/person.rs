//! Who answers what people are asked: a call was interrupted, and nobody knows whether it happened.
//! The person looks it up where the call was to arrive, as one would by the idempotency key.

use std::sync::Arc;
use std::time::Duration;

use domain::agent::Agent;
use domain::approval::{
    AnsweredVia, Approval, ApprovalAnswer, ApprovalState, ApprovalSubject, Decision,
};
use kernel::cursor::PageRequest;
use rand::Rng as _;
use store::{Store, Tenant};
use tokio::time::sleep;

use crate::history::{EffectKey, History};
use crate::script::Script;
use crate::seeds::sequence;
use crate::stage::cause;

/// How often the person looks.
const LOOK: Duration = Duration::from_millis(500);
/// How often a call that did not happen is to be given up instead of made again.
const GIVEN_UP: f64 = 0.3;
const PAGE: u32 = 100;

/// Answers, for as long as it is polled.
pub(crate) async fn answer_all(seed: u64, store: Store, agents: Vec<Agent>, history: Arc<History>) {
    loop {
        sleep(LOOK).await;
        for agent in &agents {
            let approvals = store.approvals(Tenant::authorised(agent.org));
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
