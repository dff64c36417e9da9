//! Files in S3: uploads that clients make themselves, and what processing keeps beside them.

pub mod parts;

use std::time::Duration;

use aws_sdk_s3::error::{DisplayErrorContext, ProvideErrorMetadata as _};
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::presigning::{PresignedRequest, PresigningConfig};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::ChecksumMode;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::file::{Content, Preview};
use kernel::FileId;
use kernel::digest::Sha256;

use crate::{Store, Tenant};

/// How long an upload or download URL works.
pub const URL_LIFETIME: Duration = Duration::from_secs(15 * 60);

/// How long a content that comes in parts may take, from its announcement to its confirmation.
pub const PARTED_UPLOAD_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);
/// By how much S3's clock and ours may differ, and an upload that has begun may take longer.
pub const UPLOAD_GRACE: Duration = Duration::from_secs(5 * 60);

const PREVIEW: &str = "preview.json";
const THUMBNAIL: &str = "thumbnail.png";
const MAX_PREVIEW_BYTES: u64 = 64 * 1024;

/// Why an object could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    /// There is no such object.
    #[error("the object is not there")]
    Missing,
    /// The object is larger than the caller would take.
    #[error("the object has {bytes} bytes, more than {most}")]
    TooLarge { bytes: u64, most: u64 },
    /// S3 did not answer, or refused.
    #[error("the object store is unavailable: {0}")]
    Unavailable(String),
}

/// A request that a client may make by itself, with exactly these headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedRequest {
    pub method: &'static str,
    pub url: String,
    /// Headers the request must carry, or S3 refuses it.
    pub headers: Vec<(String, String)>,
}

impl SignedRequest {
    fn put(request: &PresignedRequest) -> Self {
        let headers = request.headers();
        Self {
            method: "PUT",
            url: request.uri().to_owned(),
            headers: headers
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
        }
    }
}

/// What S3 says of an uploaded object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadedObject {
    pub size_bytes: u64,
    pub content_type: Option<String>,
    /// Base64, where S3 computed one of the whole.
    pub sha256: Option<String>,
}

/// The objects of one org.
#[derive(Debug, Clone, Copy)]
pub struct Objects<'a> {
    store: &'a Store,
    tenant: Tenant,
}

impl Store {
    /// The objects of an org.
    #[must_use]
    pub fn objects(&self, tenant: Tenant) -> Objects<'_> {
        Objects {
            store: self,
            tenant,
        }
    }
}

