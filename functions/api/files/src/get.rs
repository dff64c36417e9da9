use api::{Owned, Problems, Read, Versioned};
use domain::file::File;
use kernel::FileId;

/// A file as it stands: its `status` says how far processing has come, `failure` why it ended.
#[utoipa::path(
    get, path = "/v1/files/{file_id}", tag = "files", operation_id = "get_file",
    params(("file_id" = FileId, Path)),
    security(("bearer" = ["files:read"])),
    responses((status = 200, body = File), Problems),
)]
pub(crate) async fn get(file: Owned<File, Read>) -> Versioned<File> {
    Versioned::new(file.version, file.item)
}
