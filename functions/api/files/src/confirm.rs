use api::{Owned, Problem, Problems, Versioned, Write};
use axum::extract::State;
use domain::file::File;
use kernel::FileId;

use crate::contents;

/// Say that the first upload of a file is complete: a worker begins to read it. Confirming a file
/// again changes nothing and answers with the file as it stands.
#[utoipa::path(
    post, path = "/v1/files/{file_id}/confirm", tag = "files", operation_id = "confirm_file",
    params(("file_id" = FileId, Path)),
    security(("bearer" = ["files:write"])),
    responses((status = 200, body = File), Problems),
)]
pub(crate) async fn confirm(
    State(app): State<api::App>,
    file: Owned<File, Write>,
) -> Result<Versioned<File>, Problem> {
    let files = app.store().files(file.caller.tenant());
    let first = files
        .version(file.id, 1)
        .await?
        .ok_or_else(|| Problem::not_found("file"))?;
    let file = contents::confirm(&app, &file.caller, file.item, first).await?;
    Ok(Versioned::new(file.version, file))
}
