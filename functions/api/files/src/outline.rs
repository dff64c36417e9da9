use api::{Owned, Problem, Problems, Read};
use axum::Json;
use axum::extract::State;
use domain::file::{File, FileStatus, OutlineHeading};
use kernel::FileId;
use serde::Serialize;
use store::extracted::Extracted;
use store::objects::ObjectError;
use utoipa::ToSchema;

/// The headings of a file.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Outline {
    /// In their order; the first 1,000 of a longer file.
    headings: Vec<OutlineHeading>,
}

/// The headings of a file, each with its page and where it begins in the text.
#[utoipa::path(
    get, path = "/v1/files/{file_id}/outline", tag = "files", operation_id = "get_file_outline",
    params(("file_id" = FileId, Path)),
    security(("bearer" = ["files:read"])),
    responses((status = 200, body = Outline), Problems),
)]
pub(crate) async fn outline(
    State(app): State<api::App>,
    file: Owned<File, Read>,
) -> Result<Json<Outline>, Problem> {
    check_read(&file)?;
    let json = extracted(&app, &file).outline().await.map_err(lost)?;
    let headings = serde_json::from_slice(&json)
        .map_err(|error| store::Error::from(store::ReadError::Unavailable(error.to_string())))?;
    Ok(Json(Outline { headings }))
}

/// What was read from the file, in its org.
pub(crate) fn extracted<'a>(app: &'a api::App, file: &Owned<File, Read>) -> Extracted<'a> {
    app.store().extracted(file.caller.tenant(), file.content())
}

/// Only a file that was read has a text.
pub(crate) fn check_read(file: &File) -> Result<(), Problem> {
    if file.status == FileStatus::Ready {
        return Ok(());
    }
    Err(Problem::conflict(
        "not_read",
        "The file was not read, or not yet: its `status` is not `ready`.",
    ))
}

/// A file that is ready and whose text is gone is being removed.
pub(crate) fn lost(error: ObjectError) -> Problem {
    match error {
        ObjectError::Missing => Problem::not_found("text"),
        error => store::Error::from(error).into(),
    }
}
