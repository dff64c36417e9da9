//! Objects: presigned uploads, ranges and conditions.

use std::time::Duration;

use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::presigning::{PresignedRequest, PresigningConfig};
use aws_sdk_s3::primitives::ByteStream;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use embedded::objects::MAX_KEY_BYTES;
use embedded::{Options, Services, create_bucket};
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE};
use sha2::{Digest, Sha256};

const BUCKET: &str = "files";
const BODY: &[u8] = b"twenty bytes of text";

async fn services() -> Services {
    let services = Services::start(Options::memory()).await.expect("started");
    for _ in 0..2 {
        create_bucket(&services.clients().s3, BUCKET)
            .await
            .expect("the bucket is there");
    }
    services
}

/// A plain HTTP client, as a browser would be.
fn browser() -> reqwest::Client {
    // Fails when another test of this process was first.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().build();
    client.expect("an HTTP client")
}

fn checksum(body: &[u8]) -> String {
    STANDARD.encode(Sha256::digest(body))
}

/// A URL to upload exactly [`BODY`] as text.
async fn presigned_upload(services: &Services, key: &str) -> PresignedRequest {
    let lifetime = PresigningConfig::expires_in(Duration::from_secs(60)).expect("a lifetime");
    services
        .clients()
        .s3
        .put_object()
        .bucket(BUCKET)
        .key(key)
        .content_type("text/plain")
        .content_length(i64::try_from(BODY.len()).expect("short"))
        .checksum_sha256(checksum(BODY))
        .presigned(lifetime)
        .await
        .expect("a presigned request")
}

/// Sends a presigned upload with some of its headers changed or left out.
async fn upload(
    request: &PresignedRequest,
    body: &'static [u8],
    changes: &[(&str, Option<&str>)],
) -> (u16, String) {
    let mut upload = browser().put(request.uri());
    for (name, value) in request.headers() {
        // The HTTP client counts for itself.
        if name.eq_ignore_ascii_case("content-length") {
            continue;
        }
        match changes.iter().find(|(changed, _)| *changed == name) {
            Some((_, Some(value))) => upload = upload.header(name, *value),
            Some((_, None)) => {}
            None => upload = upload.header(name, value),
        }
    }
    let reply = upload.body(body).send().await.expect("answered");
    let status = reply.status().as_u16();
    let text = reply.text().await.expect("text");
    let code = text
        .split_once("<Code>")
        .and_then(|(_, rest)| rest.split_once("</Code>"))
        .map(|(code, _)| code.to_owned());
    (status, code.unwrap_or_default())
}

async fn stored(services: &Services, key: &str) -> Option<Vec<u8>> {
    let client = &services.clients().s3;
    let object = client.get_object().bucket(BUCKET).key(key).send().await;
    match object {
        Ok(object) => Some(object.body.collect().await.expect("read").to_vec()),
        Err(error) => {
            assert!(error.as_service_error().is_some_and(|e| e.is_no_such_key()));
            None
        }
    }
}

