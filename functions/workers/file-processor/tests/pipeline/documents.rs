//! Files as parts of knowledge bases, put in and taken out at any moment.

use domain::file::FileStatus;
use http::Method;
use kernel::{FileId, KnowledgeBaseId};
use serde_json::json;
use store::documents::DocumentPayload;
use work::{Lane, NewJob};

use crate::world::{World, sample};

const QUESTION: &str = "How fast must a page be acknowledged by the person on call?";

async fn add(world: &World, base: KnowledgeBaseId, file: &str) {
    let path = format!("/v1/knowledge-bases/{base}/documents");
    world
        .post(&path, json!({ "file_id": file }))
        .await
        .expect(201);
}

async fn chunks(world: &World, base: KnowledgeBaseId, file: FileId) -> usize {
    let knowledge = world.store.knowledge(world.tenant);
    knowledge
        .chunks(base, file, 0, 1_000)
        .await
        .expect("read")
        .len()
}

#[tokio::test]
async fn a_file_is_read_once_and_searched_in_every_base_it_is_put_into() {
    let world = World::new().await;
    let (first, second) = (world.base().await, world.base().await);
    let file = world
        .upload("on-call-faq.md", &sample("on-call-faq.md"), Some(first))
        .await;
    world.work().await;
    add(&world, second, &file).await;
    world.work().await;
    for base in [first, second] {
        assert_eq!(
            world.document(base, &file).await.expect("there")["status"],
            "ready"
        );
        assert_eq!(
            world.search(base, QUESTION, 1).await[0]["file"],
            json!(file)
        );
    }
    let events = world.events().await;
    assert_eq!(
        events
            .iter()
            .filter(|event| *event == "file.processed")
            .count(),
        1
    );
    assert_eq!(
        world.file(&file).await["knowledge_bases"],
        json!([first, second])
    );
    let again = world
        .post(
            &format!("/v1/knowledge-bases/{first}/documents"),
            json!({ "file_id": file }),
        )
        .await;
    assert_eq!(again.problem(), (409, "already_exists"));
}

/// The worker has read the file and the knowledge bases it is part of; then it is put into another;
/// then the worker says what it found. Neither is lost.
#[tokio::test]
async fn a_document_that_is_added_while_its_file_is_read_is_indexed_too() {
    let world = World::new().await;
    let file = world
        .upload("on-call-faq.md", &sample("on-call-faq.md"), None)
        .await;
    let id: FileId = file.parse().expect("an id");
    let files = world.store.files(world.tenant);
    let seen = files.get(id).await.expect("read").expect("there");
    assert_eq!(seen.status, FileStatus::Processing);

    let base = world.base().await;
    add(&world, base, &file).await;
    let found = store::files::Reading {
        format: "markdown".to_owned(),
        title: None,
        language: None,
        programming_language: None,
        characters: 10,
        pages: None,
        chunks: 1,
    };
    let message = world.message().await;
    let fence = world.claim(&message).await;
    let told = files.processed(fence, &world.cause(), &seen, &found).await;
    let refused = told.expect_err("what the worker has seen is no longer so");
    assert!(refused.is_changed(), "{refused}");

    assert_eq!(world.deliver(message).await, 0);
    world.work().await;
    assert_eq!(
        world.document(base, &file).await.expect("there")["status"],
        "ready"
    );
    assert_eq!(world.search(base, QUESTION, 1).await.len(), 1);
}

#[tokio::test]
async fn a_document_that_is_taken_out_is_found_no_more_and_leaves_no_chunks() {
    let world = World::new().await;
    let base = world.base().await;
    let file = world
        .upload("on-call-faq.md", &sample("on-call-faq.md"), Some(base))
        .await;
    world.work().await;
    let id: FileId = file.parse().expect("an id");
    assert!(chunks(&world, base, id).await > 0);

    let path = format!("/v1/knowledge-bases/{base}/documents/{file}");
    world.delete(&path).await.expect(204);
    assert!(
        world.search(base, QUESTION, 5).await.is_empty(),
        "found before its chunks are gone"
    );
    assert_eq!(world.delete(&path).await.problem(), (404, "not_found"));
    world.work().await;
    assert_eq!(chunks(&world, base, id).await, 0);
    assert_eq!(world.file(&file).await["knowledge_bases"], json!([]));
    assert_eq!(
        world.file(&file).await["status"],
        "ready",
        "the file itself stays"
    );
}

#[tokio::test]
async fn a_document_that_is_added_again_at_once_is_whole() {
    let world = World::new().await;
    let base = world.base().await;
    let file = world
        .upload("on-call-faq.md", &sample("on-call-faq.md"), Some(base))
        .await;
    world.work().await;
    let id: FileId = file.parse().expect("an id");
    let whole = chunks(&world, base, id).await;
    world
        .delete(&format!("/v1/knowledge-bases/{base}/documents/{file}"))
        .await
        .expect(204);
    add(&world, base, &file).await;
    // The removal and the addition run one after the other, in the order of their rings.
    world.work().await;
    let document = world.document(base, &file).await.expect("there");
    assert_eq!(
        (&document["status"], &document["chunks"]),
        (&json!("ready"), &json!(whole))
    );
    assert_eq!(chunks(&world, base, id).await, whole);
}

/// A removal that is taken up again finds the document added meanwhile, of whose chunks it may have
/// removed some.
#[tokio::test]
async fn a_removal_that_overlaps_an_addition_has_the_document_indexed_anew() {
    let world = World::new().await;
    let base = world.base().await;
    let file = world
        .upload("on-call-faq.md", &sample("on-call-faq.md"), Some(base))
        .await;
    world.work().await;
    let id: FileId = file.parse().expect("an id");
    let whole = chunks(&world, base, id).await;
    assert!(whole > 1);

    let knowledge = world.store.knowledge(world.tenant);
    knowledge.remove_chunks(base, id, 1).await.expect("removed");
    assert_eq!(chunks(&world, base, id).await, 1);
    let payload = DocumentPayload {
        knowledge_base: base,
        file: id,
    };
    let new = NewJob::new(
        world.tenant.org(),
        "document.unindex",
        Lane::Files,
        json!(payload),
    );
    world
        .store
        .commit(store::Commit::new(world.tenant).job(new))
        .await
        .expect("committed");
    // The attempt before this one died after its first batch.
    let message = world.message().await;
    world.claim(&message).await;
    assert_eq!(world.deliver(message).await, 0);
    world.work().await;
    assert_eq!(
        world.document(base, &file).await.expect("there")["status"],
        "ready"
    );
    assert_eq!(chunks(&world, base, id).await, whole);
}

#[tokio::test]
async fn a_knowledge_base_is_deleted_only_when_it_is_empty() {
    let world = World::new().await;
    let base = world.base().await;
    let file = world
        .upload("on-call-faq.md", &sample("on-call-faq.md"), Some(base))
        .await;
    world.work().await;
    let path = format!("/v1/knowledge-bases/{base}");
    assert_eq!(world.delete(&path).await.problem(), (409, "not_empty"));

    // It slips in after the question whether the base is empty.
    let knowledge = world.store.knowledge(world.tenant);
    let held = knowledge.base(base).await.expect("read").expect("there");
    knowledge
        .delete(&world.cause(), &held)
        .await
        .expect("deleted");
    world.work().await;
    assert_eq!(world.call(Method::GET, &path, None).await.status, 404);
    assert_eq!(world.file(&file).await["knowledge_bases"], json!([]));
    assert_eq!(chunks(&world, base, file.parse().expect("an id")).await, 0);
}
