use api::{Owned, Problems, Read, Versioned};
use domain::tool::Tool;
use kernel::ToolId;

/// A tool as it stands.
#[utoipa::path(
    get, path = "/v1/tools/{tool_id}", tag = "tools", operation_id = "get_tool",
    params(("tool_id" = ToolId, Path)),
    security(("bearer" = ["tools:read"])),
    responses((status = 200, body = Tool), Problems),
)]
pub(crate) async fn get(tool: Owned<Tool, Read>) -> Versioned<Tool> {
    Versioned::new(tool.version, tool.item)
}