#[tokio::test]
async fn a_presigned_upload_is_bound_to_length_type_and_checksum() {
    let services = services().await;
    let request = presigned_upload(&services, "org/report.txt").await;
    let mut signed: Vec<&str> = request.headers().map(|(name, _)| name).collect();
    signed.sort_unstable();
    assert_eq!(
        signed,
        ["content-length", "content-type", "x-amz-checksum-sha256"],
        "what the client must send: {}",
        request.uri()
    );

    let forbidden = (403, "SignatureDoesNotMatch".to_owned());
    let other_checksum = checksum(b"another body");
    for (case, body, changes) in [
        ("wrong type", BODY, [("content-type", Some("text/html"))]),
        ("no type", BODY, [("content-type", None)]),
        ("longer", b"twenty-one bytes here", [("", None)]),
        ("shorter", b"too short", [("", None)]),
        (
            "wrong header",
            BODY,
            [("x-amz-checksum-sha256", Some(other_checksum.as_str()))],
        ),
        ("no header", BODY, [("x-amz-checksum-sha256", None)]),
    ] as [(_, &'static [u8], _); 6]
    {
        assert_eq!(upload(&request, body, &changes).await, forbidden, "{case}");
        assert_eq!(stored(&services, "org/report.txt").await, None, "{case}");
    }

    let same_length = b"twenty bytes of lies";
    let digest = (400, "BadDigest".to_owned());
    assert_eq!(upload(&request, same_length, &[]).await, digest);
    assert_eq!(stored(&services, "org/report.txt").await, None);

    assert_eq!(upload(&request, BODY, &[]).await, (200, String::new()));
    assert_eq!(
        stored(&services, "org/report.txt").await.as_deref(),
        Some(BODY)
    );

    // What is there survives another attempt with the wrong content.
    assert_eq!(upload(&request, same_length, &[]).await, digest);
    assert_eq!(
        stored(&services, "org/report.txt").await.as_deref(),
        Some(BODY)
    );

    let head = services.clients().s3.head_object().bucket(BUCKET);
    let head = head.key("org/report.txt").send().await.expect("described");
    assert_eq!(head.content_type(), Some("text/plain"));
    assert_eq!(head.content_length(), Some(20));
}

#[tokio::test]
async fn a_presigned_url_opens_one_object_for_a_while() {
    let services = services().await;
    let client = &services.clients().s3;
    let put = client.put_object().bucket(BUCKET).key("a.txt");
    put.body(ByteStream::from_static(BODY))
        .send()
        .await
        .expect("stored");

    let lifetime = PresigningConfig::expires_in(Duration::from_secs(1)).expect("a lifetime");
    let get = client.get_object().bucket(BUCKET).key("a.txt");
    let get = get.presigned(lifetime).await.expect("presigned");
    let status = async |url: &str| browser().get(url).send().await.expect("answered").status();
    assert_eq!(status(get.uri()).await, 200);
    assert_eq!(status(&get.uri().replace("a.txt", "b.txt")).await, 403);
    let unsigned = get.uri().split('?').next().expect("a path");
    assert_eq!(status(unsigned).await, 403);
    tokio::time::sleep(Duration::from_millis(2100)).await;
    assert_eq!(status(get.uri()).await, 403);
}

#[tokio::test]
async fn parts_of_an_object_can_be_read() {
    let services = services().await;
    let client = &services.clients().s3;
    let put = client.put_object().bucket(BUCKET).key("a");
    put.body(ByteStream::from_static(BODY))
        .send()
        .await
        .expect("stored");
    for (range, part) in [
        ("bytes=0-5", &b"twenty"[..]),
        ("bytes=16-", b"text"),
        ("bytes=-4", b"text"),
    ] {
        let read = client.get_object().bucket(BUCKET).key("a").range(range);
        let read = read.send().await.expect(range);
        assert!(read.content_range().is_some_and(|r| r.ends_with("/20")));
        assert_eq!(read.body.collect().await.expect("read").to_vec(), part);
    }
    let beyond = client
        .get_object()
        .bucket(BUCKET)
        .key("a")
        .range("bytes=20-");
    let beyond = beyond.send().await.expect_err("beyond the end");
    assert_eq!(beyond.code(), Some("InvalidRange"));
}

#[tokio::test]
async fn an_object_can_be_written_only_once_or_only_over_a_known_one() {
    let services = services().await;
    let client = &services.clients().s3;
    let put = |body: &'static [u8]| {
        let put = client.put_object().bucket(BUCKET).key("manifest");
        put.body(ByteStream::from_static(body))
    };
    let first = put(b"one").if_none_match("*").send().await.expect("new");
    let again = put(b"two").if_none_match("*").send().await;
    let again = again.expect_err("it is there");
    assert_eq!(again.code(), Some("PreconditionFailed"));

    let tag = first.e_tag().expect("a tag");
    put(b"two").if_match(tag).send().await.expect("swapped");
    let stale = put(b"three").if_match(tag).send().await.expect_err("stale");
    assert_eq!(stale.code(), Some("PreconditionFailed"));
    assert_eq!(
        stored(&services, "manifest").await.as_deref(),
        Some(&b"two"[..])
    );
}

#[tokio::test]
async fn unusual_requests_get_plain_answers() {
    let services = services().await;
    let client = &services.clients().s3;
    let put = |bucket: &str, key: &str| {
        let put = client.put_object().bucket(bucket).key(key);
        put.body(ByteStream::from_static(BODY)).send()
    };
    put(BUCKET, &"k".repeat(MAX_KEY_BYTES)).await.expect("fits");
    let long = put(BUCKET, &"k".repeat(MAX_KEY_BYTES + 1)).await;
    assert_eq!(long.expect_err("too long").code(), Some("KeyTooLongError"));
    let nowhere = put("nowhere", "a").await.expect_err("no bucket");
    assert_eq!(nowhere.code(), Some("NoSuchBucket"));

    put(BUCKET, "gone").await.expect("stored");
    let delete = || client.delete_object().bucket(BUCKET).key("gone").send();
    delete().await.expect("deleted");
    delete().await.expect("deleted again");
    assert_eq!(stored(&services, "gone").await, None);
}

#[tokio::test]
async fn a_broken_upload_leaves_nothing() {
    use tokio::io::AsyncWriteExt;
    let services = services().await;
    let request = presigned_upload(&services, "broken.txt").await;
    let (host, path) = request
        .uri()
        .strip_prefix("http://")
        .and_then(|rest| rest.split_once('/'))
        .expect("a URL");
    let mut head = format!("PUT /{path} HTTP/1.1\r\nhost: {host}\r\n");
    for (name, value) in request.headers() {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    assert!(head.contains(CONTENT_LENGTH.as_str()) && head.contains(CONTENT_TYPE.as_str()));
    let mut connection = tokio::net::TcpStream::connect(host)
        .await
        .expect("connected");
    connection.write_all(head.as_bytes()).await.expect("sent");
    connection.write_all(b"\r\ntwenty").await.expect("sent");
    drop(connection);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(stored(&services, "broken.txt").await, None);
}
