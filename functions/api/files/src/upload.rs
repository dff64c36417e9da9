use api::{Granted, Json, Problem, Problems, Write};
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use domain::file::{File, FileStatus, MAX_FILE_BYTES, MAX_KNOWLEDGE_BASES, Parts, is_file_name};
use domain::knowledge::KnowledgeBase;
use domain::permission::Permission;
use garde::Validate;
use kernel::{FileId, KnowledgeBaseId, OrgId, Timestamp};
use serde::{Deserialize, Serialize};
use store::CommitError;
use store::files::versions::UploadPlan;
use utoipa::ToSchema;

use crate::TRIES;
use crate::contents::{Announced, Upload, checksum, give_up, media_type};

/// A file that is about to be uploaded. The upload is bound to what is announced here.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewUpload {
    /// The file's name, without a path.
    #[garde(custom(file_name))]
    #[schema(min_length = 1, max_length = 255, example = "handbook.pdf")]
    name: String,
    /// The media type to upload it as. What the file is, is found out from its content.
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
    /// The knowledge base that the file becomes part of. Needs `knowledge:write` as well.
    #[garde(skip)]
    knowledge_base_id: Option<KnowledgeBaseId>,
    /// What to do if a file of the organization holds exactly this content: `keep` both, or
    /// `reuse` that file, which then needs no upload. To reuse needs `files:read` as well.
    #[garde(skip)]
    #[serde(default)]
    on_duplicate: OnDuplicate,
}

/// What to do with a content that a file has already.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum OnDuplicate {
    #[default]
    Keep,
    Reuse,
}

/// A file and how to upload its content.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OfferedUpload {
    file: File,
    /// The request that uploads it; absent where it comes in parts, or a file that has the content
    /// is reused.
    #[serde(skip_serializing_if = "Option::is_none")]
    upload: Option<Upload>,
    /// The parts that it comes in, above 100 MiB. Ask for a request for each, send them, and confirm.
    #[serde(skip_serializing_if = "Option::is_none")]
    parts: Option<Parts>,
    /// The file that holds exactly this content already.
    #[serde(skip_serializing_if = "Option::is_none")]
    duplicate_of: Option<FileId>,
}

/// Announce a file, and get a URL to upload it to. If a file holds exactly this content already,
/// `duplicate_of` names it.
#[utoipa::path(
    post, path = "/v1/orgs/{org_id}/files/upload", tag = "files", operation_id = "upload_file",
    params(("org_id" = OrgId, Path)),
    request_body = NewUpload,
    security(("bearer" = ["files:write"])),
    responses(
        (status = 201, body = OfferedUpload),
        (status = 200, description = "A file with this content is reused.", body = OfferedUpload),
        Problems,
    ),
)]
pub(crate) async fn upload(
    State(app): State<api::App>,
    caller: Granted<File, Write>,
    Json(body): Json<NewUpload>,
) -> Result<Response, Problem> {
    if body.knowledge_base_id.is_some() {
        caller.require(Permission::KnowledgeWrite, &app).await?;
    }
    if body.on_duplicate == OnDuplicate::Reuse {
        caller.require(Permission::FileRead, &app).await?;
    }
    let files = app.store().files(caller.tenant());
    let like = files
        .with_content_like(&body.sha256, body.size_bytes)
        .await?;
    if body.on_duplicate == OnDuplicate::Reuse
        && let Some(file) = like
    {
        let file = reuse(&app, &caller, file, body.knowledge_base_id).await?;
        let duplicate_of = Some(file.id);
        let reused = OfferedUpload {
            file,
            upload: None,
            parts: None,
            duplicate_of,
        };
        return Ok(axum::Json(reused).into_response());
    }
    let mut offered = announce(&app, &caller, body).await?;
    offered.duplicate_of = like.map(|file| file.id);
    let location = format!("/v1/files/{}", offered.file.id);
    Ok(api::created(&location, axum::Json(offered)))
}

async fn announce(
    app: &api::App,
    caller: &api::Caller,
    body: NewUpload,
) -> Result<OfferedUpload, Problem> {
    let base = body.knowledge_base_id;
    let file = pending(caller, body, app.store().now());
    let content = file.content();
    let announced = Announced {
        content,
        content_type: &file.content_type,
        size_bytes: file.size_bytes,
        sha256: &file.sha256,
    };
    let (plan, upload) = announced.offer(app, caller).await?;
    let parts = plan.parts.clone();
    match create(app, caller, file, plan, base).await {
        Ok(file) => Ok(OfferedUpload {
            file,
            upload,
            parts,
            duplicate_of: None,
        }),
        Err(problem) => {
            give_up(app, caller, content, parts.as_ref()).await;
            Err(problem)
        }
    }
}

