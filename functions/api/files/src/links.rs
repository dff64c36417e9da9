//! What a file is linked to. `GET /v1/files?agent_id=…` lists from the other side.

use api::{
    Json, Listing, Owned, PageQuery, Paging, Problem, Problems, Query, Read, Write, created,
};
use axum::extract::State;
use axum::response::Response;
use domain::file::{File, FileLink, LinkTarget};
use domain::permission::Permission;
use garde::Validate;
use http::StatusCode;
use kernel::{AgentId, FileId};
use serde::Deserialize;
use store::CommitError;
use utoipa::ToSchema;

/// What to link a file to.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewLink {
    /// The agent. Needs `agents:read` as well.
    #[garde(skip)]
    agent_id: AgentId,
}

/// What a file is linked to.
#[utoipa::path(
    get, path = "/v1/files/{file_id}/links", tag = "files", operation_id = "list_file_links",
    params(("file_id" = FileId, Path), PageQuery),
    security(("bearer" = ["files:read"])),
    responses((status = 200, body = Listing<FileLink>), Problems),
)]
pub(crate) async fn list_links(
    State(app): State<api::App>,
    file: Owned<File, Read>,
    Query(query): Query<PageQuery>,
) -> Result<axum::Json<Listing<FileLink>>, Problem> {
    let list = format!("files/{}/links", file.id);
    let page = Paging::from(query).request(&app, &file.caller, &list)?;
    let files = app.store().files(file.caller.tenant());
    let links = files.links(file.id, &page).await?;
    Ok(axum::Json(Listing::new(&app, &file.caller, &list, links)))
}

/// Link a file to an agent, so that each is found from the other. It gives the agent nothing to
/// search: that is what knowledge bases are for.
#[utoipa::path(
    post, path = "/v1/files/{file_id}/links", tag = "files", operation_id = "link_file",
    params(("file_id" = FileId, Path)),
    request_body = NewLink,
    security(("bearer" = ["files:write", "agents:read"])),
    responses((status = 201, body = FileLink), Problems),
)]
pub(crate) async fn link(
    State(app): State<api::App>,
    file: Owned<File, Write>,
    Json(body): Json<NewLink>,
) -> Result<Response, Problem> {
    file.caller.require(Permission::AgentRead, &app).await?;
    let tenant = file.caller.tenant();
    if app
        .store()
        .agents(tenant)
        .get(body.agent_id)
        .await?
        .is_none()
    {
        let message = "is not an agent of this organization";
        return Err(Problem::invalid_field("/agent_id", message));
    }
    let target = LinkTarget::Agent { id: body.agent_id };
    let files = app.store().files(tenant);
    match files.link(&file.caller.cause(), &file.item, target).await {
        Err(store::Error::Commit(CommitError::Exists { .. })) => Err(Problem::conflict(
            "already_exists",
            "The file is linked to this agent already.",
        )),
        result => {
            let location = format!("/v1/files/{}/links/agents/{}", file.id, body.agent_id);
            Ok(created(&location, axum::Json(result?)))
        }
    }
}

/// Take away the link of a file to an agent, whether the agent still exists or not.
#[utoipa::path(
    delete, path = "/v1/files/{file_id}/links/agents/{agent_id}", tag = "files",
    operation_id = "unlink_file",
    params(("file_id" = FileId, Path), ("agent_id" = AgentId, Path)),
    security(("bearer" = ["files:write"])),
    responses((status = 204), Problems),
)]
pub(crate) async fn unlink(
    State(app): State<api::App>,
    link: Owned<FileLink, Write>,
) -> Result<StatusCode, Problem> {
    let files = app.store().files(link.caller.tenant());
    match files.unlink(&link.caller.cause(), &link.item).await {
        Err(error) if error.is_changed() => Err(Problem::not_found("link of a file")),
        result => Ok(result.map(|()| StatusCode::NO_CONTENT)?),
    }
}
