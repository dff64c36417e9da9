use std::collections::BTreeMap;

use api::{Granted, Json, Problem, Problems, Write};
use axum::extract::State;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::file::{File, FileStatus, MAX_FILE_BYTES, is_file_name};
use domain::knowledge::KnowledgeBase;
use domain::permission::Permission;
use garde::Validate;
use kernel::{FileId, KnowledgeBaseId, OrgId, Timestamp};
use serde::{Deserialize, Serialize};
use store::objects::{SignedRequest, URL_LIFETIME};
use utoipa::ToSchema;

use crate::TRIES;

const SHA256_BYTES: usize = 32;
const MAX_CONTENT_TYPE_BYTES: usize = 255;

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
    #[schema(minimum = 1, maximum = 268_435_456, example = 12_076)]
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
}

/// A file and how to upload its content.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OfferedUpload {
    file: File,
    upload: Upload,
}

/// The request that uploads a file's content. Send exactly these headers with exactly the
/// announced content, then confirm the file.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Upload {
    #[schema(example = "PUT")]
    method: &'static str,
    url: String,
    headers: BTreeMap<String, String>,
    expires_at: Timestamp,
}

/// Announce a file, and get a URL to upload it to.
#[utoipa::path(
    post, path = "/v1/orgs/{org_id}/files/upload", tag = "files", operation_id = "upload_file",
    params(("org_id" = OrgId, Path)),
    request_body = NewUpload,
    security(("bearer" = ["files:write"])),
    responses((status = 201, body = OfferedUpload), Problems),
)]
pub(crate) async fn upload(
    State(app): State<api::App>,
    caller: Granted<File, Write>,
    Json(body): Json<NewUpload>,
) -> Result<axum::response::Response, Problem> {
    if body.knowledge_base_id.is_some() {
        caller.require(Permission::KnowledgeWrite, &app).await?;
    }
    let now = app.store().now();
    let id = FileId::generate(now);
    // Signed first: an offer that cannot be made leaves no file behind.
    let request = app
        .store()
        .objects(caller.tenant())
        .presign_upload(id, &body.content_type, body.size_bytes, &body.sha256)
        .await?;
    let knowledge_base = body.knowledge_base_id;
    let file = create(
        &app,
        &caller,
        pending(&caller, body, id, now),
        knowledge_base,
    )
    .await?;
    let location = format!("/v1/files/{id}");
    let upload = offer(request, now.plus(URL_LIFETIME));
    Ok(api::created(
        &location,
        axum::Json(OfferedUpload { file, upload }),
    ))
}

async fn create(
    app: &api::App,
    caller: &api::Caller,
    file: File,
    knowledge_base: Option<KnowledgeBaseId>,
) -> Result<File, Problem> {
    let files = app.store().files(caller.tenant());
    let cause = caller.cause();
    for _ in 0..TRIES {
        let base = match knowledge_base {
            Some(id) => Some(base(app, caller, id).await?),
            None => None,
        };
        match files.create(&cause, file.clone(), base.as_ref()).await {
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

fn pending(caller: &api::Caller, body: NewUpload, id: FileId, now: Timestamp) -> File {
    File {
        id,
        org: caller.tenant().org(),
        name: body.name,
        content_type: body.content_type,
        size_bytes: body.size_bytes,
        sha256: body.sha256,
        status: FileStatus::Pending,
        format: None,
        title: None,
        language: None,
        programming_language: None,
        characters: None,
        pages: None,
        chunks: None,
        failure: None,
        knowledge_bases: Vec::new(),
        uploaded_by: caller.principal().actor(),
        created_at: now,
        updated_at: now,
        version: 1,
    }
}

fn offer(request: SignedRequest, expires_at: Timestamp) -> Upload {
    Upload {
        method: request.method,
        url: request.url,
        headers: request.headers.into_iter().collect(),
        expires_at,
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

/// It becomes a header of the upload, so what no header can hold is refused.
fn media_type(text: &str, (): &()) -> garde::Result {
    let is_token = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
    };
    let essence = text.split(';').next().unwrap_or_default().trim_end();
    let valid = text.len() <= MAX_CONTENT_TYPE_BYTES
        && text
            .bytes()
            .all(|byte| byte == b' ' || byte.is_ascii_graphic())
        && text.trim() == text
        && essence
            .split_once('/')
            .is_some_and(|(kind, sub)| is_token(kind) && is_token(sub));
    if valid {
        Ok(())
    } else {
        Err(garde::Error::new("must be a media type, as `text/plain`"))
    }
}

fn checksum(text: &str, (): &()) -> garde::Result {
    match STANDARD.decode(text) {
        Ok(digest) if digest.len() == SHA256_BYTES => Ok(()),
        _ => Err(garde::Error::new(
            "must be the 32 bytes of a SHA-256 in base64",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_media_type_has_two_parts_and_fits_into_a_header() {
        for text in [
            "application/pdf",
            "text/markdown; charset=utf-8",
            "image/svg+xml",
        ] {
            assert!(media_type(text, &()).is_ok(), "{text:?}");
        }
        let long = format!("text/{}", "x".repeat(MAX_CONTENT_TYPE_BYTES));
        for text in [
            "",
            "text",
            "/",
            "text/",
            "/plain",
            "text/plain\r\nx: y",
            " text/plain",
            "text/pläin",
            "text/plain/x",
            "te xt/plain",
            long.as_str(),
        ] {
            assert!(media_type(text, &()).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_checksum_is_32_bytes_in_base64_as_s3_writes_it() {
        let text = STANDARD.encode([7_u8; SHA256_BYTES]);
        assert!(checksum(&text, &()).is_ok());
        let hexadecimal = "07".repeat(SHA256_BYTES);
        let short = STANDARD.encode([7_u8; 31]);
        let long = STANDARD.encode([7_u8; 33]);
        let url_safe = STANDARD.encode([255_u8; SHA256_BYTES]).replace('/', "_");
        let unpadded = text.trim_end_matches('=');
        for text in ["", &hexadecimal, &short, &long, &url_safe, unpadded] {
            assert!(checksum(text, &()).is_err(), "{text:?}");
        }
    }

    #[test]
    fn every_wrong_field_is_named() {
        let body = NewUpload {
            name: "../etc/passwd".to_owned(),
            content_type: "pdf".to_owned(),
            size_bytes: MAX_FILE_BYTES + 1,
            sha256: "abc".to_owned(),
            knowledge_base_id: None,
        };
        let report = body.validate().expect_err("no field is right");
        let mut fields: Vec<String> = report.iter().map(|(path, _)| path.to_string()).collect();
        fields.sort();
        assert_eq!(fields, ["content_type", "name", "sha256", "size_bytes"]);
    }
}
