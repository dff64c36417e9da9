use api::{IfMatch, Json, Owned, Problem, Problems, Versioned, Write};
use axum::extract::State;
use domain::conversation::{Conversation, ConversationTurn, OnBusy, Place};
use garde::Validate;
use kernel::ConversationId;
use serde::Deserialize;
use store::conversations::Conversations;
use utoipa::ToSchema;

/// Changes to a conversation. What is absent stays as it is.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConversationChanges {
    #[garde(inner(custom(api::text::name)))]
    #[schema(min_length = 1, max_length = 200, example = "The gearbox of press 4")]
    title: Option<String>,
    /// For turns that are begun from now on.
    #[garde(skip)]
    on_busy: Option<OnBusy>,
    /// The turn that the next one is to follow, which makes its branch the current one.
    #[garde(range(min = 1))]
    #[schema(minimum = 1)]
    leaf: Option<u32>,
}

/// Change the title of a conversation, or what new turns do while another is open, or go to another
/// of its branches: that, not while a turn is open or waits.
#[utoipa::path(
    patch, path = "/v1/conversations/{conversation_id}", tag = "conversations",
    operation_id = "update_conversation",
    params(
        ("conversation_id" = ConversationId, Path),
        ("If-Match" = Option<String>, Header, description = "The ETag that the change is based on."),
    ),
    request_body = ConversationChanges,
    security(("bearer" = ["executions:write"])),
    responses((status = 200, body = Conversation), Problems),
)]
pub(crate) async fn update(
    State(app): State<api::App>,
    conversation: Owned<Conversation, Write>,
    if_match: IfMatch,
    Json(changes): Json<ConversationChanges>,
) -> Result<Versioned<Conversation>, Problem> {
    if_match.check(conversation.version, "conversation")?;
    let current = &conversation.item;
    let caller = &conversation.caller;
    let conversations = app.store().conversations(caller.tenant());
    let leaf = match changes.leaf {
        Some(turn) => Some(branch_of(&conversations, current, turn).await?),
        None => None,
    };
    let to = store::conversations::ConversationChanges {
        title: changes.title,
        on_busy: changes.on_busy,
        leaf,
    };
    let updated = conversations.update(&caller.cause(), current, to).await?;
    Ok(Versioned::new(updated.version, updated))
}

/// The turn to go to, and its place.
async fn branch_of(
    conversations: &Conversations<'_>,
    current: &Conversation,
    turn: u32,
) -> Result<(ConversationTurn, Place), Problem> {
    if current.is_busy() {
        return Err(Problem::conflict(
            "conversation_open",
            "A turn of the conversation is open or waits. Stop it first, or wait for its end.",
        ));
    }
    conversations
        .turn(current.id, turn)
        .await?
        .filter(|row| !row.rolled_back)
        .and_then(|row| row.place.clone().map(|place| (row, place)))
        .ok_or_else(|| {
            Problem::invalid_field("/leaf", "is not a turn of this conversation that was open")
        })
}
