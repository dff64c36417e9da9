use api::{Owned, Problem, Problems, Versioned, Write};
use axum::extract::State;
use domain::conversation::Conversation;
use kernel::ConversationId;

/// Stop the turn that is open, if one is: its execution is cancelled, and what the agent has said so
/// far stays part of the conversation. Idempotent. A turn that waits is open next.
#[utoipa::path(
    post, path = "/v1/conversations/{conversation_id}/stop", tag = "conversations",
    operation_id = "stop_conversation",
    params(("conversation_id" = ConversationId, Path)),
    security(("bearer" = ["executions:write"])),
    responses((status = 200, body = Conversation), Problems),
)]
pub(crate) async fn stop(
    State(app): State<api::App>,
    conversation: Owned<Conversation, Write>,
) -> Result<Versioned<Conversation>, Problem> {
    let caller = &conversation.caller;
    let executions = app.store().executions(caller.tenant());
    if let Some(active) = conversation.active
        && let Some(open) = executions.get(active).await?
    {
        executions.cancel(&caller.cause(), &open).await?;
    }
    let conversations = app.store().conversations(caller.tenant());
    let now = conversations
        .get(conversation.id)
        .await?
        .ok_or_else(|| Problem::not_found("conversation"))?;
    Ok(Versioned::new(now.version, now))
}
