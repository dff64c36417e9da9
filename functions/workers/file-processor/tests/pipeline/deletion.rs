//! A deleted file is gone at once, and leaves nothing behind.

use std::time::Duration;

use kernel::FileId;
use kernel::cursor::PageRequest;
use serde_json::json;
use work::JobState;

use crate::world::{World, sample};

#[tokio::test]
async fn deletion_removes_documents_chunks_and_content_and_waits_out_the_upload_url() {
    let world = World::new().await;
    let base = world.base().await;
    let content = sample("on-call-faq.md");
    let announced = world.announce("on-call-faq.md", &content, Some(base)).await;
    assert_eq!(world.send(&announced, &content).await, 200);
    let file = announced["file"]["id"].as_str().expect("an id").to_owned();
    let confirm = format!("/v1/files/{file}/confirm");
    world
        .call(http::Method::POST, &confirm, None)
        .await
        .expect(200);
    world.work().await;
    // The content, and its text, chunks and outline.
    assert_eq!(world.objects().await.len(), 4);

    world.delete(&format!("/v1/files/{file}")).await.expect(204);
    assert_eq!(world.get(&format!("/v1/files/{file}")).await.status, 404);
    assert_eq!(world.get("/v1/files").await.expect(200)["items"], json!([]));
    let delivered = world.work().await;
    let id: FileId = file.parse().expect("an id");
    let knowledge = world.store.knowledge(world.tenant);
    assert!(world.document(base, &file).await.is_none());
    assert!(
        knowledge
            .chunks(base, id, 0, 10)
            .await
            .expect("read")
            .is_empty()
    );
    assert!(world.objects().await.is_empty());

    // The upload URL still works for a while; what comes through it goes too.
    assert_eq!(world.send(&announced, &content).await, 200);
    let parked = world.jobs(&delivered).await;
    let parked = parked
        .iter()
        .find(|job| job.state == JobState::Parked)
        .expect("it waits");
    world.clock.advance(Duration::from_secs(21 * 60));
    world.ring(parked).await;
    world.work().await;
    assert!(world.objects().await.is_empty());
    assert!(
        world
            .store
            .files(world.tenant)
            .get_any(id)
            .await
            .expect("read")
            .is_none()
    );
    let events = world.events().await;
    assert_eq!(
        events
            .iter()
            .filter(|event| *event == "file.deleted")
            .count(),
        1
    );
}

#[tokio::test]
async fn a_file_that_is_deleted_before_it_is_read_is_not_read() {
    let world = World::new().await;
    let base = world.base().await;
    let file = world
        .upload("on-call-faq.md", &sample("on-call-faq.md"), Some(base))
        .await;
    world.delete(&format!("/v1/files/{file}")).await.expect(204);
    let delivered = world.work().await;
    assert!(world.objects().await.is_empty());
    assert!(world.document(base, &file).await.is_none());
    let events = world.events().await;
    assert!(
        !events.iter().any(|event| event == "file.processed"),
        "{events:?}"
    );
    let dead = world
        .jobs(&delivered)
        .await
        .into_iter()
        .find(|job| job.state == JobState::Dead);
    assert!(dead.is_none(), "{dead:#?}");
}

#[tokio::test]
async fn pages_of_files_are_full_although_deleted_ones_are_passed_over() {
    let world = World::new().await;
    let mut kept = Vec::new();
    for number in 0..7 {
        let announced = world.announce(&format!("{number}.md"), b"text", None).await;
        let file = announced["file"]["id"].as_str().expect("an id").to_owned();
        if number % 2 == 0 {
            kept.push(file);
        } else {
            world.delete(&format!("/v1/files/{file}")).await.expect(204);
        }
    }
    kept.reverse();
    let first = world.get("/v1/files?limit=3").await.expect(200);
    let ids = |page: &serde_json::Value| -> Vec<String> {
        let items = page["items"].as_array().expect("a list");
        items
            .iter()
            .map(|file| file["id"].as_str().expect("an id").to_owned())
            .collect()
    };
    assert_eq!(ids(&first), kept[..3]);
    let cursor = first["next_cursor"].as_str().expect("there is more");
    let second = world
        .get(&format!("/v1/files?limit=3&cursor={cursor}"))
        .await
        .expect(200);
    assert_eq!(ids(&second), kept[3..]);
    assert!(second.get("next_cursor").is_none());
    // The store says the same, and its pages are those of the API.
    let page = world
        .store
        .files(world.tenant)
        .page(&PageRequest::first(3))
        .await
        .expect("read");
    assert_eq!(page.items.len(), 3);
}
