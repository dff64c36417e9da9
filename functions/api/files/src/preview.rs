use api::{Owned, Problem, Problems, Read};
use axum::Json;
use axum::extract::State;
use domain::file::{File, Preview};
use kernel::{FileId, Timestamp};
use serde::Serialize;
use store::objects::URL_LIFETIME;
use utoipa::ToSchema;

/// What of a file is shown to people who have not opened it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum FilePreview {
    /// The beginning of its text.
    Text {
        text: String,
        /// Whether there is more.
        truncated: bool,
    },
    /// A smaller picture of the picture that it is.
    Image {
        /// The size of the file's own picture, in pixels.
        width: u32,
        height: u32,
        /// Where to get the smaller one, a PNG of at most 320 pixels either way.
        url: String,
        expires_at: Timestamp,
    },
}

/// The beginning of a text, or a thumbnail of a picture, once the file was read. Never a part of the
/// file as it is: safe to be shown in a page.
#[utoipa::path(
    get, path = "/v1/files/{file_id}/preview", tag = "files", operation_id = "preview_file",
    params(("file_id" = FileId, Path)),
    security(("bearer" = ["files:read"])),
    responses((status = 200, body = FilePreview), Problems),
)]
pub(crate) async fn preview(
    State(app): State<api::App>,
    file: Owned<File, Read>,
) -> Result<Json<FilePreview>, Problem> {
    let objects = app.store().objects(file.caller.tenant());
    let content = file.content();
    let preview = match objects.preview(content).await? {
        Some(Preview::Text { text, truncated }) => FilePreview::Text { text, truncated },
        Some(Preview::Image { width, height }) => FilePreview::Image {
            width,
            height,
            expires_at: app.store().now().plus(URL_LIFETIME),
            url: objects.presign_thumbnail(content).await?.url,
        },
        None => {
            return Err(Problem::conflict(
                "no_preview",
                "There is no preview: the file was not read yet, or cannot be read.",
            ));
        }
    };
    Ok(Json(preview))
}
