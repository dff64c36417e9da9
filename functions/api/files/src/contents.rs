//! What uploads have in common: what is announced, what is offered, what was uploaded.

use std::collections::BTreeMap;
use std::time::Duration;

use api::Problem;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::file::{Content, File, FileStatus, FileVersion, MAX_REQUEST_BYTES, Parts};
use kernel::Timestamp;
use serde::Serialize;
use store::files::versions::UploadPlan;
use store::objects::parts::Assembly;
use store::objects::{PARTED_UPLOAD_LIFETIME, SignedRequest, URL_LIFETIME, UploadedObject};
use utoipa::ToSchema;

const SHA256_BYTES: usize = 32;
/// How often it is looked for a content that another confirmation puts together: for five seconds,
/// well within the time of a request.
const LOOKS: u32 = 20;
const LOOK_EVERY: Duration = Duration::from_millis(250);
pub(crate) const MAX_CONTENT_TYPE_BYTES: usize = 255;

/// The request that uploads a file's content. Send exactly these headers with exactly the
/// announced content, then confirm it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Upload {
    #[schema(example = "PUT")]
    method: &'static str,
    url: String,
    headers: BTreeMap<String, String>,
    expires_at: Timestamp,
}

impl Upload {
    pub(crate) fn until(expires_at: Timestamp, request: SignedRequest) -> Self {
        Self {
            method: request.method,
            url: request.url,
            headers: request.headers.into_iter().collect(),
            expires_at,
        }
    }
}

/// A content as it is announced.
pub(crate) struct Announced<'a> {
    pub(crate) content: Content,
    pub(crate) content_type: &'a str,
    pub(crate) size_bytes: u64,
    pub(crate) sha256: &'a str,
}

impl Announced<'_> {
    /// How it is to be uploaded: by one request, or in parts. Offered before anything is noted, so
    /// that an offer that cannot be made leaves nothing behind.
    pub(crate) async fn offer(
        &self,
        app: &api::App,
        caller: &api::Caller,
    ) -> Result<(UploadPlan, Option<Upload>), Problem> {
        let now = app.store().now();
        let objects = app.store().objects(caller.tenant());
        if self.size_bytes > MAX_REQUEST_BYTES {
            let upload_id = objects.begin_parts(self.content, self.content_type).await?;
            let plan = UploadPlan {
                expires_at: now.plus(PARTED_UPLOAD_LIFETIME),
                parts: Some(Parts::of(self.size_bytes, upload_id)),
            };
            return Ok((plan, None));
        }
        let request = objects
            .presign_upload(
                self.content,
                self.content_type,
                self.size_bytes,
                self.sha256,
            )
            .await?;
        let plan = UploadPlan {
            expires_at: now.plus(URL_LIFETIME),
            parts: None,
        };
        let upload = Upload::until(plan.expires_at, request);
        Ok((plan, Some(upload)))
    }
}

/// Gives up parts of which nothing is noted, or nothing any more. What fails here, the bucket's
/// lifecycle rule or the upload's expiry does later.
pub(crate) async fn give_up(
    app: &api::App,
    caller: &api::Caller,
    content: Content,
    parts: Option<&Parts>,
) {
    let Some(parts) = parts else { return };
    let objects = app.store().objects(caller.tenant());
    if let Err(error) = objects.give_up_parts(content, &parts.upload_id).await {
        tracing::warn!(%error, file = %content.file, "parts of an upload are left");
    }
}

/// Where to download a content, once and again until the URL expires.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Download {
    #[schema(example = "GET")]
    method: &'static str,
    url: String,
    expires_at: Timestamp,
}

impl Download {
    pub(crate) async fn offer(
        app: &api::App,
        caller: &api::Caller,
        content: Content,
        name: &str,
    ) -> Result<Self, Problem> {
        let expires_at = app.store().now().plus(URL_LIFETIME);
        let objects = app.store().objects(caller.tenant());
        let request = objects.presign_download(content, name).await?;
        Ok(Self {
            method: request.method,
            url: request.url,
            expires_at,
        })
    }
}

/// Confirms that the upload of a content is complete, and gives the file that content. To confirm it
/// again changes nothing.
pub(crate) async fn confirm(
    app: &api::App,
    caller: &api::Caller,
    file: File,
    content: FileVersion,
) -> Result<File, Problem> {
    let files = app.store().files(caller.tenant());
    let cause = caller.cause();
    let (mut file, mut content) = (file, content);
    let mut is_uploaded = false;
    for _ in 0..crate::TRIES {
        if is_confirmed(&file, &content)? {
            return Ok(file);
        }
        if !is_uploaded {
            let uploaded = uploaded(app, caller, &content).await?;
            check_upload(&content, uploaded.as_ref())?;
            is_uploaded = true;
        }
        match files.confirm(&cause, &file, &content).await {
            // Another confirmation came first, or the file was put into a knowledge base.
            Err(error) if error.is_changed() => {
                let (id, number) = (file.id, content.number);
                file = files
                    .get(id)
                    .await?
                    .ok_or_else(|| Problem::not_found("file"))?;
                content = files
                    .version(id, number)
                    .await?
                    .ok_or_else(|| Problem::not_found("file version"))?;
            }
            result => return Ok(result?),
        }
    }
    Err(Problem::changed("file"))
}

