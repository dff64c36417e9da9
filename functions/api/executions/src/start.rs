//! Starting an execution, by itself or as a turn of a conversation.

use api::{App, Caller, Problem};
use domain::agent::Agent;
use domain::conversation::OnBusy;
use domain::execution::Execution;
use kernel::ConversationId;
use store::conversations::NewTurn;
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
    let turn = NewTurn {
        run: &run,
        viewer: caller.viewer(),
        on_busy,
        revises: None,
    };
    let conversations = store.conversations(caller.tenant());
    Ok(conversations
        .begin_turn(&cause, conversation, &turn)
        .await?)
}
