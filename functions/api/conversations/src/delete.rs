use api::{IfMatch, Owned, Problem, Problems, Write};
use axum::extract::State;
use domain::conversation::Conversation;
use http::StatusCode;
use kernel::ConversationId;

/// Delete a conversation. Its executions stay. Refused while a turn is open or waits.
#[utoipa::path(
    delete, path = "/v1/conversations/{conversation_id}", tag = "conversations",
    operation_id = "delete_conversation",
    params(
        ("conversation_id" = ConversationId, Path),
        ("If-Match" = Option<String>, Header, description = "The ETag that the change is based on."),
    ),
    security(("bearer" = ["executions:write"])),
    responses((status = 204), Problems),
)]
pub(crate) async fn delete(
    State(app): State<api::App>,
    conversation: Owned<Conversation, Write>,
    if_match: IfMatch,
) -> Result<StatusCode, Problem> {
    if_match.check(conversation.version, "conversation")?;
    if conversation.is_busy() {
        return Err(Problem::conflict(
            "conversation_open",
            "A turn of the conversation is open or waits. Cancel it first, or wait for its end.",
        ));
    }
    let caller = &conversation.caller;
    app.store()
        .conversations(caller.tenant())
        .delete(&caller.cause(), &conversation.item)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}
