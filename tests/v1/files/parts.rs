//! Contents that are too large for one request.

use domain::file::{MAX_FILE_BYTES, MAX_REQUEST_BYTES, PART_BYTES};
use reqwest::RequestBuilder;
use serde_json::{Value, json};

use super::{bring, confirm, processed};
use crate::support::world::{announced, upload_path};
use crate::support::{Answer, Api, World, send, text};

/// A content of this length that no format is told by.
fn content(bytes: u64) -> Vec<u8> {
    let mut content = vec![0xfe; usize::try_from(bytes).expect("fits")];
    content[..4].copy_from_slice(b"\x00\x01\x02\x03");
    content
}

struct Parted<'a> {
    world: &'a World,
    api: &'a Api,
    file: Value,
}

impl Parted<'_> {
    fn path(&self, rest: &str) -> String {
        format!("/v1/files/{}{rest}", text(&self.file["id"]))
    }

    async fn ask(&self, parts: Value) -> Answer {
        let path = self.path("/versions/1/parts");
        self.api.post(&path, &json!({ "parts": parts })).await
    }

    /// The request that uploads a part which has this content.
    async fn offered(&self, number: u64, content: &[u8]) -> RequestBuilder {
        let sha256 = local::client::sha256(content);
        let offered = self
            .ask(json!([{ "number": number, "sha256": sha256 }]))
            .await
            .ok();
        self.world.upload_request(&offered["parts"][0])
    }

    async fn send(&self, number: u64, content: &[u8]) {
        let request = self.offered(number, content).await;
        let stored = send(request.body(content.to_vec())).await;
        assert!(stored.status.is_success(), "{number}: {stored}");
    }

    async fn send_all(&self, content: &[u8]) {
        let length = usize::try_from(PART_BYTES).expect("fits");
        for (number, part) in (1..).zip(content.chunks(length)) {
            self.send(number, part).await;
        }
    }
}

/// Whether a part is refused. A server that refuses one before it has read it may close what the rest
/// comes through, before the client has read the answer.
async fn is_refused(part: RequestBuilder, body: Vec<u8>) -> bool {
    match part.body(body).send().await {
        Ok(answer) => answer.status().is_client_error(),
        Err(error) => !error.is_connect() && !error.is_timeout(),
    }
}

async fn announce<'a>(world: &'a World, api: &'a Api, content: &[u8], sha256: &str) -> Parted<'a> {
    let mut body = announced("film.bin", content, None);
    body["sha256"] = json!(sha256);
    let offer = api.create(&upload_path(api), &body).await;
    assert_eq!(offer["upload"], Value::Null, "{offer}");
    assert_eq!(offer["parts"]["part_bytes"], PART_BYTES);
    Parted {
        world,
        api,
        file: offer["file"].clone(),
    }
}

