use api::{Granted, Listing, PageQuery, Paging, Problem, Problems, Query, Read};
use axum::Json;
use axum::extract::State;
use domain::conversation::Conversation;

const LIST: &str = "conversations";

/// Conversations, newest first: of a member, those that they have begun; of a manager or a machine,
/// all of the organization.
#[utoipa::path(
    get, path = "/v1/conversations", tag = "conversations", operation_id = "list_conversations",
    params(PageQuery),
    security(("bearer" = ["executions:read"])),
    responses((status = 200, body = Listing<Conversation>), Problems),
)]
pub(crate) async fn list(
    State(app): State<api::App>,
    caller: Granted<Conversation, Read>,
    Query(query): Query<PageQuery>,
) -> Result<Json<Listing<Conversation>>, Problem> {
    let page = Paging::from(query).request(&app, &caller, LIST)?;
    let conversations = app.store().conversations(caller.tenant());
    let found = conversations.page(caller.viewer(), &page).await?;
    Ok(Json(Listing::new(&app, &caller, LIST, found)))
}