/// A file that has the content already, as part of the knowledge base.
async fn reuse(
    app: &api::App,
    caller: &api::Caller,
    file: File,
    into: Option<KnowledgeBaseId>,
) -> Result<File, Problem> {
    let Some(into) = into else { return Ok(file) };
    let (files, knowledge) = (
        app.store().files(caller.tenant()),
        app.store().knowledge(caller.tenant()),
    );
    let mut file = file;
    for _ in 0..TRIES {
        if file.knowledge_bases.contains(&into) {
            return Ok(file);
        }
        if file.knowledge_bases.len() >= MAX_KNOWLEDGE_BASES {
            return Err(Problem::conflict(
                "too_many_knowledge_bases",
                format!("A file can be part of at most {MAX_KNOWLEDGE_BASES} knowledge bases."),
            ));
        }
        let base = base(app, caller, into).await?;
        match knowledge.add(&caller.cause(), &base, &file).await {
            Ok(_) | Err(store::Error::Commit(CommitError::Exists { .. })) => {}
            Err(error) if error.is_changed() => {}
            Err(error) => return Err(error.into()),
        }
        let current = files.get(file.id).await?;
        file = current.ok_or_else(|| Problem::changed("file"))?;
    }
    Err(Problem::changed("file"))
}

async fn create(
    app: &api::App,
    caller: &api::Caller,
    file: File,
    plan: UploadPlan,
    knowledge_base: Option<KnowledgeBaseId>,
) -> Result<File, Problem> {
    let files = app.store().files(caller.tenant());
    let cause = caller.cause();
    for _ in 0..TRIES {
        let base = match knowledge_base {
            Some(id) => Some(base(app, caller, id).await?),
            None => None,
        };
        match files
            .create(&cause, file.clone(), plan.clone(), base.as_ref())
            .await
        {
            Err(error) if error.is_changed() => {}
            result => return Ok(result?),
        }
    }
    Err(Problem::changed("knowledge base"))
}

async fn base(
    app: &api::App,
    caller: &api::Caller,
    id: KnowledgeBaseId,
) -> Result<KnowledgeBase, Problem> {
    app.store()
        .knowledge(caller.tenant())
        .base(id)
        .await?
        .ok_or_else(|| {
            let message = "is not a knowledge base of this organization";
            Problem::invalid_field("/knowledge_base_id", message)
        })
}

fn pending(caller: &api::Caller, body: NewUpload, now: Timestamp) -> File {
    File {
        id: FileId::generate(now),
        org: caller.tenant().org(),
        name: body.name,
        url: None,
        content_type: body.content_type,
        size_bytes: body.size_bytes,
        sha256: body.sha256,
        status: FileStatus::Pending,
        content_version: 1,
        last_content_version: 1,
        uploaded_as: 1,
        format: None,
        title: None,
        language: None,
        programming_language: None,
        characters: None,
        job: None,
        pages: None,
        chunks: None,
        failure: None,
        deletion: None,
        knowledge_bases: Vec::new(),
        uploaded_by: caller.principal().actor(),
        created_at: now,
        updated_at: now,
        version: 1,
    }
}

fn file_name(name: &str, (): &()) -> garde::Result {
    if is_file_name(name) {
        return Ok(());
    }
    Err(garde::Error::new(
        "must be a file name of at most 255 characters, without a path or control characters",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_wrong_field_is_named() {
        let body = NewUpload {
            name: "../etc/passwd".to_owned(),
            content_type: "pdf".to_owned(),
            size_bytes: MAX_FILE_BYTES + 1,
            sha256: "abc".to_owned(),
            knowledge_base_id: None,
            on_duplicate: OnDuplicate::Keep,
        };
        let report = body.validate().expect_err("no field is right");
        let mut fields: Vec<String> = report.iter().map(|(path, _)| path.to_string()).collect();
        fields.sort();
        assert_eq!(fields, ["content_type", "name", "sha256", "size_bytes"]);
    }
}
