//! Starting an execution, by itself or as a turn of a conversation.

use api::{App, Caller, Problem};
use domain::agent::Agent;
use domain::conversation::OnBusy;
use domain::execution::Execution;
use kernel::ConversationId;
use store::conversations::TurnRefused;
use store::executions::NewRun;

/// Queues a run of `agent`.
pub(crate) async fn start(
    app: &App,
    caller: &Caller,
    agent: &Agent,
    input: String,
    conversation: Option<ConversationId>,
    on_busy: Option<OnBusy>,
) -> Result<Execution, Problem> {
    let store = app.store();
    let cause = caller.cause();
    let run = NewRun::new(store, &cause, agent, input, None);
    let Some(conversation) = conversation else {
        if on_busy.is_some() {
            return Err(Problem::invalid_field(
                "/on_busy",
                "is for turns of a conversation: give `conversation_id`",
            ));
        }
        let executions = store.executions(caller.tenant());
        executions.queue(&cause, &run).await?;
        return Ok(run.execution().clone());
    };
    store
        .conversations(caller.tenant())
        .begin_turn(&cause, conversation, &run, on_busy)
        .await
        .map_err(refused)
}

fn refused(refused: TurnRefused) -> Problem {
    match refused {
        TurnRefused::Missing => Problem::invalid_field(
            "/conversation_id",
            "is not a conversation of this organization",
        ),
        TurnRefused::OtherAgent => {
            Problem::invalid_field("/conversation_id", "is a conversation with another agent")
        }
        TurnRefused::Busy(open) => Problem::conflict(
            "conversation_busy",
            format!("Execution {open} is under way in the conversation."),
        ),
        TurnRefused::Full => Problem::conflict("conversation_full", format!("{refused}.")),
        TurnRefused::Store(error) => error.into(),
    }
}
