use api::{Listing, Owned, PageQuery, Paging, Problem, Problems, Query, Read};
use axum::Json;
use axum::extract::State;
use domain::conversation::{Conversation, ConversationTurn};
use domain::execution::{Execution, ExecutionState, Failure};
use kernel::cursor::Page;
use kernel::{ConversationId, ExecutionId, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

/// A turn of a conversation: what was asked, and what came of it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ConversationTurn)]
pub(crate) struct TurnView {
    /// From 1, in the order in which the turns were asked for.
    turn: u32,
    /// The execution that is the turn.
    execution: ExecutionId,
    state: ExecutionState,
    input: String,
    /// What the agent answered, once completed.
    #[serde(skip_serializing_if = "Option::is_none")]
    answer: Option<String>,
    /// What the agent had said when the turn was cut short.
    #[serde(skip_serializing_if = "Option::is_none")]
    said: Option<String>,
    /// Why there is no answer, once failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<Failure>,
    /// Whether a newer turn took it back; later ones are not told of it.
    rolled_back: bool,
    /// The turn whose message was edited or asked again.
    #[serde(skip_serializing_if = "Option::is_none")]
    revises: Option<u32>,
    /// The turn that it follows; absent at the beginning, and while it waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<u32>,
    /// The turns that follow it, one for each branch.
    next: Vec<u32>,
    created_at: Timestamp,
}

impl TurnView {
    fn new(turn: ConversationTurn, execution: Execution, said: Option<String>) -> Self {
        Self {
            said,
            revises: turn.revises,
            after: turn.place.and_then(|place| place.after),
            next: turn.next,
            turn: turn.turn,
            execution: execution.id,
            state: execution.state,
            input: execution.input,
            answer: execution.answer,
            failure: execution.failure,
            rolled_back: turn.rolled_back,
            created_at: turn.created_at,
        }
    }
}

/// The turns of a conversation, first to last. A page may have fewer than its limit and still be
/// followed by another.
#[utoipa::path(
    get, path = "/v1/conversations/{conversation_id}/turns", tag = "conversations",
    operation_id = "list_conversation_turns",
    params(("conversation_id" = ConversationId, Path), PageQuery),
    security(("bearer" = ["executions:read"])),
    responses((status = 200, body = Listing<TurnView>), Problems),
)]
pub(crate) async fn list(
    State(app): State<api::App>,
    conversation: Owned<Conversation, Read>,
    Query(query): Query<PageQuery>,
) -> Result<Json<Listing<TurnView>>, Problem> {
    let caller = &conversation.caller;
    let list = format!("conversations/{}/turns", conversation.id);
    let page = Paging::from(query).request(&app, caller, &list)?;
    let conversations = app.store().conversations(caller.tenant());
    let turns = conversations.turns(conversation.id, &page).await?;
    let mut items = Vec::with_capacity(turns.items.len());
    for (turn, execution) in turns.items {
        let said = conversations.said_in(&execution).await?;
        items.push(TurnView::new(turn, execution, said));
    }
    let next = turns.next;
    let turns = Page { items, next };
    Ok(Json(Listing::new(&app, caller, &list, turns)))
}
