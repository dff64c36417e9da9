use api::{IfMatch, Json, Owned, Problem, Problems, Versioned, Write};
use axum::extract::State;
use domain::file::{File, FileVersionStatus};
use garde::Validate;
use kernel::FileId;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::versions::check_open;

/// Which content to go back to.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FileRollback {
    #[garde(range(min = 1))]
    #[schema(minimum = 1)]
    version: u32,
}

/// Make an earlier content of a file its newest one. A worker reads it anew.
#[utoipa::path(
    post, path = "/v1/files/{file_id}/rollback", tag = "files", operation_id = "rollback_file",
    params(
        ("file_id" = FileId, Path),
        ("If-Match" = Option<String>, Header, description = "The ETag that the change is based on."),
    ),
    request_body = FileRollback,
    security(("bearer" = ["files:write"])),
    responses((status = 200, body = File), Problems),
)]
pub(crate) async fn rollback(
    State(app): State<api::App>,
    file: Owned<File, Write>,
    if_match: IfMatch,
    Json(body): Json<FileRollback>,
) -> Result<Versioned<File>, Problem> {
    if_match.check(file.version, "file")?;
    check_open(&file)?;
    let files = app.store().files(file.caller.tenant());
    let earlier = files
        .version(file.id, body.version)
        .await?
        .filter(|content| content.status == FileVersionStatus::Uploaded)
        .ok_or_else(|| {
            Problem::invalid_field("/version", "is not an uploaded version of this file")
        })?;
    let cause = file.caller.cause();
    let file = files.roll_back(&cause, &file.item, &earlier).await?;
    Ok(Versioned::new(file.version, file))
}
