use api::{Owned, Problem, Problems, Read};
use axum::Json;
use axum::extract::State;
use domain::file::{File, FileStatus};
use kernel::{FileId, Timestamp};
use serde::Serialize;
use store::objects::URL_LIFETIME;
use utoipa::ToSchema;

/// Where to download a file's content, once and again until the URL expires.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Download {
    #[schema(example = "GET")]
    method: &'static str,
    url: String,
    expires_at: Timestamp,
}

/// A URL under which anyone who has it can download the content, for a few minutes.
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
        return Err(Problem::conflict(
            "not_uploaded",
            "The upload of this file was not confirmed, so there is nothing to download yet.",
        ));
    }
    let expires_at = app.store().now().plus(URL_LIFETIME);
    let objects = app.store().objects(file.caller.tenant());
    let request = objects.presign_download(file.id, &file.name).await?;
    Ok(Json(Download {
        method: request.method,
        url: request.url,
        expires_at,
    }))
}
