//! The contents that a file has had, and those that are being uploaded.

use api::{
    FileContent, Json, Listing, Owned, PageQuery, Paging, Problem, Problems, Query, Read,
    Versioned, Write, created,
};
use axum::extract::State;
use axum::response::Response;
use domain::file::{
    Content, File, FileStatus, FileVersion, FileVersionStatus, MAX_CONTENTS, MAX_FILE_BYTES,
};
use garde::Validate;
use kernel::FileId;
use serde::{Deserialize, Serialize};
use store::files::versions::{NewContent, UploadPlan};
use utoipa::ToSchema;

use crate::TRIES;
use crate::contents::{
    self, Announced, Download, Upload, checksum, give_up, media_type, not_uploaded,
};

/// A further content of a file, about to be uploaded. The upload is bound to what is announced here.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewVersion {
    /// The media type to upload it as. What it is, is found out from its content.
    #[garde(custom(media_type))]
    #[schema(max_length = 255, example = "application/pdf")]
    content_type: String,
    /// Its length in bytes.
    #[garde(range(min = 1, max = MAX_FILE_BYTES))]
    #[schema(minimum = 1, maximum = 1_073_741_824, example = 12_076)]
    size_bytes: u64,
    /// The SHA-256 of its content, in base64.
    #[garde(custom(checksum))]
    #[schema(
        min_length = 44,
        max_length = 44,
        example = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
    )]
    sha256: String,
}

/// A further content of a file and how to upload it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OfferedVersion {
    content: FileVersion,
    /// The request that uploads it; absent where it comes in the `parts` of the content.
    #[serde(skip_serializing_if = "Option::is_none")]
    upload: Option<Upload>,
}

/// Contents of a file, newest first, with those that were announced and not confirmed.
#[utoipa::path(
    get, path = "/v1/files/{file_id}/versions", tag = "files", operation_id = "list_file_versions",
    params(("file_id" = FileId, Path), PageQuery),
    security(("bearer" = ["files:read"])),
    responses((status = 200, body = Listing<FileVersion>), Problems),
)]
pub(crate) async fn list_versions(
    State(app): State<api::App>,
    file: Owned<File, Read>,
    Query(query): Query<PageQuery>,
) -> Result<axum::Json<Listing<FileVersion>>, Problem> {
    let list = format!("files/{}/versions", file.id);
    let page = Paging::from(query).request(&app, &file.caller, &list)?;
    let files = app.store().files(file.caller.tenant());
    let versions = files.versions(file.id, &page).await?;
    Ok(axum::Json(Listing::new(
        &app,
        &file.caller,
        &list,
        versions,
    )))
}

/// Announce a further content of a file, and get a URL to upload it to. The file has it once it is
/// confirmed; knowledge bases answer from the content before until it is read.
#[utoipa::path(
    post, path = "/v1/files/{file_id}/versions", tag = "files", operation_id = "upload_file_version",
    params(("file_id" = FileId, Path)),
    request_body = NewVersion,
    security(("bearer" = ["files:write"])),
    responses((status = 201, body = OfferedVersion), Problems),
)]
pub(crate) async fn upload_version(
    State(app): State<api::App>,
    file: Owned<File, Write>,
    Json(body): Json<NewVersion>,
) -> Result<Response, Problem> {
    let files = app.store().files(file.caller.tenant());
    let mut current = file.item;
    for _ in 0..TRIES {
        check_open(&current)?;
        let content = Content {
            file: current.id,
            number: current.last_content_version + 1,
        };
        let (plan, upload) = body.announced(content).offer(&app, &file.caller).await?;
        let parts = plan.parts.clone();
        let added = files
            .add_version(&file.caller.cause(), &current, body.planned(plan))
            .await;
        match added {
            Ok(content) => {
                let location = format!("/v1/files/{}/versions/{}", content.file, content.number);
                let offered = OfferedVersion { content, upload };
                return Ok(created(&location, axum::Json(offered)));
            }
            Err(error) => {
                give_up(&app, &file.caller, content, parts.as_ref()).await;
                if !error.is_changed() {
                    return Err(error.into());
                }
                // The worker that reads the file came first, or another announcement.
                let file = files.get(current.id).await?;
                current = file.ok_or_else(|| Problem::not_found("file"))?;
            }
        }
    }
    Err(Problem::changed("file"))
}

