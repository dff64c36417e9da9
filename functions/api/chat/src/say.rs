use api::{App, Caller, Granted, Json, Owned, Problem, Problems, Read, Write};
use axum::extract::State;
use axum::response::Response;
use domain::agent::Agent;
use domain::conversation::Conversation;
use domain::execution::Execution;
use http::{HeaderName, HeaderValue, header};
use kernel::{AgentId, ConversationId};
use serde_json::json;
use store::conversations::{NewTurn, TurnRefused};
use store::executions::NewRun;

use crate::message::{ChatMessage, Said};

const EXECUTION: HeaderName = HeaderName::from_static("overglass-execution");
const CONVERSATION: HeaderName = HeaderName::from_static("overglass-conversation");

/// Say something to an agent, and get its answer as it comes: by the server-sent events of the
/// execution that the turn is, from the first. `Content-Location` says where to go on with
/// `Last-Event-ID` when the connection ends before `RUN_FINISHED` or `RUN_ERROR`; the turn goes on
/// whether somebody listens or not.
#[utoipa::path(
    post, path = "/v1/chat/{agent_id}", tag = "chat", operation_id = "chat",
    params(("agent_id" = AgentId, Path)),
    request_body = ChatMessage,
    security(("bearer" = ["executions:write", "agents:read"])),
    responses(
        (status = 200, content_type = "text/event-stream", body = String,
         description = "AG-UI events; `data` is a JSON object.",
         headers(
            ("Content-Location", description = "Where the same events are streamed."),
            ("Overglass-Conversation", description = "The conversation."),
            ("Overglass-Execution", description = "The execution that is the turn."),
         )),
        Problems,
    ),
)]
pub(crate) async fn say(
    State(app): State<App>,
    caller: Granted<Conversation, Write>,
    agent: Owned<Agent, Read>,
    Json(message): Json<ChatMessage>,
) -> Result<Response, Problem> {
    let grounding = message.grounding(&agent)?;
    let (text, beside) = match message.said()? {
        Said::Text { text, beside } => (text, beside),
        Said::Again(turn) => (said_in(&app, &caller, &message, turn).await?, Some(turn)),
    };
    let mut run = NewRun::new(app.store(), &caller.cause(), &agent.item, text, None);
    if let Some(grounding) = grounding {
        run = run.grounded(grounding);
    }
    let turn = begin(&app, &caller, &message, &run, beside).await?;
    answer(&app, &caller, &turn)
}

/// What was said in a turn of the conversation.
async fn said_in(
    app: &App,
    caller: &Caller,
    message: &ChatMessage,
    turn: u32,
) -> Result<String, Problem> {
    let conversations = app.store().conversations(caller.tenant());
    let conversation = match message.conversation_id {
        Some(id) => conversations.get(id).await?,
        None => None,
    };
    let conversation = conversation
        .filter(|conversation| caller.viewer().sees(conversation.begun_by))
        .ok_or_else(missing)?;
    let execution = match conversations.turn(conversation.id, turn).await? {
        Some(row) => {
            app.store()
                .executions(caller.tenant())
                .get(row.execution)
                .await?
        }
        None => None,
    };
    execution
        .map(|execution| execution.input)
        .ok_or_else(|| no_such_turn(message))
}

/// Begins the turn: in the conversation that the message names, or as the first of a new one.
async fn begin(
    app: &App,
    caller: &Caller,
    message: &ChatMessage,
    run: &NewRun,
    beside: Option<u32>,
) -> Result<Execution, Problem> {
    let conversations = app.store().conversations(caller.tenant());
    let cause = caller.cause();
    let Some(id) = message.conversation_id else {
        let on_busy = message.on_busy.unwrap_or_default();
        return Ok(conversations.begin(&cause, run, on_busy).await?);
    };
    let turn = NewTurn {
        run,
        viewer: caller.viewer(),
        on_busy: message.on_busy,
        revises: beside,
    };
    let begun = conversations.begin_turn(&cause, id, &turn).await;
    begun.map_err(|refused| match refused {
        TurnRefused::Missing => missing(),
        TurnRefused::NoSuchTurn => no_such_turn(message),
        refused => refused.into(),
    })
}

fn missing() -> Problem {
    Problem::not_found("conversation")
}

fn no_such_turn(message: &ChatMessage) -> Problem {
    let problem = "is not a turn of this conversation that was open";
    Problem::invalid_field(message.names_turn(), problem)
}

/// The events of the turn, with the names of what was begun.
fn answer(app: &App, caller: &Caller, turn: &Execution) -> Result<Response, Problem> {
    let stream_url = app.stream_url(turn.id);
    let conversation: Option<ConversationId> = turn.conversation.map(|turn| turn.id);
    let mut response = api::stream::events(app, caller.tenant(), turn.id, 0);
    for (name, value) in [
        (header::CONTENT_LOCATION, Some(stream_url.clone())),
        (EXECUTION, Some(turn.id.to_string())),
        (CONVERSATION, conversation.map(|id| id.to_string())),
    ] {
        if let Some(value) = value {
            let value = HeaderValue::from_str(&value).map_err(Problem::internal)?;
            response.headers_mut().insert(name, value);
        }
    }
    let instead = json!({
        "conversation_id": conversation,
        "execution_id": turn.id,
        "stream_url": stream_url,
    });
    Ok(api::streamed(response, &instead))
}
