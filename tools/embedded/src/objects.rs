//! S3: buckets as folders, objects as files.

use std::future::Future;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Poll, ready};

use aws_sdk_s3::Client;
use aws_sdk_s3::operation::head_bucket::HeadBucketError;
use axum::Router;
use axum::error_handling::HandleError;
use axum::http::StatusCode;
use axum::serve::ListenerExt;
use futures::StreamExt;
use futures::stream;
use s3s::auth::SimpleAuth;
use s3s::checksum::ChecksumHasher;
use s3s::dto::{
    AbortMultipartUploadInput, AbortMultipartUploadOutput, Checksum, CompleteMultipartUploadInput,
    CompleteMultipartUploadOutput, CopyObjectInput, CopyObjectOutput, CreateBucketInput,
    CreateBucketOutput, CreateMultipartUploadInput, CreateMultipartUploadOutput, DeleteObjectInput,
    DeleteObjectOutput, DeleteObjectsInput, DeleteObjectsOutput, GetObjectInput, GetObjectOutput,
    HeadBucketInput, HeadBucketOutput, HeadObjectInput, HeadObjectOutput, ListBucketsInput,
    ListBucketsOutput, ListObjectsV2Input, ListObjectsV2Output, ListPartsInput, ListPartsOutput,
    PutObjectInput, PutObjectOutput, StreamingBlob, UploadPartInput, UploadPartOutput,
};
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{HttpError, S3, S3ErrorCode, S3Request, S3Response, S3Result, s3_error};
use s3s_fs::FileSystem;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::endpoints::{ACCESS_KEY_ID, SECRET_ACCESS_KEY};
use crate::error::{Error, StartError};

/// The longest key, in bytes of UTF-8. What is known about an object is kept
/// in a file named by its key in Base64, and a file name has 255 bytes.
pub const MAX_KEY_BYTES: usize = 128;

/// The checksums that the headers of an upload declare.
macro_rules! declared_checksum {
    ($input:expr) => {
        Checksum {
            checksum_crc32: $input.checksum_crc32.clone(),
            checksum_crc32c: $input.checksum_crc32c.clone(),
            checksum_crc64nvme: $input.checksum_crc64nvme.clone(),
            checksum_sha1: $input.checksum_sha1.clone(),
            checksum_sha256: $input.checksum_sha256.clone(),
            ..Checksum::default()
        }
    };
}

/// Makes a bucket unless it is there.
///
/// # Errors
///
/// [`Error::Call`] when S3 refuses, or does not answer.
pub async fn create_bucket(client: &Client, bucket: &str) -> Result<(), Error> {
    match client.head_bucket().bucket(bucket).send().await {
        Ok(_) => return Ok(()),
        Err(error)
            if error
                .as_service_error()
                .is_some_and(HeadBucketError::is_not_found) => {}
        Err(error) => return Err(Error::call("HeadBucket", bucket, error)),
    }
    client
        .create_bucket()
        .bucket(bucket)
        .send()
        .await
        .map(drop)
        .map_err(|error| Error::call("CreateBucket", bucket, error))
}

/// Opens the folder of buckets.
pub(crate) fn open(folder: &Path) -> Result<S3Service, StartError> {
    let files = FileSystem::new(folder).map_err(|error| StartError::Folder {
        path: folder.to_path_buf(),
        cause: io::Error::other(format!("{error:?}")),
    })?;
    let mut service = S3ServiceBuilder::new(Objects { files });
    service.set_auth(SimpleAuth::from_single(ACCESS_KEY_ID, SECRET_ACCESS_KEY));
    Ok(service.build())
}

/// Serves S3 until told to stop.
pub(crate) fn serve(
    listener: TcpListener,
    service: S3Service,
    stop: CancellationToken,
) -> impl Future<Output = ()> {
    let service = HandleError::new(service, async |error: HttpError| {
        tracing::error!(?error, "the embedded S3 failed");
        StatusCode::INTERNAL_SERVER_ERROR
    });
    let app = Router::new().fallback_service(service);
    let listener = listener.tap_io(|connection| {
        // Without this, small replies wait for an acknowledgement.
        let _ = connection.set_nodelay(true);
    });
    async move {
        let served = axum::serve(listener, app).with_graceful_shutdown(stop.cancelled_owned());
        if let Err(error) = served.await {
            tracing::error!(%error, "the embedded S3 stopped");
        }
    }
}

/// The file system server, and what it lacks: it replaces an object before it
/// compares checksums, makes missing buckets on the way, and fails half-way
/// with a key too long for its file names.
struct Objects {
    files: FileSystem,
}

impl Objects {
    async fn require_bucket(&self, request: &S3Request<PutObjectInput>) -> S3Result<()> {
        let bucket = request.input.bucket.clone();
        let question = HeadBucketInput {
            bucket,
            ..HeadBucketInput::default()
        };
        let question = S3Request {
            input: question,
            method: request.method.clone(),
            uri: request.uri.clone(),
            headers: request.headers.clone(),
            extensions: axum::http::Extensions::new(),
            credentials: request.credentials.clone(),
            region: request.region.clone(),
            service: request.service.clone(),
            trailing_headers: None,
        };
        self.files.head_bucket(question).await.map(drop)
    }
}

#[async_trait::async_trait]
impl S3 for Objects {
    async fn put_object(
        &self,
        mut request: S3Request<PutObjectInput>,
    ) -> S3Result<S3Response<PutObjectOutput>> {
        check_key(&request.input.key)?;
        self.require_bucket(&request).await?;
        let declared = declared_checksum!(request.input);
        let mismatched = check_body(&mut request.input.body, declared);
        let stored = self.files.put_object(request).await;
        unless_mismatched(&mismatched, stored)
    }

