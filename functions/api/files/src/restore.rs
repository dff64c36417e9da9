use api::{DeletedFile, Owned, Problem, Problems, Versioned, Write};
use axum::extract::State;
use domain::file::File;
use kernel::FileId;

use crate::TRIES;

/// Bring a deleted file back as it stood, into the knowledge bases that still exist.
#[utoipa::path(
    post, path = "/v1/files/{file_id}/restore", tag = "files", operation_id = "restore_file",
    params(("file_id" = FileId, Path)),
    security(("bearer" = ["files:write"])),
    responses((status = 200, body = File), Problems),
)]
pub(crate) async fn restore(
    State(app): State<api::App>,
    deleted: Owned<DeletedFile, Write>,
) -> Result<Versioned<File>, Problem> {
    let files = app.store().files(deleted.caller.tenant());
    let cause = deleted.caller.cause();
    let not_found = || Problem::not_found("file");
    let DeletedFile { mut file } = deleted.item;
    for _ in 0..TRIES {
        let deletion = file.deletion.clone().ok_or_else(not_found)?;
        match files.restore(&cause, &file, &deletion).await {
            // A knowledge base that it was part of was deleted, or its removal has begun.
            Err(error) if error.is_changed() => {
                let current = files.get_any(file.id).await?;
                file = current
                    .filter(|file| file.may_be_restored(app.store().now()))
                    .ok_or_else(not_found)?;
            }
            result => {
                let file = result?;
                return Ok(Versioned::new(file.version, file));
            }
        }
    }
    Err(Problem::changed("file"))
}
