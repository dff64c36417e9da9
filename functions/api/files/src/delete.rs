use api::{IfMatch, Owned, Problem, Problems, Write};
use axum::extract::State;
use domain::file::File;
use http::StatusCode;
use kernel::FileId;

use crate::TRIES;

/// Delete a file. It is gone at once, and no knowledge base answers from it any more. For seven days
/// it can be restored; then everything of it is removed. A file that was never uploaded is removed
/// without that.
#[utoipa::path(
    delete, path = "/v1/files/{file_id}", tag = "files", operation_id = "delete_file",
    params(
        ("file_id" = FileId, Path),
        ("If-Match" = Option<String>, Header, description = "The ETag that the deletion is based on."),
    ),
    security(("bearer" = ["files:write"])),
    responses((status = 204), Problems),
)]
pub(crate) async fn delete(
    State(app): State<api::App>,
    file: Owned<File, Write>,
    if_match: IfMatch,
) -> Result<StatusCode, Problem> {
    let files = app.store().files(file.caller.tenant());
    let cause = file.caller.cause();
    let mut current = file.item;
    for _ in 0..TRIES {
        if_match.check(current.version, "file")?;
        match files.delete(&cause, &current).await {
            // The worker that reads the file came first. Whoever named no version does not mind.
            Err(error) if error.is_changed() => {
                current = files
                    .get(current.id)
                    .await?
                    .ok_or_else(|| Problem::not_found("file"))?;
            }
            result => return Ok(result.map(|()| StatusCode::NO_CONTENT)?),
        }
    }
    Err(Problem::changed("file"))
}
