//! A deleted file is gone at once, can be restored for a while, and leaves nothing behind. Neither
//! does an upload that nobody confirmed.

use std::time::Duration;

use kernel::FileId;
use kernel::cursor::PageRequest;
use serde_json::json;
use store::files::PURGE_JOB;
use store::files::list::FileFilter;
use store::files::versions::EXPIRE_JOB;
use work::JobState;

use crate::world::{World, sample, sha256};

const WINDOW: Duration = Duration::from_secs(7 * 24 * 3600);

#[tokio::test]
async fn a_deleted_file_keeps_its_content_for_a_while_and_then_leaves_nothing() {
    let world = World::new().await;
    let base = world.base().await;
    let content = sample("on-call-faq.md");
    let file = world.upload("on-call-faq.md", &content, Some(base)).await;
    world.work().await;
    let kept = world.objects().await;
    let id: FileId = file.parse().expect("an id");
    let path = format!("/v1/files/{file}");

    world.delete(&path).await.expect(204);
    assert_eq!(world.get(&path).await.status, 404);
    assert_eq!(world.get("/v1/files").await.expect(200)["items"], json!([]));
    world.work().await;
    let knowledge = world.store.knowledge(world.tenant);
    assert!(world.document(base, &file).await.is_none());
    let chunks = knowledge.chunks(base, id, 0, 10).await.expect("read");
    assert!(chunks.is_empty(), "the index holds nothing of it");
    assert_eq!(world.objects().await, kept, "it can be restored");

    let purge = world.job(PURGE_JOB).await;
    world.clock.advance(WINDOW - Duration::from_secs(60));
    world.ring(&purge).await;
    world.work().await;
    assert_eq!(world.objects().await, kept, "not before its time");
    world.clock.advance(Duration::from_secs(60));
    let restore = format!("{path}/restore");
    assert_eq!(world.post(&restore, json!({})).await.status, 404);
    world.ring(&purge).await;
    world.work().await;
    assert!(world.objects().await.is_empty());
    let files = world.store.files(world.tenant);
    assert!(files.get_any(id).await.expect("read").is_none());
    assert!(files.version(id, 1).await.expect("read").is_none());
    let events = world.events().await;
    for kind in ["file.deleted", "file.purged"] {
        let count = events.iter().filter(|event| *event == kind).count();
        assert_eq!(count, 1, "{kind}");
    }
}

#[tokio::test]
async fn what_comes_through_an_upload_url_after_the_deletion_goes_too() {
    let world = World::new().await;
    let content = sample("on-call-faq.md");
    let announced = world.announce("on-call-faq.md", &content, None).await;
    let file = announced["file"]["id"].as_str().expect("an id").to_owned();
    world.delete(&format!("/v1/files/{file}")).await.expect(204);
    let delivered = world.work().await;
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
    let files = world.store.files(world.tenant);
    let id = file.parse().expect("an id");
    assert!(files.get_any(id).await.expect("read").is_none());
}

/// The worker has read that the file is deleted; then it is restored; then the worker begins to
/// remove it. And the other way around.
#[tokio::test]
async fn of_a_restoration_and_a_removal_at_once_one_is_refused() {
    let world = World::new().await;
    let content = sample("on-call-faq.md");
    let file = world.upload("on-call-faq.md", &content, None).await;
    world.work().await;
    let id: FileId = file.parse().expect("an id");
    let files = world.store.files(world.tenant);
    let path = format!("/v1/files/{file}");
    world.delete(&path).await.expect(204);
    let seen = files.get_any(id).await.expect("read").expect("there");
    let deletion = seen.deletion.clone().expect("deleted");
    world
        .post(&format!("{path}/restore"), json!({}))
        .await
        .expect(200);
    let purge = world.job(PURGE_JOB).await;
    world.clock.advance(WINDOW);
    world.ring(&purge).await;
    let message = world.message().await;
    let fence = world.claim(&message).await;
    let refused = files.begin_purge(fence, &seen, &deletion).await;
    assert!(refused.expect_err("it was restored").is_changed());
    assert_eq!(world.deliver(message).await, 0);
    assert_eq!(world.download(&file).await, (200, content));

    world.delete(&path).await.expect(204);
    let seen = files.get_any(id).await.expect("read").expect("there");
    let deletion = seen.deletion.clone().expect("deleted");
    world.clock.advance(WINDOW);
    let purge = world.job(PURGE_JOB).await;
    world.ring(&purge).await;
    world.work().await;
    let refused = files.restore(&world.cause(), &seen, &deletion).await;
    assert!(refused.expect_err("it is gone").is_changed());
    assert!(world.objects().await.is_empty());
}

