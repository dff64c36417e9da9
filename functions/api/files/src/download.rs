use api::{Owned, Problem, Problems, Read};
use axum::Json;
use axum::extract::State;
use domain::file::{CHECKSUM_MISMATCH, File, FileStatus};
use kernel::FileId;

use crate::contents::{Download, not_uploaded};

/// A URL under which anyone who has it can download the content, for a few minutes. Browsers save
/// it under the file's name and never show it as a page.
#[utoipa::path(
    get, path = "/v1/files/{file_id}/download", tag = "files", operation_id = "download_file",
    params(("file_id" = FileId, Path)),
    security(("bearer" = ["files:read"])),
    responses((status = 200, body = Download), Problems),
)]
pub(crate) async fn download(
    State(app): State<api::App>,
    file: Owned<File, Read>,
) -> Result<Json<Download>, Problem> {
    if file.status == FileStatus::Pending {
        return Err(not_uploaded(
            "The upload of this file was not confirmed, so there is nothing to download yet.",
        ));
    }
    if file
        .failure
        .as_ref()
        .is_some_and(|failure| failure.code == CHECKSUM_MISMATCH)
    {
        return Err(not_uploaded("What was uploaded is not what was announced."));
    }
    let content = file.content();
    Ok(Json(
        Download::offer(&app, &file.caller, content, &file.name).await?,
    ))
}
