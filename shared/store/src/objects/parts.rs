//! Contents that are too large for one request: uploaded in parts, each bound to its length and
//! checksum, then put together.

use std::collections::BTreeMap;

use aws_sdk_s3::error::ProvideErrorMetadata as _;
use aws_sdk_s3::types::{ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart, Part};
use domain::file::{Content, Parts};

use super::{ObjectError, Objects, SignedRequest, presigning, unavailable};

/// What became of the parts of a content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Assembly {
    /// They are one object now.
    Whole,
    /// These were not uploaded yet, or with another length.
    Missing(Vec<u32>),
    /// There is no such upload: it was put together or given up before.
    Gone,
}

impl Objects<'_> {
    /// Begins the upload of a content in parts; S3's id of it. One that is neither put together nor
    /// given up is removed by the bucket's lifecycle rule.
    ///
    /// # Errors
    /// [`ObjectError::Unavailable`] if S3 does not answer.
    pub async fn begin_parts(
        &self,
        content: Content,
        content_type: &str,
    ) -> Result<String, ObjectError> {
        let begun = self
            .store
            .clients
            .s3()
            .create_multipart_upload()
            .bucket(&self.store.config.files_bucket)
            .key(self.content_key(content))
            .content_type(content_type)
            .checksum_algorithm(ChecksumAlgorithm::Sha256)
            .send()
            .await
            .map_err(unavailable)?;
        begun
            .upload_id
            .ok_or_else(|| ObjectError::Unavailable("an upload without an id".to_owned()))
    }

    /// An upload of one part, bound to length and checksum: S3 refuses a body that differs.
    ///
    /// # Errors
    /// [`ObjectError::Unavailable`] without usable credentials.
    pub async fn presign_part(
        &self,
        content: Content,
        upload_id: &str,
        number: u32,
        size_bytes: u64,
        sha256: &str,
    ) -> Result<SignedRequest, ObjectError> {
        let request = self
            .store
            .clients
            .s3()
            .upload_part()
            .bucket(&self.store.config.files_bucket)
            .key(self.content_key(content))
            .upload_id(upload_id)
            .part_number(i32::try_from(number).unwrap_or(i32::MAX))
            .content_length(i64::try_from(size_bytes).unwrap_or(i64::MAX))
            .checksum_sha256(sha256)
            .presigned(presigning()?)
            .await
            .map_err(unavailable)?;
        Ok(SignedRequest::put(&request))
    }

    /// Puts the parts of a content together, if all are there with their lengths.
    ///
    /// # Errors
    /// [`ObjectError::Unavailable`] if S3 does not answer, or refuses.
    pub async fn assemble(&self, content: Content, parts: &Parts) -> Result<Assembly, ObjectError> {
        let Some(uploaded) = self.parts(content, &parts.upload_id).await? else {
            return Ok(Assembly::Gone);
        };
        let mut completed = Vec::new();
        let mut missing = Vec::new();
        for number in 1..=parts.count {
            match uploaded.get(&number) {
                Some(part) if size(part) == parts.bytes_of(number) => {
                    completed.push(
                        CompletedPart::builder()
                            .part_number(i32::try_from(number).unwrap_or(i32::MAX))
                            .set_e_tag(part.e_tag.clone())
                            .set_checksum_sha256(part.checksum_sha256.clone())
                            .build(),
                    );
                }
                _ => missing.push(number),
            }
        }
        if !missing.is_empty() {
            return Ok(Assembly::Missing(missing));
        }
        let whole = CompletedMultipartUpload::builder()
            .set_parts(Some(completed))
            .build();
        let result = self
            .store
            .clients
            .s3()
            .complete_multipart_upload()
            .bucket(&self.store.config.files_bucket)
            .key(self.content_key(content))
            .upload_id(&parts.upload_id)
            .multipart_upload(whole)
            .send()
            .await;
        match result {
            Ok(_) => Ok(Assembly::Whole),
            Err(error) if is_gone(error.code()) => Ok(Assembly::Gone),
            Err(error) => Err(unavailable(error)),
        }
    }

    /// Gives up an upload in parts, with what was uploaded of it. One that is not there any more is
    /// given up already.
    ///
    /// # Errors
    /// [`ObjectError::Unavailable`] if S3 does not answer.
    pub async fn give_up_parts(
        &self,
        content: Content,
        upload_id: &str,
    ) -> Result<(), ObjectError> {
        let result = self
            .store
            .clients
            .s3()
            .abort_multipart_upload()
            .bucket(&self.store.config.files_bucket)
            .key(self.content_key(content))
            .upload_id(upload_id)
            .send()
            .await;
        match result {
            Err(error) if !is_gone(error.code()) => Err(unavailable(error)),
            _ => Ok(()),
        }
    }

    /// The parts that were uploaded, by number; `None` if there is no such upload.
    async fn parts(
        &self,
        content: Content,
        upload_id: &str,
    ) -> Result<Option<BTreeMap<u32, Part>>, ObjectError> {
        let mut found = BTreeMap::new();
        let mut marker = None;
        loop {
            let result = self
                .store
                .clients
                .s3()
                .list_parts()
                .bucket(&self.store.config.files_bucket)
                .key(self.content_key(content))
                .upload_id(upload_id)
                .set_part_number_marker(marker.take())
                .send()
                .await;
            let page = match result {
                Ok(page) => page,
                Err(error) if is_gone(error.code()) => return Ok(None),
                Err(error) => return Err(unavailable(error)),
            };
            for part in page.parts.unwrap_or_default() {
                if let Some(number) = part.part_number.and_then(|n| u32::try_from(n).ok()) {
                    found.insert(number, part);
                }
            }
            match page.next_part_number_marker {
                Some(next) if page.is_truncated == Some(true) => marker = Some(next),
                _ => return Ok(Some(found)),
            }
        }
    }
}

fn size(part: &Part) -> Option<u64> {
    part.size.and_then(|size| u64::try_from(size).ok())
}

/// Whether S3 knows no such upload.
fn is_gone(code: Option<&str>) -> bool {
    matches!(code, Some("NoSuchUpload"))
}