#[tokio::test]
async fn an_upload_that_nobody_confirms_is_given_up() {
    let world = World::new().await;
    let base = world.base().await;
    let content = sample("on-call-faq.md");
    let announced = world.announce("on-call-faq.md", &content, Some(base)).await;
    let file = announced["file"]["id"].as_str().expect("an id").to_owned();
    assert_eq!(world.send(&announced, &content).await, 200);
    let expiry = world.job(EXPIRE_JOB).await;
    world.clock.advance(Duration::from_secs(20 * 60 - 1));
    world.ring(&expiry).await;
    world.work().await;
    assert_eq!(world.file(&file).await["status"], "pending");
    world.clock.advance(Duration::from_secs(2));
    world.ring(&expiry).await;
    world.work().await;
    assert_eq!(world.get(&format!("/v1/files/{file}")).await.status, 404);
    assert!(world.document(base, &file).await.is_none());
    assert!(world.objects().await.is_empty());
    let events = world.events().await;
    assert!(events.iter().any(|event| event == "file.upload_expired"));
    let confirm = format!("/v1/files/{file}/confirm");
    assert_eq!(world.post(&confirm, json!({})).await.status, 404);
    let id = file.parse().expect("an id");
    let files = world.store.files(world.tenant);
    assert!(files.get_any(id).await.expect("read").is_none());
}

#[tokio::test]
async fn a_further_content_that_nobody_confirms_is_given_up_and_the_file_stays() {
    let world = World::new().await;
    let content = sample("on-call-faq.md");
    let file = world.upload("on-call-faq.md", &content, None).await;
    world.work().await;
    let kept = world.objects().await;
    let path = format!("/v1/files/{file}/versions");
    let newer = b"# Newer";
    let body = json!({
        "content_type": "text/markdown", "size_bytes": newer.len(), "sha256": sha256(newer),
    });
    let offered = world.post(&path, body).await.expect(201);
    assert_eq!(world.send(&offered, newer).await, 200);
    assert_eq!(world.objects().await.len(), kept.len() + 1);
    let expiry = world.job(EXPIRE_JOB).await;
    world.clock.advance(Duration::from_secs(21 * 60));
    world.ring(&expiry).await;
    world.work().await;
    assert_eq!(world.objects().await, kept);
    let given_up = world.get(&format!("{path}/2")).await.expect(200);
    assert_eq!(given_up["status"], "abandoned");
    let confirm = format!("{path}/2/confirm");
    let refused = world.post(&confirm, json!({})).await;
    assert_eq!(refused.problem(), (409, "upload_abandoned"));
    assert_eq!(world.file(&file).await["status"], "ready");
    assert_eq!(world.download(&file).await, (200, content));
}

/// The worker has seen an upload that nobody confirmed; then somebody does; then the worker gives it
/// up.
#[tokio::test]
async fn a_confirmation_that_comes_before_the_expiry_stands() {
    let world = World::new().await;
    let content = sample("on-call-faq.md");
    let announced = world.announce("on-call-faq.md", &content, None).await;
    assert_eq!(world.send(&announced, &content).await, 200);
    let file = announced["file"]["id"].as_str().expect("an id").to_owned();
    let id: FileId = file.parse().expect("an id");
    let files = world.store.files(world.tenant);
    let seen = files.get(id).await.expect("read").expect("there");
    let first = files.version(id, 1).await.expect("read").expect("there");
    let expiry = world.job(EXPIRE_JOB).await;
    let confirm = format!("/v1/files/{file}/confirm");
    world.post(&confirm, json!({})).await.expect(200);
    world.work().await;
    world.clock.advance(Duration::from_secs(21 * 60));
    world.ring(&expiry).await;
    let message = world.message().await;
    let fence = world.claim(&message).await;
    let refused = files.expire(fence, &world.cause(), &seen, &first).await;
    assert!(refused.expect_err("it was confirmed").is_changed());
    assert_eq!(world.deliver(message).await, 0);
    assert_eq!(world.file(&file).await["status"], "ready");
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
    assert_eq!(world.objects().await.len(), 1, "the upload alone");
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
        .page(&FileFilter::default(), &PageRequest::first(3))
        .await
        .expect("read");
    assert_eq!(page.items.len(), 3);
}