impl NewVersion {
    fn announced(&self, content: Content) -> Announced<'_> {
        Announced {
            content,
            content_type: &self.content_type,
            size_bytes: self.size_bytes,
            sha256: &self.sha256,
        }
    }

    fn planned(&self, plan: UploadPlan) -> NewContent {
        NewContent {
            content_type: self.content_type.clone(),
            size_bytes: self.size_bytes,
            sha256: self.sha256.clone(),
            plan,
        }
    }
}

/// Refuses a further content where there is none yet, or enough.
pub(crate) fn check_open(file: &File) -> Result<(), Problem> {
    if file.status == FileStatus::Pending {
        return Err(not_uploaded(
            "The first upload of this file was not confirmed yet.",
        ));
    }
    if file.last_content_version >= MAX_CONTENTS {
        return Err(Problem::conflict(
            "too_many_versions",
            format!("A file can have at most {MAX_CONTENTS} contents. Upload it as a new file."),
        ));
    }
    Ok(())
}

/// One content of a file.
#[utoipa::path(
    get, path = "/v1/files/{file_id}/versions/{version}", tag = "files",
    operation_id = "get_file_version",
    params(("file_id" = FileId, Path), ("version" = u32, Path)),
    security(("bearer" = ["files:read"])),
    responses((status = 200, body = FileVersion), Problems),
)]
pub(crate) async fn get_version(version: Owned<FileContent, Read>) -> Versioned<FileVersion> {
    let content = version.item.content;
    Versioned::new(content.version, content)
}

/// Give up the upload of a content that was not confirmed. Its number is not used again. To give it
/// up again changes nothing.
#[utoipa::path(
    post, path = "/v1/files/{file_id}/versions/{version}/abort", tag = "files",
    operation_id = "abort_file_version",
    params(("file_id" = FileId, Path), ("version" = u32, Path)),
    security(("bearer" = ["files:write"])),
    responses((status = 200, body = FileVersion), Problems),
)]
pub(crate) async fn abort_version(
    State(app): State<api::App>,
    version: Owned<FileContent, Write>,
) -> Result<Versioned<FileVersion>, Problem> {
    let FileContent { file, content } = version.item;
    let content = match content.status {
        FileVersionStatus::Abandoned => content,
        FileVersionStatus::Pending if file.status != FileStatus::Pending => {
            let caller = &version.caller;
            let files = app.store().files(caller.tenant());
            let abandoned = files.abandon(None, &caller.cause(), &content).await?;
            give_up(&app, caller, content.content(), content.parts.as_ref()).await;
            abandoned
        }
        FileVersionStatus::Pending | FileVersionStatus::Uploaded => {
            return Err(Problem::conflict(
                "version_in_use",
                "Only the pending upload of a further content is given up. Delete the file \
                 instead.",
            ));
        }
    };
    Ok(Versioned::new(content.version, content))
}

/// Say that the upload of a content is complete: the file has it from now on, and a worker begins to
/// read it. Confirming it again changes nothing.
#[utoipa::path(
    post, path = "/v1/files/{file_id}/versions/{version}/confirm", tag = "files",
    operation_id = "confirm_file_version",
    params(("file_id" = FileId, Path), ("version" = u32, Path)),
    security(("bearer" = ["files:write"])),
    responses((status = 200, body = File), Problems),
)]
pub(crate) async fn confirm_version(
    State(app): State<api::App>,
    version: Owned<FileContent, Write>,
) -> Result<Versioned<File>, Problem> {
    let FileContent { file, content } = version.item;
    let file = contents::confirm(&app, &version.caller, file, content).await?;
    Ok(Versioned::new(file.version, file))
}

/// A URL under which anyone who has it can download one content of a file, for a few minutes.
#[utoipa::path(
    get, path = "/v1/files/{file_id}/versions/{version}/download", tag = "files",
    operation_id = "download_file_version",
    params(("file_id" = FileId, Path), ("version" = u32, Path)),
    security(("bearer" = ["files:read"])),
    responses((status = 200, body = Download), Problems),
)]
pub(crate) async fn download_version(
    State(app): State<api::App>,
    version: Owned<FileContent, Read>,
) -> Result<axum::Json<Download>, Problem> {
    let FileContent { file, content } = &version.item;
    if content.status != FileVersionStatus::Uploaded {
        return Err(not_uploaded("This content was not uploaded."));
    }
    let content = content.content();
    Ok(axum::Json(
        Download::offer(&app, &version.caller, content, &file.name).await?,
    ))
}
