use api::{IfMatch, Owned, Problem, Problems, Write};
use axum::extract::State;
use domain::tool::Tool;
use http::StatusCode;
use kernel::ToolId;

/// Delete a tool. Agents that name it can no longer call it.
#[utoipa::path(
    delete, path = "/v1/tools/{tool_id}", tag = "tools", operation_id = "delete_tool",
    params(
        ("tool_id" = ToolId, Path),
        ("If-Match" = Option<String>, Header, description = "The ETag that the change is based on."),
    ),
    security(("bearer" = ["tools:write"])),
    responses((status = 204), Problems),
)]
pub(crate) async fn delete(
    State(app): State<api::App>,
    tool: Owned<Tool, Write>,
    if_match: IfMatch,
) -> Result<StatusCode, Problem> {
    if_match.check(tool.version, "tool")?;
    let cause = tool.caller.cause();
    app.store()
        .tools(tool.caller.tenant())
        .delete(&cause, &tool.item)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}
