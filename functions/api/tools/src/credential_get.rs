use api::{Owned, Problem, Problems, Read, Versioned};
use axum::extract::State;
use domain::credential::Credential;
use domain::tool::Tool;
use kernel::ToolId;

/// How a tool's requests authenticate. The secret is shown to nobody.
#[utoipa::path(
    get, path = "/v1/tools/{tool_id}/credential", tag = "tools", operation_id = "get_tool_credential",
    params(("tool_id" = ToolId, Path)),
    security(("bearer" = ["tools:read"])),
    responses((status = 200, body = Credential), Problems),
)]
pub(crate) async fn get(
    State(app): State<api::App>,
    tool: Owned<Tool, Read>,
) -> Result<Versioned<Credential>, Problem> {
    let credentials = app.store().credentials(tool.caller.tenant());
    let credential = credentials.get(tool.id).await?;
    let credential = credential.ok_or_else(|| Problem::not_found("credential"))?;
    Ok(Versioned::new(credential.version, credential))
}
