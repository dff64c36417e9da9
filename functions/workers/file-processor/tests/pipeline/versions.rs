//! Contents of a file that overtake each other on their way through the workers.

use kernel::{FileId, KnowledgeBaseId};
use serde_json::{Value, json};
use store::vectors::VectorsOf;
use work::Progress;

use crate::world::{World, sha256};

const FIRST: &[u8] = b"# Rota\n\nA page is acknowledged within twelve minutes.\n";
const SECOND: &[u8] = b"# Rota\n\nA page is acknowledged within five minutes.\n";
const QUESTION: &str = "How fast is a page acknowledged?";

/// Uploads and confirms a further content.
async fn replace(world: &World, file: &str, content: &[u8]) -> Value {
    let path = format!("/v1/files/{file}/versions");
    let body = json!({
        "content_type": "text/markdown",
        "size_bytes": content.len(),
        "sha256": sha256(content),
    });
    let offered = world.post(&path, body).await.expect(201);
    assert_eq!(world.send(&offered, content).await, 200);
    let confirm = format!("{path}/{}/confirm", offered["content"]["number"]);
    world.post(&confirm, json!({})).await.expect(200)
}

async fn answers(world: &World, base: KnowledgeBaseId) -> Vec<String> {
    let passages = world.search(base, QUESTION, 5).await;
    let texts = passages.iter().map(|passage| passage["text"].as_str());
    texts.map(|text| text.expect("a text").to_owned()).collect()
}

/// The worker has read the first content; then the file gets another; then the worker says what it
/// has found.
#[tokio::test]
async fn what_was_found_in_an_earlier_content_is_not_told() {
    let world = World::new().await;
    let file = world.upload("rota.md", FIRST, None).await;
    let id: FileId = file.parse().expect("an id");
    let files = world.store.files(world.tenant);
    let seen = files.get(id).await.expect("read").expect("there");
    let message = world.message().await;
    let fence = world.claim(&message).await;
    replace(&world, &file, SECOND).await;
    let found = store::files::Reading {
        format: "pdf".to_owned(),
        title: None,
        language: None,
        programming_language: None,
        characters: 90,
        pages: None,
        chunks: 9,
    };
    let told = files.processed(fence, &world.cause(), &seen, &found).await;
    assert!(told.expect_err("it has another content").is_changed());
    assert_eq!(world.deliver(message).await, 0);
    world.work().await;
    let ready = world.file(&file).await;
    assert_eq!(
        (
            &ready["status"],
            &ready["format"],
            &ready["content_version"]
        ),
        (&json!("ready"), &json!("markdown"), &json!(2))
    );
    assert_eq!(world.download(&file).await.1, SECOND);
}

/// An attempt to index the first content stopped half-way, and goes on when the second is there.
#[tokio::test]
async fn chunks_of_an_earlier_content_answer_nothing_and_are_written_over() {
    let world = World::new().await;
    let base = world.base().await;
    let file = world.upload("rota.md", FIRST, Some(base)).await;
    let id: FileId = file.parse().expect("an id");
    let process = world.message().await;
    assert_eq!(world.deliver(process).await, 0);
    let index = world.message().await;
    world.claim(&index).await;
    replace(&world, &file, SECOND).await;
    world.work().await;
    let found = answers(&world, base).await;
    assert!(found.len() == 1 && found[0].contains("five"), "{found:?}");

    // What it wrote last before it died.
    let knowledge = world.store.knowledge(world.tenant);
    let mut stale = knowledge
        .chunks(base, id, 0, 10)
        .await
        .expect("read")
        .remove(0);
    stale.content_version = 1;
    stale.text = "A page is acknowledged within twelve minutes.".to_owned();
    let of = VectorsOf {
        knowledge_base: base,
        set: 0,
        file: id,
        content_version: 1,
    };
    let vector = embedding::StaticModel.embed_text(&stale.text);
    knowledge
        .write_vectors(&of, 0, &[vector])
        .await
        .expect("written");
    knowledge.write_chunks(&[stale]).await.expect("written");
    assert_eq!(answers(&world, base).await, Vec::<String>::new());

    // Its job goes on, and finds that it may have done so.
    let mut job = world.jobs(std::slice::from_ref(&index)).await.remove(0);
    let read = job.version;
    job.version += 1;
    job.progress = Some(Progress {
        completed: 1,
        total: Some(2),
        message: None,
    });
    world.replace(&job, read).await;
    assert_eq!(world.deliver(index).await, 0);
    world.work().await;
    let found = answers(&world, base).await;
    assert!(found.len() == 1 && found[0].contains("five"), "{found:?}");
}

#[tokio::test]
async fn a_content_that_cannot_be_read_is_searched_no_more_until_an_earlier_one_is_back() {
    let world = World::new().await;
    let base = world.base().await;
    let file = world.upload("rota.md", FIRST, Some(base)).await;
    world.work().await;
    assert_eq!(answers(&world, base).await.len(), 1);
    replace(&world, &file, b"  \n").await;
    assert_eq!(answers(&world, base).await.len(), 1, "until it was read");
    world.work().await;
    assert_eq!(world.file(&file).await["failure"]["code"], "empty");
    assert_eq!(answers(&world, base).await, Vec::<String>::new());
    let document = world.document(base, &file).await.expect("there");
    assert_eq!(document["status"], "failed");

    let rollback = format!("/v1/files/{file}/rollback");
    world
        .post(&rollback, json!({ "version": 1 }))
        .await
        .expect(200);
    world.work().await;
    let back = world.file(&file).await;
    assert_eq!(
        (&back["status"], &back["content_version"]),
        (&json!("ready"), &json!(3))
    );
    assert_eq!(answers(&world, base).await.len(), 1);
    assert_eq!(world.download(&file).await.1, FIRST);
}
