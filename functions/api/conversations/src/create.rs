use api::{Granted, Json, Problem, Problems, Versioned, Write, created};
use axum::extract::State;
use axum::response::Response;
use domain::conversation::{Conversation, OnBusy};
use garde::Validate;
use kernel::AgentId;
use serde::Deserialize;
use utoipa::ToSchema;

/// A new conversation.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewConversation {
    /// The agent that it is with, in each turn as it stands then.
    #[garde(skip)]
    agent_id: AgentId,
    /// What it is about, in a line.
    #[garde(inner(custom(api::text::name)))]
    #[schema(min_length = 1, max_length = 200, example = "The gearbox of press 4")]
    title: Option<String>,
    /// What a new turn does while another is open, unless it says so itself.
    #[garde(skip)]
    #[serde(default)]
    on_busy: OnBusy,
}

/// Begin a conversation with an agent. Its turns are executions that name it.
#[utoipa::path(
    post, path = "/v1/conversations", tag = "conversations", operation_id = "create_conversation",
    request_body = NewConversation,
    security(("bearer" = ["executions:write"])),
    responses((status = 201, body = Conversation), Problems),
)]
pub(crate) async fn create(
    State(app): State<api::App>,
    caller: Granted<Conversation, Write>,
    Json(body): Json<NewConversation>,
) -> Result<Response, Problem> {
    let agents = app.store().agents(caller.tenant());
    let agent = agents.get(body.agent_id).await?.ok_or_else(|| {
        Problem::invalid_field("/agent_id", "is not an agent of this organization")
    })?;
    let conversations = app.store().conversations(caller.tenant());
    let title = body.title.unwrap_or_default();
    let new = conversations
        .create(&caller.cause(), agent.id, title, body.on_busy)
        .await?;
    let location = format!("/v1/conversations/{}", new.id);
    Ok(created(&location, Versioned::new(new.version, new)))
}
