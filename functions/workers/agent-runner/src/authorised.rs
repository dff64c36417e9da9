//! `tool.authorised`: runs that waited for the credential of a tool go on.

use domain::event::Actor;
use domain::execution::ExecutionState;
use kernel::cursor::PageRequest;
use store::executions::AuthorisedPayload;
use store::{Cause, Error, Store, Tenant};
use work::{Attempt, Outcome};

/// How many runs are let go on between two looks at the time.
const AT_ONCE: u32 = 25;

/// Lets all runs go on that wait for the credential of a tool. One whose service still refuses it
/// waits again.
pub(crate) async fn authorised(store: &Store, attempt: &Attempt) -> Outcome {
    let tool = match attempt.payload::<AuthorisedPayload>() {
        Ok(payload) => payload.tool,
        Err(outcome) => return outcome,
    };
    let executions = store.executions(Tenant::authorised(attempt.job.org));
    let cause = Cause {
        actor: Actor::System,
        correlation_id: attempt.job.correlation_id.clone(),
    };
    let mut page = PageRequest::first(AT_ONCE);
    let resumed: Result<Outcome, Error> = async {
        loop {
            let waiting = executions.awaiting_auth(tool, &page).await?;
            for execution in &waiting.items {
                let state = ExecutionState::AwaitingAuth;
                executions.release(&cause, execution, state).await?;
            }
            let Some(next) = waiting.next else {
                return Ok(Outcome::done());
            };
            if attempt.budget.should_yield() {
                return Ok(Outcome::Yield);
            }
            page = PageRequest {
                limit: AT_ONCE,
                after: Some(next),
            };
        }
    }
    .await;
    resumed.unwrap_or_else(|error| Outcome::retry("store_unavailable", store::explain(&error)))
}
