//! Workers that die, run out of time or cannot reach what they need.

use std::time::Duration;

use kernel::{FileId, KnowledgeBaseId};
use serde_json::json;
use work::{Job, JobState, Outcome, Progress};

use crate::world::{World, sample};

/// Makes more chunks than are written at once.
fn long_document() -> Vec<u8> {
    let section =
        |number: u32| format!("# Part {number}\n\nThe pump of part {number} is blue.\n\n");
    (0..250).map(section).collect::<String>().into_bytes()
}

#[tokio::test]
async fn a_file_that_kills_its_worker_is_given_up() {
    let world = World::new().await;
    let base = world.base().await;
    let file = world
        .upload("on-call-faq.md", &sample("on-call-faq.md"), Some(base))
        .await;
    let message = world.message().await;
    for _ in 0..3 {
        world.claim(&message).await;
    }
    // The third death is counted when the fourth attempt takes the job over.
    assert_eq!(world.deliver(message).await, 0);
    let failed = world.file(&file).await;
    assert_eq!(failed["failure"]["code"], "processing_failed", "{failed}");
    let document = world.document(base, &file).await.expect("a document");
    assert_eq!(document["failure"], failed["failure"]);
}

#[tokio::test]
async fn a_file_that_killed_its_worker_once_is_read() {
    let world = World::new().await;
    let file = world
        .upload("on-call-faq.md", &sample("on-call-faq.md"), None)
        .await;
    let message = world.message().await;
    world.claim(&message).await;
    assert_eq!(world.deliver(message).await, 0);
    assert_eq!(world.file(&file).await["status"], "ready");
}

#[tokio::test]
async fn how_far_the_reader_is_can_be_seen_at_the_file() {
    let world = World::new().await;
    let file = world
        .upload("on-call-faq.md", &sample("on-call-faq.md"), None)
        .await;
    assert_eq!(world.file(&file).await.get("progress"), None);
    let message = world.message().await;
    let job = world.jobs(std::slice::from_ref(&message)).await.remove(0);
    let reading = Job {
        progress: Some(Progress {
            completed: 4_096,
            total: Some(9_000),
            message: Some("Reading: page 3, 12 passages".to_owned()),
        }),
        version: job.version + 1,
        ..job.clone()
    };
    world.replace(&reading, job.version).await;
    let seen = world.file(&file).await;
    assert_eq!(
        seen["progress"],
        json!({ "bytes": 4_096, "message": "Reading: page 3, 12 passages" }),
        "{seen}"
    );
    assert_eq!(world.deliver(message).await, 0);
    let ready = world.file(&file).await;
    assert_eq!(
        (&ready["status"], ready.get("progress")),
        (&json!("ready"), None)
    );
}

#[tokio::test]
async fn storage_that_does_not_answer_is_waited_for_and_then_no_more() {
    let world = World::new().await;
    let file = world
        .upload("on-call-faq.md", &sample("on-call-faq.md"), None)
        .await;
    let cut_off = world.runner_without_storage();
    let message = world.message().await;
    world.deliver_to(&cut_off, message.clone()).await;
    let job = world.jobs(std::slice::from_ref(&message)).await.remove(0);
    assert_eq!((job.state, job.attempts), (JobState::Ready, 1), "{job:?}");
    assert_eq!(
        job.error.as_ref().map(|error| error.code.as_str()),
        Some("storage_unavailable")
    );
    assert_eq!(world.file(&file).await["status"], "processing");

    let patient = Job {
        attempts: 9,
        due_at: job.created_at,
        version: job.version + 1,
        ..job.clone()
    };
    world.replace(&patient, job.version).await;
    world.deliver_to(&cut_off, message).await;
    let failed = world.file(&file).await;
    assert_eq!(failed["failure"]["code"], "unavailable", "{failed}");
}

#[tokio::test]
async fn indexing_stops_when_time_is_over_and_goes_on_where_it_stood() {
    let world = World::new().await;
    let base: KnowledgeBaseId = world.base().await;
    let file = world.upload("long.md", &long_document(), Some(base)).await;
    let id: FileId = file.parse().expect("an id");
    let process = world.message().await;
    world.deliver(process).await;
    let total = world.file(&file).await["chunks"]
        .as_u64()
        .expect("a number");
    assert!(total > 200, "{total} chunks");
    let message = world.message().await;
    let mut job = world.jobs(std::slice::from_ref(&message)).await.remove(0);
    let knowledge = world.store.knowledge(world.tenant);
    let written = async || knowledge.chunks(base, id, 0, 1_000).await.expect("read");

    assert_eq!(
        world.attempt(job.clone(), Duration::ZERO).await,
        Outcome::Yield
    );
    assert_eq!(written().await.len(), 100);
    assert_eq!(
        world.document(base, &file).await.expect("there")["status"],
        "indexing"
    );

    // The next attempt does not write again what is there.
    let mut first = written().await.remove(0);
    first.text = "left alone".to_owned();
    knowledge.write_chunks(&[first]).await.expect("written");
    job.progress = Some(Progress {
        completed: 100,
        total: Some(total),
        message: None,
    });
    assert_eq!(
        world.attempt(job.clone(), Duration::ZERO).await,
        Outcome::Yield
    );
    let chunks = written().await;
    assert_eq!((chunks.len(), chunks[0].text.as_str()), (200, "left alone"));

    // Unless somebody removed it.
    while knowledge.remove_chunks(base, id, 0).await.expect("removed") {}
    assert_eq!(world.attempt(job, Duration::ZERO).await, Outcome::Yield);
    assert_eq!(written().await.len(), 100);

    world.deliver(message).await;
    let document = world.document(base, &file).await.expect("there");
    assert_eq!(
        (&document["status"], &document["chunks"]),
        (&json!("ready"), &json!(total))
    );
    assert_eq!(written().await.len() as u64, total);
    assert!(
        !written()
            .await
            .iter()
            .any(|chunk| chunk.text == "left alone")
    );
}

#[tokio::test]
async fn a_file_that_does_not_fit_into_what_is_left_waits_for_the_next_invocation() {
    let world = World::new().await;
    let file = world
        .upload("on-call-faq.md", &sample("on-call-faq.md"), None)
        .await;
    let message = world.message().await;
    let job = world.jobs(std::slice::from_ref(&message)).await.remove(0);
    assert_eq!(world.attempt(job, Duration::ZERO).await, Outcome::Yield);
    world.deliver(message).await;
    assert_eq!(world.file(&file).await["status"], "ready");
}

#[tokio::test]
async fn a_worker_that_was_replaced_changes_nothing() {
    let world = World::new().await;
    let base = world.base().await;
    let file = world
        .upload("on-call-faq.md", &sample("on-call-faq.md"), Some(base))
        .await;
    let message = world.message().await;
    let mut stale = world.jobs(std::slice::from_ref(&message)).await.remove(0);
    stale.fence = 1;
    for _ in 0..2 {
        world.claim(&message).await;
    }
    let before = (world.file(&file).await, world.events().await);
    let outcome = world.attempt(stale, Duration::from_secs(300)).await;
    assert!(
        matches!(&outcome, Outcome::Retry { error, .. } if error.code == "fence_lost"),
        "{outcome:?}"
    );
    assert_eq!((world.file(&file).await, world.events().await), before);
}
