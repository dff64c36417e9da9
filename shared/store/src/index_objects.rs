//! The objects of a text index: bundles of files that are written once and never changed.

use std::io::Write;
use std::ops::Range;
use std::path::Path;

use aws_sdk_s3::error::DisplayErrorContext;
use aws_sdk_s3::primitives::ByteStream;
use kernel::Timestamp;

use crate::objects::ObjectError;
use crate::text_index::TextIndexes;

/// A bundle as S3 lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedBundle {
    pub bundle: String,
    pub written_at: Timestamp,
}

impl TextIndexes<'_> {
    fn prefix(&self) -> String {
        format!("orgs/{}/index/", self.tenant.org())
    }

    /// Writes a bundle.
    ///
    /// # Errors
    /// [`ObjectError::Unavailable`] if S3 does not take it.
    pub async fn put_bundle(&self, bundle: &str, content: Vec<u8>) -> Result<(), ObjectError> {
        self.put(bundle, content.into()).await
    }

    /// Writes a bundle from a file, which is never in memory as a whole.
    ///
    /// # Errors
    /// [`ObjectError::Unavailable`] if the file cannot be read or S3 does not take it.
    pub async fn put_bundle_file(&self, bundle: &str, content: &Path) -> Result<(), ObjectError> {
        let body = ByteStream::from_path(content).await.map_err(unavailable)?;
        self.put(bundle, body).await
    }

    async fn put(&self, bundle: &str, body: ByteStream) -> Result<(), ObjectError> {
        self.store
            .clients
            .s3()
            .put_object()
            .bucket(&self.store.config.files_bucket)
            .key(format!("{}{bundle}", self.prefix()))
            .content_type("application/octet-stream")
            .body(body)
            .send()
            .await
            .map(drop)
            .map_err(unavailable)
    }

    /// Copies a part of a bundle, of at least one byte, to `sink`.
    ///
    /// # Errors
    /// [`ObjectError::Missing`] or [`ObjectError::Unavailable`], also if it came short.
    pub async fn read_bundle(
        &self,
        bundle: &str,
        part: Range<u64>,
        sink: &mut (dyn Write + Send),
    ) -> Result<(), ObjectError> {
        let result = self
            .store
            .clients
            .s3()
            .get_object()
            .bucket(&self.store.config.files_bucket)
            .key(format!("{}{bundle}", self.prefix()))
            .range(format!("bytes={}-{}", part.start, part.end - 1))
            .send()
            .await;
        let mut body = match result {
            Ok(output) => output.body,
            Err(error) if error.as_service_error().is_some_and(|e| e.is_no_such_key()) => {
                return Err(ObjectError::Missing);
            }
            Err(error) => return Err(unavailable(error)),
        };
        let mut left = part.end - part.start;
        while let Some(bytes) = body.next().await {
            let bytes = bytes.map_err(unavailable)?;
            left = left.saturating_sub(bytes.len() as u64);
            sink.write_all(&bytes).map_err(unavailable)?;
        }
        if left > 0 {
            return Err(ObjectError::Unavailable(format!(
                "{left} bytes of a bundle did not come"
            )));
        }
        Ok(())
    }

    /// Every bundle of the org.
    ///
    /// # Errors
    /// [`ObjectError::Unavailable`] if S3 does not answer.
    pub async fn bundles(&self) -> Result<Vec<ListedBundle>, ObjectError> {
        let prefix = self.prefix();
        let mut found = Vec::new();
        let mut next = None;
        loop {
            let output = self
                .store
                .clients
                .s3()
                .list_objects_v2()
                .bucket(&self.store.config.files_bucket)
                .prefix(&prefix)
                .set_continuation_token(next)
                .send()
                .await
                .map_err(unavailable)?;
            for object in output.contents.unwrap_or_default() {
                let bundle = object
                    .key
                    .as_deref()
                    .and_then(|key| key.strip_prefix(&prefix));
                let written_at = object
                    .last_modified
                    .and_then(|at| at.to_millis().ok())
                    .map(Timestamp::from_millis);
                if let (Some(bundle), Some(written_at)) = (bundle, written_at) {
                    let bundle = bundle.to_owned();
                    found.push(ListedBundle { bundle, written_at });
                }
            }
            next = output.next_continuation_token;
            if next.is_none() {
                return Ok(found);
            }
        }
    }

    /// Removes a bundle, whether it is there or not.
    ///
    /// # Errors
    /// [`ObjectError::Unavailable`] if S3 does not answer.
    pub async fn remove_bundle(&self, bundle: &str) -> Result<(), ObjectError> {
        self.store
            .clients
            .s3()
            .delete_object()
            .bucket(&self.store.config.files_bucket)
            .key(format!("{}{bundle}", self.prefix()))
            .send()
            .await
            .map(drop)
            .map_err(unavailable)
    }
}

fn unavailable<E: std::error::Error + Send + Sync + 'static>(error: E) -> ObjectError {
    ObjectError::Unavailable(DisplayErrorContext(error).to_string())
}