impl Objects<'_> {
    /// What belongs to one upload of a file lies together.
    pub(crate) fn key(&self, content: Content, name: &str) -> String {
        let Content { file, number } = content;
        format!("orgs/{}/files/{file}/v{number}/{name}", self.tenant.org())
    }

    fn content_key(&self, content: Content) -> String {
        self.key(content, "content")
    }

    fn result_key(&self, sha256: &str) -> String {
        format!("orgs/{}/results/{sha256}", self.tenant.org())
    }

    /// An upload bound to length, type and checksum: S3 refuses a body that differs.
    ///
    /// # Errors
    /// [`ObjectError::Unavailable`] without usable credentials.
    pub async fn presign_upload(
        &self,
        content: Content,
        content_type: &str,
        size_bytes: u64,
        sha256: &str,
    ) -> Result<SignedRequest, ObjectError> {
        let request = self
            .store
            .clients
            .s3()
            .put_object()
            .bucket(&self.store.config.files_bucket)
            .key(self.content_key(content))
            .content_type(content_type)
            .content_length(i64::try_from(size_bytes).unwrap_or(i64::MAX))
            .checksum_sha256(sha256)
            .presigned(presigning()?)
            .await
            .map_err(unavailable)?;
        Ok(SignedRequest::put(&request))
    }

    /// A download that the browser saves under `file_name`.
    ///
    /// # Errors
    /// [`ObjectError::Unavailable`] without usable credentials.
    pub async fn presign_download(
        &self,
        content: Content,
        file_name: &str,
    ) -> Result<SignedRequest, ObjectError> {
        self.presign_get(self.content_key(content), &attachment(file_name))
            .await
    }

    async fn presign_get(
        &self,
        key: String,
        disposition: &str,
    ) -> Result<SignedRequest, ObjectError> {
        let request = self
            .store
            .clients
            .s3()
            .get_object()
            .bucket(&self.store.config.files_bucket)
            .key(key)
            .response_content_disposition(disposition)
            .presigned(presigning()?)
            .await
            .map_err(unavailable)?;
        Ok(SignedRequest {
            method: "GET",
            url: request.uri().to_owned(),
            headers: Vec::new(),
        })
    }

    /// What was uploaded for a file; `None` if nothing was.
    ///
    /// # Errors
    /// [`ObjectError::Unavailable`] if S3 does not answer.
    pub async fn uploaded(&self, content: Content) -> Result<Option<UploadedObject>, ObjectError> {
        let result = self
            .store
            .clients
            .s3()
            .head_object()
            .bucket(&self.store.config.files_bucket)
            .key(self.content_key(content))
            .checksum_mode(ChecksumMode::Enabled)
            .send()
            .await;
        match result {
            Ok(output) => Ok(Some(UploadedObject {
                size_bytes: u64::try_from(output.content_length().unwrap_or(0)).unwrap_or(0),
                content_type: output.content_type().map(str::to_owned),
                // Of a content that came in parts it is one of their checksums, and says so.
                sha256: output
                    .checksum_sha256()
                    .filter(|checksum| !checksum.contains('-'))
                    .map(str::to_owned),
            })),
            Err(error) if error.as_service_error().is_some_and(|e| e.is_not_found()) => Ok(None),
            Err(error) => Err(unavailable(error)),
        }
    }

    /// Keeps a content of a file unless there is one under its number. `false` if there is: an object
    /// is written once, and one that is there may be what a row has come to name meanwhile.
    ///
    /// # Errors
    /// [`ObjectError::Unavailable`] if S3 does not take it.
    pub async fn keep_content(
        &self,
        content: Content,
        content_type: &str,
        body: Vec<u8>,
    ) -> Result<bool, ObjectError> {
        let kept = self
            .store
            .clients
            .s3()
            .put_object()
            .bucket(&self.store.config.files_bucket)
            .key(self.content_key(content))
            .content_type(content_type)
            .if_none_match("*")
            .body(body.into())
            .send()
            .await;
        match kept {
            Ok(_) => Ok(true),
            Err(error) if error.code() == Some("PreconditionFailed") => Ok(false),
            Err(error) => Err(unavailable(error)),
        }
    }

    /// The content of an uploaded file, piece by piece.
    ///
    /// # Errors
    /// [`ObjectError::Missing`] or [`ObjectError::Unavailable`].
    pub async fn content(&self, content: Content) -> Result<ContentStream, ObjectError> {
        let output = self.get(self.content_key(content)).await?;
        Ok(ContentStream {
            size_bytes: u64::try_from(output.content_length().unwrap_or(0)).unwrap_or(0),
            body: output.body,
        })
    }

    /// The SHA-256 of a content, in base64, read from its first byte to its last.
    ///
    /// # Errors
    /// [`ObjectError::Missing`] or [`ObjectError::Unavailable`].
    pub async fn sha256(&self, content: Content) -> Result<String, ObjectError> {
        let mut stream = self.content(content).await?;
        let mut hash = Sha256::new();
        while let Some(piece) = stream.next().await? {
            hash.update(&piece);
        }
        Ok(STANDARD.encode(hash.finish()))
    }

    /// What of a content is shown to people; `None` if it was not read.
    ///
    /// # Errors
    /// [`ObjectError::TooLarge`] or [`ObjectError::Unavailable`].
    pub async fn preview(&self, content: Content) -> Result<Option<Preview>, ObjectError> {
        let key = self.key(content, PREVIEW);
        match self.read(key, MAX_PREVIEW_BYTES).await {
            Ok(json) => Ok(serde_json::from_slice(&json).ok()),
            Err(ObjectError::Missing) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Keeps what of a content is shown to people, with its thumbnail if it is a picture.
    ///
    /// # Errors
    /// [`ObjectError::Unavailable`] if S3 does not take it.
    pub async fn keep_preview(
        &self,
        content: Content,
        preview: &Preview,
        thumbnail: Option<Vec<u8>>,
    ) -> Result<(), ObjectError> {
        if let Some(png) = thumbnail {
            let key = self.key(content, THUMBNAIL);
            self.put(key, "image/png", png).await?;
        }
        let json = serde_json::to_vec(preview)
            .unwrap_or_else(|error| unreachable!("texts and numbers: {error}"));
        self.put(self.key(content, PREVIEW), "application/json", json)
            .await
    }

    /// A download of the thumbnail of a picture. It was written by us, so a page may show it.
    ///
    /// # Errors
    /// [`ObjectError::Unavailable`] without usable credentials.
    pub async fn presign_thumbnail(&self, content: Content) -> Result<SignedRequest, ObjectError> {
        self.presign_get(self.key(content, THUMBNAIL), "inline")
            .await
    }

    /// A tool's result that was too large for the journal, by the SHA-256 of its content in
    /// hexadecimal.
    ///
    /// # Errors
    /// [`ObjectError::Missing`], [`ObjectError::TooLarge`] or [`ObjectError::Unavailable`].
    pub async fn result(&self, sha256: &str, most: u64) -> Result<Vec<u8>, ObjectError> {
        self.read(self.result_key(sha256), most).await
    }

    /// Keeps a tool's result that is too large for the journal. The same content is kept once.
    ///
    /// # Errors
    /// [`ObjectError::Unavailable`] if S3 does not take it.
    pub async fn keep_result(&self, sha256: &str, body: Vec<u8>) -> Result<(), ObjectError> {
        self.put(self.result_key(sha256), "text/plain; charset=utf-8", body)
            .await
    }

    /// Removes a content of a file and what was made of it.
    ///
    /// # Errors
    /// [`ObjectError::Unavailable`] if S3 does not answer; what was removed stays removed.
    pub async fn remove(&self, content: Content) -> Result<(), ObjectError> {
        self.remove_below(self.key(content, "")).await
    }

    /// Removes every object of a file: also what somebody stored who died before a row named it.
    ///
    /// # Errors
    /// As [`remove`](Self::remove).
    pub async fn remove_file(&self, file: FileId) -> Result<(), ObjectError> {
        let folder = format!("orgs/{}/files/{file}/", self.tenant.org());
        self.remove_below(folder).await
    }

    async fn remove_below(&self, folder: String) -> Result<(), ObjectError> {
        let s3 = self.store.clients.s3();
        let bucket = &self.store.config.files_bucket;
        loop {
            // What is removed is not listed again, so each page is the first one.
            let list = s3.list_objects_v2().bucket(bucket).prefix(&folder);
            let found = list.send().await.map_err(unavailable)?;
            for object in found.contents() {
                let Some(key) = object.key() else { continue };
                let delete = s3.delete_object().bucket(bucket).key(key);
                delete.send().await.map_err(unavailable)?;
            }
            if found.is_truncated() != Some(true) {
                return Ok(());
            }
        }
    }

    pub(crate) async fn put(
        &self,
        key: String,
        content_type: &str,
        body: Vec<u8>,
    ) -> Result<(), ObjectError> {
        self.store
            .clients
            .s3()
            .put_object()
            .bucket(&self.store.config.files_bucket)
            .key(key)
            .content_type(content_type)
            .body(body.into())
            .send()
            .await
            .map(drop)
            .map_err(unavailable)
    }

    pub(crate) async fn read(&self, key: String, most: u64) -> Result<Vec<u8>, ObjectError> {
        let output = self.get(key).await?;
        let bytes = u64::try_from(output.content_length().unwrap_or(0)).unwrap_or(0);
        if bytes > most {
            return Err(ObjectError::TooLarge { bytes, most });
        }
        let body = output
            .body
            .collect()
            .await
            .map_err(|error| ObjectError::Unavailable(error.to_string()))?;
        Ok(body.to_vec())
    }

    async fn get(&self, key: String) -> Result<GetObjectOutput, ObjectError> {
        let result = self
            .store
            .clients
            .s3()
            .get_object()
            .bucket(&self.store.config.files_bucket)
            .key(key)
            .send()
            .await;
        match result {
            Ok(output) => Ok(output),
            Err(error) if error.as_service_error().is_some_and(|e| e.is_no_such_key()) => {
                Err(ObjectError::Missing)
            }
            Err(error) => Err(unavailable(error)),
        }
    }
}

/// The content of a file as it comes.
#[derive(Debug)]
pub struct ContentStream {
    pub size_bytes: u64,
    body: ByteStream,
}

impl ContentStream {
    /// The next piece; `None` after the last.
    ///
    /// # Errors
    /// [`ObjectError::Unavailable`] if S3 goes away before the end.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, ObjectError> {
        match self.body.next().await {
            Some(Ok(piece)) => Ok(Some(piece.to_vec())),
            Some(Err(error)) => Err(ObjectError::Unavailable(error.to_string())),
            None => Ok(None),
        }
    }
}

fn presigning() -> Result<PresigningConfig, ObjectError> {
    PresigningConfig::expires_in(URL_LIFETIME)
        .map_err(|error| ObjectError::Unavailable(error.to_string()))
}

fn unavailable<E: std::error::Error + Send + Sync + 'static>(error: E) -> ObjectError {
    ObjectError::Unavailable(DisplayErrorContext(error).to_string())
}

/// A `Content-Disposition` whose name is plain ASCII for old clients and UTF-8 for others.
fn attachment(file_name: &str) -> String {
    let plain: String = file_name
        .chars()
        .map(|letter| {
            if letter.is_ascii_alphanumeric() || ".-_ ".contains(letter) {
                letter
            } else {
                '_'
            }
        })
        .collect();
    let encoded: String = file_name
        .bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' => {
                (byte as char).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect();
    format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{encoded}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_name_cannot_leave_its_header() {
        assert_eq!(
            attachment("a\"; x=\r\né.pdf"),
            "attachment; filename=\"a__ x____.pdf\"; filename*=UTF-8''a%22%3B%20x%3D%0D%0A%C3%A9.pdf"
        );
    }
}
