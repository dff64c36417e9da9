use api::{IfMatch, Owned, Problem, Problems, Write};
use axum::extract::State;
use domain::tool::Tool;
use http::StatusCode;
use kernel::ToolId;

/// Remove a tool's credential. Its requests are sent without one from then on.
#[utoipa::path(
    delete, path = "/v1/tools/{tool_id}/credential", tag = "tools", operation_id = "remove_tool_credential",
    params(
        ("tool_id" = ToolId, Path),
        ("If-Match" = Option<String>, Header, description = "The ETag that the change is based on."),
    ),
    security(("bearer" = ["tools:write"])),
    responses((status = 204), Problems),
)]
pub(crate) async fn remove(
    State(app): State<api::App>,
    tool: Owned<Tool, Write>,
    if_match: IfMatch,
) -> Result<StatusCode, Problem> {
    let credentials = app.store().credentials(tool.caller.tenant());
    let current = credentials.get(tool.id).await?;
    let current = current.ok_or_else(|| Problem::not_found("credential"))?;
    if_match.check(current.version, "credential")?;
    credentials.delete(&tool.caller.cause(), &current).await?;
    Ok(StatusCode::NO_CONTENT)
}
