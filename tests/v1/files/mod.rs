//! `/v1/files`: announced, uploaded, confirmed, read, deleted.

mod deletion;
mod duplicates;
mod lists;
mod parts;
mod previews;
mod texts;
mod versions;

use domain::file::Content;
use serde_json::{Value, json};

use crate::support::world::{announced, upload_path};
use crate::support::{Answer, Api, World, eventually, send, tenant, text};

const NOTES: &[u8] = b"# Rota\n\nAnswer a call within 12 minutes.\n";

async fn confirm(api: &Api, file: &Value) -> Answer {
    api.post(
        &format!("/v1/files/{}/confirm", text(&file["id"])),
        &json!({}),
    )
    .await
}

/// The file once it has been read, or could not be.
pub async fn processed(api: &Api, file: &Value) -> Value {
    let path = format!("/v1/files/{}", text(&file["id"]));
    eventually("the file is read", async || {
        let file = api.get(&path).await.ok();
        matches!(file["status"].as_str(), Some("ready" | "failed")).then_some(file)
    })
    .await
}

/// A file from its announcement to what became of it.
pub async fn bring(
    world: &World,
    api: &Api,
    name: &str,
    content: &[u8],
    base: Option<&str>,
) -> Value {
    let file = world.upload(api, name, content, base).await;
    confirm(api, &file).await.ok();
    processed(api, &file).await
}

#[tokio::test]
async fn a_file_is_uploaded_confirmed_read_and_downloaded_as_it_was() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    let offer = admin
        .create(&upload_path(&admin), &announced("rota.md", NOTES, None))
        .await;
    let file = &offer["file"];
    assert_eq!(
        (&file["status"], &offer["upload"]["method"]),
        (&json!("pending"), &json!("PUT"))
    );
    let path = format!("/v1/files/{}", text(&file["id"]));
    // Nothing is there yet: nothing to confirm, nothing to download.
    confirm(&admin, file).await.problem(409, "not_uploaded");
    admin
        .get(&format!("{path}/download"))
        .await
        .problem(409, "not_uploaded");
    let stored = send(world.upload_request(&offer).body(NOTES)).await;
    assert_eq!(stored.status, 200, "{stored}");
    assert_eq!(admin.get(&path).await.ok()["status"], "pending");

    let confirmed = confirm(&admin, file).await.ok();
    assert_eq!(confirmed["status"], "processing");
    let ready = processed(&admin, file).await;
    assert_eq!(
        (&ready["status"], &ready["format"]),
        (&json!("ready"), &json!("markdown"))
    );
    assert_eq!(
        (&ready["title"], &ready["chunks"]),
        (&json!("Rota"), &json!(1))
    );
    // To confirm again changes nothing.
    assert_eq!(confirm(&admin, file).await.ok(), ready);

    let download = admin.get(&format!("{path}/download")).await.ok();
    let content = send(world.elsewhere(http::Method::GET, &text(&download["url"]))).await;
    assert_eq!((content.status.as_u16(), &content.body[..]), (200, NOTES));
    let disposition = content.header("content-disposition").expect("a file name");
    assert!(disposition.contains("rota.md"), "{disposition}");
}

#[tokio::test]
async fn an_upload_is_bound_to_what_was_announced() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    let offer = admin
        .create(&upload_path(&admin), &announced("rota.md", NOTES, None))
        .await;
    let put = || world.upload_request(&offer);
    let other: Vec<u8> = NOTES.iter().rev().copied().collect();
    let longer = [NOTES, b"x"].concat();
    for (what, request) in [
        ("other content", put().body(other)),
        ("more content", put().body(longer)),
        ("less content", put().body(&NOTES[1..])),
        ("nothing", put().body("")),
    ] {
        let refused = send(request).await;
        assert!(refused.status.is_client_error(), "{what}: {refused}");
    }
    let url = text(&offer["upload"]["url"]);
    let bare = world.elsewhere(http::Method::PUT, &url).body(NOTES);
    assert!(
        send(bare).await.status.is_client_error(),
        "without its headers"
    );
    let another = url.replacen("X-Amz-Signature=", "X-Amz-Signature=0", 1);
    assert_ne!(another, url);
    let mut forged = world.elsewhere(http::Method::PUT, &another);
    for (name, value) in offer["upload"]["headers"].as_object().expect("headers") {
        forged = forged.header(name, text(value));
    }
    assert!(
        send(forged.body(NOTES)).await.status.is_client_error(),
        "with another signature"
    );
    confirm(&admin, &offer["file"])
        .await
        .problem(409, "not_uploaded");
    // The right content is taken all the same.
    assert!(send(put().body(NOTES)).await.status.is_success());
    confirm(&admin, &offer["file"]).await.ok();
}

