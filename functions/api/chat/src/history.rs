use api::{App, Caller, Granted, Listing, Owned, Paging, Problem, Problems, Query, Read};
use axum::Json;
use axum::extract::State;
use domain::agent::Agent;
use domain::conversation::Conversation;
use domain::execution::{Citation, ExecutionState, Failure};
use garde::Validate;
use kernel::cursor::{Page, PageRequest};
use kernel::{AgentId, ConversationId, ExecutionId, Timestamp};
use serde::{Deserialize, Serialize};
use store::conversations::{Conversations, TurnInBranch};
use utoipa::{IntoParams, ToSchema};

/// Which conversation, and how much of it.
#[derive(Debug, Deserialize, Validate, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct HistoryQuery {
    /// The conversation; the newest that the caller has begun with the agent, if absent.
    #[garde(skip)]
    conversation_id: Option<ConversationId>,
    /// The last turn of the branch to show; that of the current branch, if absent.
    #[garde(skip)]
    leaf: Option<String>,
    /// The most items of a page, 1 to 100.
    #[garde(custom(api::limit_in_range))]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 100, default = 25)]
    limit: Option<String>,
    /// The `next_cursor` of the page before.
    #[garde(length(max = api::MAX_CURSOR_CHARS))]
    cursor: Option<String>,
}

/// What was said, and in which conversation.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ChatHistory {
    /// Absent where the caller has begun none with the agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    conversation: Option<Conversation>,
    #[serde(flatten)]
    turns: Listing<ChatTurn>,
}

/// A message and its answer.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ChatTurn {
    turn: u32,
    execution: ExecutionId,
    state: ExecutionState,
    message: String,
    /// What the agent answered, once completed.
    #[serde(skip_serializing_if = "Option::is_none")]
    answer: Option<String>,
    /// What the agent had said when the turn was cut short.
    #[serde(skip_serializing_if = "Option::is_none")]
    said: Option<String>,
    /// The sources that the answer names.
    citations: Vec<Citation>,
    /// Why there is no answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<Failure>,
    /// The turn whose message was edited or asked again.
    #[serde(skip_serializing_if = "Option::is_none")]
    revises: Option<u32>,
    /// The turns that stand at this place, itself among them: one for each branch.
    siblings: Vec<u32>,
    created_at: Timestamp,
}

impl ChatTurn {
    fn new(turn: TurnInBranch, said: Option<String>) -> Self {
        let TurnInBranch {
            row,
            execution,
            siblings,
        } = turn;
        Self {
            turn: row.turn,
            execution: execution.id,
            state: execution.state,
            message: execution.input,
            answer: execution.answer,
            said,
            citations: execution.citations,
            failure: execution.failure,
            revises: row.revises,
            siblings,
            created_at: row.created_at,
        }
    }
}

/// What was said to an agent and what it answered, the last turn first, along one branch of a
/// conversation. A page may have fewer items than its limit and still be followed by another.
#[utoipa::path(
    get, path = "/v1/chat/{agent_id}/history", tag = "chat", operation_id = "get_chat_history",
    params(("agent_id" = AgentId, Path), HistoryQuery),
    security(("bearer" = ["executions:read", "agents:read"])),
    responses((status = 200, body = ChatHistory), Problems),
)]
pub(crate) async fn history(
    State(app): State<App>,
    caller: Granted<Conversation, Read>,
    agent: Owned<Agent, Read>,
    Query(query): Query<HistoryQuery>,
) -> Result<Json<ChatHistory>, Problem> {
    let conversations = app.store().conversations(caller.tenant());
    let conversation = conversation(&conversations, &caller, &agent, &query).await?;
    let leaf = match (&query.leaf, &conversation) {
        (Some(leaf), Some(there)) => Some(leaf_of(&conversations, there, leaf).await?),
        (_, there) => there.as_ref().and_then(|there| there.leaf),
    };
    let list = list_of(conversation.as_ref(), leaf);
    let limit = query.limit.as_deref().and_then(|limit| limit.parse().ok());
    let page = Paging::new(limit, query.cursor).request(&app, &caller, &list)?;
    let turns = match (&conversation, leaf) {
        (Some(conversation), Some(leaf)) => {
            turns(&conversations, conversation, leaf, &page).await?
        }
        _ => Page {
            items: Vec::new(),
            next: None,
        },
    };
    Ok(Json(ChatHistory {
        conversation,
        turns: Listing::new(&app, &caller, &list, turns),
    }))
}

/// The name of the list that is paged through: a branch of a conversation.
fn list_of(conversation: Option<&Conversation>, leaf: Option<u32>) -> String {
    match (conversation, leaf) {
        (Some(conversation), Some(leaf)) => format!("chat/{}/{leaf}", conversation.id),
        _ => "chat".to_owned(),
    }
}

/// A page of the branch that ends with a turn.
async fn turns(
    conversations: &Conversations<'_>,
    conversation: &Conversation,
    leaf: u32,
    page: &PageRequest,
) -> Result<Page<ChatTurn>, Problem> {
    let branch = conversations.branch(conversation, leaf, page).await?;
    let mut items = Vec::with_capacity(branch.items.len());
    for turn in branch.items {
        let said = conversations.said_in(&turn.execution).await?;
        items.push(ChatTurn::new(turn, said));
    }
    let next = branch.next;
    Ok(Page { items, next })
}

/// The conversation that is asked for, if there is one.
async fn conversation(
    conversations: &Conversations<'_>,
    caller: &Caller,
    agent: &Agent,
    query: &HistoryQuery,
) -> Result<Option<Conversation>, Problem> {
    let Some(id) = query.conversation_id else {
        let actor = caller.cause().actor;
        return Ok(conversations.newest_with(actor, agent.id).await?);
    };
    let found = conversations.get(id).await?.filter(|conversation| {
        conversation.agent == agent.id && caller.viewer().sees(conversation.begun_by)
    });
    found
        .map(Some)
        .ok_or_else(|| Problem::not_found("conversation"))
}

/// The turn of a conversation that a query names.
async fn leaf_of(
    conversations: &Conversations<'_>,
    conversation: &Conversation,
    text: &str,
) -> Result<u32, Problem> {
    let row = match text.parse() {
        Ok(turn) => conversations.turn(conversation.id, turn).await?,
        Err(_) => None,
    };
    row.filter(|row| row.place.is_some())
        .map(|row| row.turn)
        .ok_or_else(|| {
            Problem::invalid_field("leaf", "is not a turn of this conversation that was open")
        })
}