    async fn get_object(
        &self,
        request: S3Request<GetObjectInput>,
    ) -> S3Result<S3Response<GetObjectOutput>> {
        check_key(&request.input.key)?;
        self.files.get_object(request).await
    }

    async fn head_object(
        &self,
        request: S3Request<HeadObjectInput>,
    ) -> S3Result<S3Response<HeadObjectOutput>> {
        check_key(&request.input.key)?;
        self.files.head_object(request).await
    }

    async fn copy_object(
        &self,
        request: S3Request<CopyObjectInput>,
    ) -> S3Result<S3Response<CopyObjectOutput>> {
        check_key(&request.input.key)?;
        self.files.copy_object(request).await
    }

    async fn delete_object(
        &self,
        request: S3Request<DeleteObjectInput>,
    ) -> S3Result<S3Response<DeleteObjectOutput>> {
        self.files.delete_object(request).await
    }

    async fn delete_objects(
        &self,
        request: S3Request<DeleteObjectsInput>,
    ) -> S3Result<S3Response<DeleteObjectsOutput>> {
        self.files.delete_objects(request).await
    }

    async fn list_objects_v2(
        &self,
        request: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        self.files.list_objects_v2(request).await
    }

    async fn create_bucket(
        &self,
        request: S3Request<CreateBucketInput>,
    ) -> S3Result<S3Response<CreateBucketOutput>> {
        self.files.create_bucket(request).await
    }

    async fn head_bucket(
        &self,
        request: S3Request<HeadBucketInput>,
    ) -> S3Result<S3Response<HeadBucketOutput>> {
        self.files.head_bucket(request).await
    }

    async fn list_buckets(
        &self,
        request: S3Request<ListBucketsInput>,
    ) -> S3Result<S3Response<ListBucketsOutput>> {
        self.files.list_buckets(request).await
    }

    async fn create_multipart_upload(
        &self,
        request: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        check_key(&request.input.key)?;
        self.files.create_multipart_upload(request).await
    }

    async fn upload_part(
        &self,
        mut request: S3Request<UploadPartInput>,
    ) -> S3Result<S3Response<UploadPartOutput>> {
        let declared = declared_checksum!(request.input);
        let mismatched = check_body(&mut request.input.body, declared);
        let stored = self.files.upload_part(request).await;
        unless_mismatched(&mismatched, no_upload(stored))
    }

    async fn list_parts(
        &self,
        request: S3Request<ListPartsInput>,
    ) -> S3Result<S3Response<ListPartsOutput>> {
        self.files.list_parts(request).await
    }

    async fn complete_multipart_upload(
        &self,
        request: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        no_upload(self.files.complete_multipart_upload(request).await)
    }

    async fn abort_multipart_upload(
        &self,
        request: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        no_upload(self.files.abort_multipart_upload(request).await)
    }
}

fn check_key(key: &str) -> S3Result<()> {
    if key.len() > MAX_KEY_BYTES {
        return Err(s3_error!(
            KeyTooLongError,
            "the local S3 takes keys of at most {MAX_KEY_BYTES} bytes"
        ));
    }
    Ok(())
}

/// An upload in parts that is not there is nobody's, and the file system server says so.
fn no_upload<T>(result: S3Result<T>) -> S3Result<T> {
    result.map_err(|error| match error.code() {
        S3ErrorCode::AccessDenied => s3_error!(NoSuchUpload),
        _ => error,
    })
}

/// Has a body end with an error if it does not have the declared checksum, and the flag say so.
fn check_body(body: &mut Option<StreamingBlob>, declared: Checksum) -> Arc<AtomicBool> {
    let mismatched = Arc::new(AtomicBool::new(false));
    *body = body
        .take()
        .map(|body| checked_body(body, declared, Arc::clone(&mismatched)));
    mismatched
}

fn unless_mismatched<T>(mismatched: &AtomicBool, stored: S3Result<T>) -> S3Result<T> {
    if mismatched.load(Ordering::Acquire) {
        return Err(s3_error!(
            BadDigest,
            "the body does not have the declared checksum"
        ));
    }
    stored
}

/// Passes a body on and, when it ends with another checksum than declared,
/// ends it with an error instead, so that no object is made of it.
fn checked_body(
    mut body: StreamingBlob,
    declared: Checksum,
    mismatched: Arc<AtomicBool>,
) -> StreamingBlob {
    let mut hasher = Some(ChecksumHasher {
        crc32: declared.checksum_crc32.as_ref().map(|_| Default::default()),
        crc32c: declared
            .checksum_crc32c
            .as_ref()
            .map(|_| Default::default()),
        sha1: declared.checksum_sha1.as_ref().map(|_| Default::default()),
        sha256: declared
            .checksum_sha256
            .as_ref()
            .map(|_| Default::default()),
        crc64nvme: declared
            .checksum_crc64nvme
            .as_ref()
            .map(|_| Default::default()),
    });
    StreamingBlob::wrap(stream::poll_fn(move |context| {
        Poll::Ready(match ready!(body.poll_next_unpin(context)) {
            Some(Ok(bytes)) => {
                if let Some(hasher) = &mut hasher {
                    hasher.update(&bytes);
                }
                Some(Ok(bytes))
            }
            Some(Err(error)) => Some(Err(io::Error::other(error))),
            None => match hasher.take().map(ChecksumHasher::finalize) {
                Some(computed) if computed != declared => {
                    mismatched.store(true, Ordering::Release);
                    Some(Err(io::Error::other("checksum mismatch")))
                }
                _ => None,
            },
        })
    }))
}