#[tokio::test]
async fn what_cannot_be_uploaded_is_not_offered() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    let with = |field: &str, value: Value| {
        let mut body = announced("rota.md", NOTES, None);
        body[field] = value;
        body
    };
    for (field, value) in [
        ("name", json!("../etc/passwd")),
        ("name", json!("a/b.md")),
        ("name", json!("a\u{0}.md")),
        ("name", json!("..")),
        ("content_type", json!("markdown")),
        ("content_type", json!("text/plain\r\nx-y: z")),
        ("size_bytes", json!(0)),
        ("size_bytes", json!(domain::file::MAX_FILE_BYTES + 1)),
        ("sha256", json!("abc")),
        ("sha256", json!("A".repeat(44))),
    ] {
        let answer = admin.post(&upload_path(&admin), &with(field, value)).await;
        answer.names(&format!("/{field}"));
    }
    assert_eq!(admin.list("/v1/files").await.len(), 0);
}

/// A PDF that asks for a password.
fn encrypted_pdf() -> Vec<u8> {
    let objects = [
        "<</Type/Catalog/Pages 2 0 R>>",
        "<</Type/Pages/Kids[3 0 R]/Count 1>>",
        "<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]>>",
        "<</Filter/Standard/V 1/R 2/P -64/O<00>/U<00>>>",
    ];
    let mut file = "%PDF-1.4\n".to_owned();
    let mut table = "0000000000 65535 f \n".to_owned();
    for (index, object) in objects.iter().enumerate() {
        table.push_str(&format!("{:010} 00000 n \n", file.len()));
        file.push_str(&format!("{} 0 obj\n{object}\nendobj\n", index + 1));
    }
    let start = file.len();
    file.push_str(&format!(
        "xref\n0 5\n{table}trailer\n<</Size 5/Root 1 0 R/Encrypt 4 0 R/ID[<00><00>]>>\nstartxref\n{start}\n%%EOF\n"
    ));
    file.into_bytes()
}

#[tokio::test]
async fn a_hostile_file_fails_with_a_reason_and_harms_no_neighbour() {
    let world = World::start().await;
    let admin = world.founder("ada").await;
    let handbook: &[u8] = include_bytes!("../../../samples/turbine-maintenance-handbook.pdf");
    let agreement: &[u8] = include_bytes!("../../../samples/bearing-supply-agreement.docx");
    let deep = "[".repeat(10_000) + &"]".repeat(10_000);
    let hostile: [(&str, Vec<u8>, &[&str]); 7] = [
        (
            "cut.pdf",
            handbook[..handbook.len() / 2].to_vec(),
            &["corrupt", "empty"],
        ),
        ("secret.pdf", encrypted_pdf(), &["encrypted"]),
        (
            "cut.docx",
            agreement[..agreement.len() / 2].to_vec(),
            &["corrupt"],
        ),
        ("deep.json", deep.into_bytes(), &["too_deep"]),
        ("text.pdf", NOTES.to_vec(), &["unsupported_type"]),
        (
            "program.md",
            b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec(),
            &["unsupported_type"],
        ),
        ("blank.md", b"  \n\t\n".to_vec(), &["empty"]),
    ];
    for (name, content, codes) in hostile {
        let file = bring(&world, &admin, name, &content, None).await;
        assert_eq!(file["status"], "failed", "{name}: {file}");
        let code = text(&file["failure"]["code"]);
        assert!(codes.contains(&code.as_str()), "{name}: {file}");
        let message = text(&file["failure"]["message"]);
        assert!(message.split(' ').count() > 3, "{name}: {message}");
    }
    let neighbour = bring(&world, &admin, "rota.md", NOTES, None).await;
    assert_eq!(neighbour["status"], "ready", "{neighbour}");
}

#[tokio::test]
async fn the_files_of_an_org_are_its_own() {
    let world = World::start().await;
    let (ada, bob) = (world.founder("ada").await, world.founder("bob").await);
    let file = bring(&world, &ada, "rota.md", NOTES, None).await;
    assert_eq!(bob.list("/v1/files").await.len(), 0);
    let path = format!("/v1/files/{}", text(&file["id"]));
    for path in [&path, &format!("{path}/download")] {
        bob.get(path).await.problem(404, "not_found");
    }
    bob.delete(&path).await.problem(404, "not_found");
    confirm(&bob, &file).await.problem(404, "not_found");
    // Not even behind the API does one tenant's key lead to the other's object.
    let id = text(&file["id"]).parse().expect("an id");
    let content = Content {
        file: id,
        number: 1,
    };
    let theirs = world
        .store()
        .objects(tenant(&bob))
        .uploaded(content)
        .await
        .expect("an answer");
    assert!(theirs.is_none());
}
