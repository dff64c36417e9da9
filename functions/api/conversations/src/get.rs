use api::{Owned, Problems, Read, Versioned};
use domain::conversation::Conversation;
use kernel::ConversationId;

/// A conversation as it stands: its open turn, those that wait, and what the next is told of.
#[utoipa::path(
    get, path = "/v1/conversations/{conversation_id}", tag = "conversations",
    operation_id = "get_conversation",
    params(("conversation_id" = ConversationId, Path)),
    security(("bearer" = ["executions:read"])),
    responses((status = 200, body = Conversation), Problems),
)]
pub(crate) async fn get(conversation: Owned<Conversation, Read>) -> Versioned<Conversation> {
    Versioned::new(conversation.version, conversation.item)
}
