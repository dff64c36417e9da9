use api::{Owned, Problem, Problems, Versioned, Write};
use axum::extract::State;
use domain::file::{File, FileStatus};
use kernel::FileId;
use store::objects::UploadedObject;

use crate::TRIES;

/// Say that the upload of a file is complete: a worker begins to read it. Confirming a file again
/// changes nothing and answers with the file as it stands.
#[utoipa::path(
    post, path = "/v1/files/{file_id}/confirm", tag = "files", operation_id = "confirm_file",
    params(("file_id" = FileId, Path)),
    security(("bearer" = ["files:write"])),
    responses((status = 200, body = File), Problems),
)]
pub(crate) async fn confirm(
    State(app): State<api::App>,
    file: Owned<File, Write>,
) -> Result<Versioned<File>, Problem> {
    let tenant = file.caller.tenant();
    let files = app.store().files(tenant);
    let cause = file.caller.cause();
    let mut current = file.item;
    if current.status == FileStatus::Pending {
        let uploaded = app.store().objects(tenant).uploaded(current.id).await?;
        check_upload(&current, uploaded.as_ref())?;
    }
    for _ in 0..TRIES {
        if current.status != FileStatus::Pending {
            return Ok(Versioned::new(current.version, current));
        }
        match files.confirm(&cause, &current).await {
            // Another confirmation came first, or the file was put into a knowledge base.
            Err(error) if error.is_changed() => {
                current = files
                    .get(current.id)
                    .await?
                    .ok_or_else(|| Problem::not_found("file"))?;
            }
            result => current = result?,
        }
    }
    Err(Problem::changed("file"))
}

/// The upload is bound to what was announced, so that S3 refuses anything else. This is the second
/// look, for stores that are less strict.
fn check_upload(file: &File, uploaded: Option<&UploadedObject>) -> Result<(), Problem> {
    let refused = |detail: String| Err(Problem::conflict("not_uploaded", detail));
    let Some(uploaded) = uploaded else {
        return refused(
            "The content of this file was not uploaded yet. Send it to the upload URL, then \
             confirm again."
                .to_owned(),
        );
    };
    if uploaded.size_bytes != file.size_bytes {
        return refused(format!(
            "{} bytes were uploaded, and {} were announced.",
            uploaded.size_bytes, file.size_bytes
        ));
    }
    if uploaded
        .sha256
        .as_ref()
        .is_some_and(|sha256| *sha256 != file.sha256)
    {
        return refused("The uploaded content does not have the announced checksum.".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use domain::event::Actor;
    use kernel::{OrgId, Timestamp};

    use super::*;

    fn file() -> File {
        let now = Timestamp::from_millis(1_767_225_600_000);
        File {
            id: FileId::from_u128(2),
            org: OrgId::from_u128(1),
            name: "a.md".to_owned(),
            content_type: "text/markdown".to_owned(),
            size_bytes: 12,
            sha256: "announced".to_owned(),
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
            uploaded_by: Actor::System,
            created_at: now,
            updated_at: now,
            version: 1,
        }
    }

    fn uploaded(size_bytes: u64, sha256: Option<&str>) -> UploadedObject {
        UploadedObject {
            size_bytes,
            content_type: None,
            sha256: sha256.map(str::to_owned),
        }
    }

    #[test]
    fn an_upload_is_there_with_the_announced_size_and_checksum() {
        for right in [uploaded(12, Some("announced")), uploaded(12, None)] {
            assert!(check_upload(&file(), Some(&right)).is_ok(), "{right:?}");
        }
        let wrong = [
            uploaded(11, Some("announced")),
            uploaded(12, Some("another")),
        ];
        for upload in [None, Some(&wrong[0]), Some(&wrong[1])] {
            let problem = check_upload(&file(), upload).expect_err("the upload is not right");
            assert_eq!(
                (problem.status().as_u16(), problem.code()),
                (409, "not_uploaded")
            );
        }
    }
}
