//! `conversation.remove`: the rows of the turns of a conversation that was deleted.

use store::conversations::RemovePayload;
use store::{Store, Tenant};
use work::{Attempt, Outcome};

/// Removes them, some at a time.
pub(crate) async fn remove(store: &Store, attempt: &Attempt) -> Outcome {
    let conversation = match attempt.payload::<RemovePayload>() {
        Ok(payload) => payload.conversation,
        Err(outcome) => return outcome,
    };
    let conversations = store.conversations(Tenant::authorised(attempt.job.org));
    loop {
        match conversations.remove_turns(conversation).await {
            Ok(true) if attempt.budget.should_yield() => return Outcome::Yield,
            Ok(true) => {}
            Ok(false) => return Outcome::done(),
            Err(error) => {
                return Outcome::retry("store_unavailable", store::explain(&error));
            }
        }
    }
}