#[tokio::test]
async fn a_large_content_comes_in_parts_each_bound_to_what_was_announced() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    let whole = content(MAX_REQUEST_BYTES + 1);
    let length = usize::try_from(PART_BYTES).expect("fits");
    let parted = announce(&world, &admin, &whole, &local::client::sha256(&whole)).await;
    let listed = confirm(&admin, &parted.file).await;
    let problem = listed.problem(409, "not_uploaded");
    assert!(
        text(&problem["detail"]).starts_with("7 of 7 parts"),
        "{problem}"
    );

    // What differs from what its request was signed for is refused.
    let first = &whole[..length];
    let mut other = first.to_vec();
    other[9] ^= 1;
    for (what, body) in [
        ("other content", other),
        ("less content", first[1..].to_vec()),
        ("more content", [first, b"x"].concat()),
        ("nothing", Vec::new()),
    ] {
        assert!(
            is_refused(parted.offered(1, first).await, body).await,
            "{what}"
        );
    }
    // A part of the wrong length cannot even be asked for: it follows from the number.
    let short = parted.offered(7, &whole[..3]).await;
    assert!(is_refused(short, whole[..3].to_vec()).await);
    // Nothing of what was refused has become a part.
    let problem = confirm(&admin, &parted.file)
        .await
        .problem(409, "not_uploaded");
    assert!(
        text(&problem["detail"]).starts_with("7 of 7 parts"),
        "{problem}"
    );
    let some = local::client::sha256(b"x");
    for (parts, field) in [
        (json!([{ "number": 8, "sha256": some }]), "/parts/0/number"),
        (json!([{ "number": 0, "sha256": some }]), "/parts/0/number"),
        (json!([{ "number": 1, "sha256": "abc" }]), "/parts/0/sha256"),
        (json!([]), "/parts"),
    ] {
        parted.ask(parts).await.names(field);
    }

    for (number, part) in (1..7).zip(whole.chunks(length)) {
        parted.send(number, part).await;
    }
    let problem = confirm(&admin, &parted.file)
        .await
        .problem(409, "not_uploaded");
    assert!(
        text(&problem["detail"]).ends_with("uploaded: 7."),
        "{problem}"
    );
    parted.send(7, &whole[6 * length..]).await;
    let (one, two) = tokio::join!(confirm(&admin, &parted.file), confirm(&admin, &parted.file));
    assert_eq!(one.ok()["status"], "processing");
    two.ok();
    // No reader knows it. It can be downloaded all the same.
    let failed = processed(&admin, &parted.file).await;
    assert_eq!(failed["status"], "failed");
    assert_ne!(failed["failure"]["code"], "checksum_mismatch", "{failed}");
    let download = admin.get(&parted.path("/download")).await.ok();
    let stored = send(world.elsewhere(http::Method::GET, &text(&download["url"]))).await;
    assert!(stored.body == whole, "{} bytes", stored.body.len());
    parted
        .ask(json!([{ "number": 1, "sha256": some }]))
        .await
        .problem(409, "version_in_use");
}

#[tokio::test]
async fn parts_that_make_another_whole_are_found_out() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    let whole = content(MAX_REQUEST_BYTES + 1);
    let parted = announce(&world, &admin, &whole, &local::client::sha256(b"else")).await;
    parted.send_all(&whole).await;
    confirm(&admin, &parted.file).await.ok();
    let failed = processed(&admin, &parted.file).await;
    assert_eq!(failed["failure"]["code"], "checksum_mismatch", "{failed}");
    admin
        .get(&parted.path("/download"))
        .await
        .problem(409, "not_uploaded");
}

#[tokio::test]
async fn a_content_is_cut_only_above_the_limit_and_refused_above_the_largest() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    let with = |size: u64| {
        let mut body = announced("film.bin", b"x", None);
        body["size_bytes"] = json!(size);
        body
    };
    let path = upload_path(&admin);
    let whole = admin.create(&path, &with(MAX_REQUEST_BYTES)).await;
    assert_eq!(whole["parts"], Value::Null);
    assert_eq!(whole["upload"]["method"], "PUT");
    let largest = admin.create(&path, &with(MAX_FILE_BYTES)).await;
    assert_eq!(largest["parts"]["count"], 64);
    let answer = admin.post(&path, &with(MAX_FILE_BYTES + 1)).await;
    answer.names("/size_bytes");
    let parts = |file: &Value| format!("/v1/files/{}/versions/1/parts", text(&file["id"]));
    let body = json!({ "parts": [{ "number": 1, "sha256": local::client::sha256(b"x") }] });
    admin
        .post(&parts(&whole["file"]), &body)
        .await
        .problem(409, "not_in_parts");
    // An upload that was given up takes no part any more.
    let file = bring(&world, &admin, "rota.md", super::NOTES, None).await;
    let versions = format!("/v1/files/{}/versions", text(&file["id"]));
    let mut version = crate::support::fixture::new_version(b"x");
    version["size_bytes"] = json!(MAX_REQUEST_BYTES + 1);
    let offer = admin.create(&versions, &version).await;
    let number = &offer["content"]["number"];
    assert_eq!(offer["content"]["parts"]["count"], 7);
    let offered = admin
        .post(&format!("{versions}/{number}/parts"), &body)
        .await
        .ok();
    admin
        .post(&format!("{versions}/{number}/abort"), &json!({}))
        .await
        .ok();
    let length = usize::try_from(PART_BYTES).expect("fits");
    let late = world.upload_request(&offered["parts"][0]);
    assert!(is_refused(late, vec![0; length]).await);
    admin
        .post(&format!("{versions}/{number}/confirm"), &json!({}))
        .await
        .problem(409, "upload_abandoned");
}
