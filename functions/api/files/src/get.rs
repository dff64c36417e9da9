use api::{Owned, Problem, Problems, Read, Versioned};
use axum::extract::State;
use domain::file::{File, FileProgress};
use kernel::FileId;
use serde::Serialize;
use utoipa::ToSchema;

/// A file, and how far its reader is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FileNow {
    #[serde(flatten)]
    file: File,
    /// While it is being read.
    #[serde(skip_serializing_if = "Option::is_none")]
    progress: Option<FileProgress>,
}

/// A file as it stands: its `status` says how far processing has come, `progress` how far reading
/// has, and `failure` why it ended.
#[utoipa::path(
    get, path = "/v1/files/{file_id}", tag = "files", operation_id = "get_file",
    params(("file_id" = FileId, Path)),
    security(("bearer" = ["files:read"])),
    responses((status = 200, body = FileNow), Problems),
)]
pub(crate) async fn get(
    State(app): State<api::App>,
    file: Owned<File, Read>,
) -> Result<Versioned<FileNow>, Problem> {
    let files = app.store().files(file.caller.tenant());
    let progress = files.progress(&file).await?;
    let version = file.version;
    let file = file.item;
    Ok(Versioned::new(version, FileNow { file, progress }))
}
