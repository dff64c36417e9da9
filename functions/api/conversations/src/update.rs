use api::{IfMatch, Json, Owned, Problem, Problems, Versioned, Write};
use axum::extract::State;
use domain::conversation::{Conversation, OnBusy};
use garde::Validate;
use kernel::ConversationId;
use serde::Deserialize;
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
}

/// Change the title of a conversation, or what new turns do while another is open.
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
    let title = changes.title.unwrap_or_else(|| current.title.clone());
    let on_busy = changes.on_busy.unwrap_or(current.on_busy);
    let caller = &conversation.caller;
    let conversations = app.store().conversations(caller.tenant());
    let updated = conversations
        .update(&caller.cause(), current, title, on_busy)
        .await?;
    Ok(Versioned::new(updated.version, updated))
}
