//! The parts of a content that is too large for one request.

use std::collections::BTreeSet;

use api::{FileContent, Json, Owned, Problem, Problems, Write};
use axum::extract::State;
use domain::file::{FileVersion, FileVersionStatus};
use garde::Validate;
use kernel::FileId;
use serde::{Deserialize, Serialize};
use store::objects::URL_LIFETIME;
use utoipa::ToSchema;

use crate::contents::{Upload, checksum};

/// The most parts that are asked for at once.
const MAX_PARTS: usize = 100;

/// Parts that are about to be uploaded.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewParts {
    #[garde(length(min = 1, max = MAX_PARTS), dive)]
    #[schema(min_items = 1, max_items = 100)]
    parts: Vec<NewPart>,
}

/// A part that is about to be uploaded. Its length follows from its number.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewPart {
    /// Its number, from 1.
    #[garde(range(min = 1))]
    #[schema(minimum = 1)]
    number: u32,
    /// The SHA-256 of the part, in base64.
    #[garde(custom(checksum))]
    #[schema(
        min_length = 44,
        max_length = 44,
        example = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
    )]
    sha256: String,
}

/// The requests that upload parts.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OfferedParts {
    parts: Vec<OfferedPart>,
}

/// The request that uploads one part.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OfferedPart {
    number: u32,
    upload: Upload,
}

/// Get URLs to upload parts of a content to, each bound to length and checksum. A part may be
/// uploaded again until the content is confirmed.
#[utoipa::path(
    post, path = "/v1/files/{file_id}/versions/{version}/parts", tag = "files",
    operation_id = "upload_file_parts",
    params(("file_id" = FileId, Path), ("version" = u32, Path)),
    request_body = NewParts,
    security(("bearer" = ["files:write"])),
    responses((status = 200, body = OfferedParts), Problems),
)]
pub(crate) async fn upload_parts(
    State(app): State<api::App>,
    version: Owned<FileContent, Write>,
    Json(body): Json<NewParts>,
) -> Result<axum::Json<OfferedParts>, Problem> {
    let content = &version.item.content;
    let lengths = lengths(content, &body.parts)?;
    let upload_id = content.parts.as_ref().map_or("", |parts| &parts.upload_id);
    let objects = app.store().objects(version.caller.tenant());
    let expires_at = app.store().now().plus(URL_LIFETIME);
    let mut parts = Vec::with_capacity(body.parts.len());
    for (part, bytes) in body.parts.iter().zip(lengths) {
        let request = objects
            .presign_part(
                content.content(),
                upload_id,
                part.number,
                bytes,
                &part.sha256,
            )
            .await?;
        parts.push(OfferedPart {
            number: part.number,
            upload: Upload::until(expires_at, request),
        });
    }
    Ok(axum::Json(OfferedParts { parts }))
}

/// The length of each part, if the content has such parts and waits for them.
fn lengths(content: &FileVersion, asked: &[NewPart]) -> Result<Vec<u64>, Problem> {
    let Some(parts) = &content.parts else {
        return Err(Problem::conflict(
            "not_in_parts",
            "This content is uploaded by one request.",
        ));
    };
    if content.status != FileVersionStatus::Pending {
        return Err(Problem::conflict(
            "version_in_use",
            "This content was confirmed or given up, so no part of it is uploaded any more.",
        ));
    }
    let mut seen = BTreeSet::new();
    let lengths = asked.iter().enumerate().map(|(index, part)| {
        let field = || format!("/parts/{index}/number");
        if !seen.insert(part.number) {
            return Err(Problem::invalid_field(field(), "is there twice"));
        }
        parts.bytes_of(part.number).ok_or_else(|| {
            let message = format!("is no part of this content, which has {}", parts.count);
            Problem::invalid_field(field(), message)
        })
    });
    lengths.collect()
}

#[cfg(test)]
mod tests {
    use domain::event::Actor;
    use domain::file::{PART_BYTES, Parts};
    use kernel::{OrgId, Timestamp};

    use super::*;

    fn content(status: FileVersionStatus, parts: Option<Parts>) -> FileVersion {
        let now = Timestamp::from_millis(1_767_225_600_000);
        FileVersion {
            org: OrgId::from_u128(1),
            file: FileId::from_u128(2),
            number: 1,
            status,
            content_type: "video/mp4".to_owned(),
            size_bytes: 2 * PART_BYTES + 5,
            sha256: String::new(),
            uploaded_as: 1,
            parts,
            upload_expires_at: now,
            uploaded_by: Actor::System,
            created_at: now,
            updated_at: now,
            version: 1,
        }
    }

    fn asked(numbers: &[u32]) -> Vec<NewPart> {
        let part = |number: &u32| NewPart {
            number: *number,
            sha256: String::new(),
        };
        numbers.iter().map(part).collect()
    }

    #[test]
    fn the_length_of_a_part_follows_from_its_number() {
        let parts = Some(Parts::of(2 * PART_BYTES + 5, "u".to_owned()));
        let pending = content(FileVersionStatus::Pending, parts.clone());
        assert_eq!(
            lengths(&pending, &asked(&[3, 1])).expect("parts"),
            [5, PART_BYTES]
        );
        for (numbers, field) in [
            (&[4][..], "/parts/0/number"),
            (&[1, 2, 1], "/parts/2/number"),
        ] {
            let problem = format!("{:?}", lengths(&pending, &asked(numbers)).unwrap_err());
            assert!(problem.contains(field), "{problem}");
        }
        let uploaded = content(FileVersionStatus::Uploaded, parts);
        let whole = content(FileVersionStatus::Pending, None);
        for (content, code) in [(uploaded, "version_in_use"), (whole, "not_in_parts")] {
            let problem = lengths(&content, &asked(&[1])).unwrap_err();
            assert_eq!((problem.status().as_u16(), problem.code()), (409, code));
        }
    }
}