/// What was uploaded; parts are put together first.
async fn uploaded(
    app: &api::App,
    caller: &api::Caller,
    content: &FileVersion,
) -> Result<Option<UploadedObject>, Problem> {
    let objects = app.store().objects(caller.tenant());
    let found = objects.uploaded(content.content()).await?;
    let (None, Some(parts)) = (&found, &content.parts) else {
        return Ok(found);
    };
    match objects.assemble(content.content(), parts).await? {
        Assembly::Missing(numbers) => Err(not_uploaded(format!(
            "{} of {} parts were not uploaded: {}.",
            numbers.len(),
            parts.count,
            listed(&numbers)
        ))),
        Assembly::Whole => Ok(objects.uploaded(content.content()).await?),
        // Another confirmation has put them together, or is about to.
        Assembly::Gone => {
            for _ in 0..LOOKS {
                if let Some(found) = objects.uploaded(content.content()).await? {
                    return Ok(Some(found));
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
            Ok(None)
        }
    }
}

fn listed(numbers: &[u32]) -> String {
    let numbers: Vec<String> = numbers.iter().map(u32::to_string).collect();
    numbers.join(", ")
}

fn is_confirmed(file: &File, content: &FileVersion) -> Result<bool, Problem> {
    use domain::file::FileVersionStatus::{Abandoned, Pending, Uploaded};
    match content.status {
        Uploaded => Ok(true),
        Abandoned => Err(Problem::conflict(
            "upload_abandoned",
            "This upload was given up. Announce the content anew.",
        )),
        Pending if file.status != FileStatus::Pending && file.content_version > content.number => {
            Err(Problem::conflict(
                "version_superseded",
                "The file has got a newer content meanwhile. Announce this one anew.",
            ))
        }
        Pending => Ok(false),
    }
}

/// The upload is bound to what was announced, so that S3 refuses anything else. This is the second
/// look, for stores that are less strict.
fn check_upload(content: &FileVersion, uploaded: Option<&UploadedObject>) -> Result<(), Problem> {
    let Some(uploaded) = uploaded else {
        return Err(not_uploaded(
            "The content was not uploaded yet. Send it to the upload URL, then confirm again.",
        ));
    };
    if uploaded.size_bytes != content.size_bytes {
        return Err(not_uploaded(format!(
            "{} bytes were uploaded, and {} were announced.",
            uploaded.size_bytes, content.size_bytes
        )));
    }
    if uploaded
        .sha256
        .as_ref()
        .is_some_and(|sha256| *sha256 != content.sha256)
    {
        return Err(not_uploaded(
            "The uploaded content does not have the announced checksum.",
        ));
    }
    Ok(())
}

pub(crate) fn not_uploaded(detail: impl Into<String>) -> Problem {
    Problem::conflict("not_uploaded", detail.into())
}

/// It becomes a header of the upload, so what no header can hold is refused.
pub(crate) fn media_type(text: &str, (): &()) -> garde::Result {
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

pub(crate) fn checksum(text: &str, (): &()) -> garde::Result {
    match STANDARD.decode(text) {
        Ok(digest) if digest.len() == SHA256_BYTES => Ok(()),
        _ => Err(garde::Error::new(
            "must be the 32 bytes of a SHA-256 in base64",
        )),
    }
}

#[cfg(test)]
mod tests {
    use domain::event::Actor;
    use domain::file::FileVersionStatus;
    use kernel::{FileId, OrgId};

    use super::*;

    fn content() -> FileVersion {
        let now = Timestamp::from_millis(1_767_225_600_000);
        FileVersion {
            org: OrgId::from_u128(1),
            file: FileId::from_u128(2),
            number: 1,
            status: FileVersionStatus::Pending,
            content_type: "text/markdown".to_owned(),
            size_bytes: 12,
            sha256: "announced".to_owned(),
            uploaded_as: 1,
            parts: None,
            upload_expires_at: now,
            uploaded_by: Actor::System,
            created_at: now,
            updated_at: now,
            version: 1,
        }
    }

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
            assert!(check_upload(&content(), Some(&right)).is_ok(), "{right:?}");
        }
        let wrong = [
            uploaded(11, Some("announced")),
            uploaded(12, Some("another")),
        ];
        for upload in [None, Some(&wrong[0]), Some(&wrong[1])] {
            let problem = check_upload(&content(), upload).expect_err("the upload is not right");
            assert_eq!(
                (problem.status().as_u16(), problem.code()),
                (409, "not_uploaded")
            );
        }
    }
}
