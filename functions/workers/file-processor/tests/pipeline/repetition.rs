//! Nothing is done twice: not when a message comes again, not when a job does.

use serde_json::json;
use store::Commit;
use store::documents::INDEX_JOB;
use store::files::PROCESS_JOB;
use work::{JobState, Lane, NewJob};

use crate::world::{World, sample};

#[tokio::test]
async fn a_message_that_comes_again_changes_nothing() {
    let world = World::new().await;
    let base = world.base().await;
    let file = world
        .upload("on-call-faq.md", &sample("on-call-faq.md"), Some(base))
        .await;
    let delivered = world.work().await;
    let before = (world.file(&file).await, world.document(base, &file).await);
    let events = world.events().await;
    for event in delivered {
        assert_eq!(world.deliver(event).await, 0);
    }
    assert!(world.work().await.is_empty(), "nothing new is rung for");
    assert_eq!(
        (world.file(&file).await, world.document(base, &file).await),
        before
    );
    assert_eq!(world.events().await, events);
}

#[tokio::test]
async fn a_job_that_is_done_a_second_time_changes_nothing() {
    let world = World::new().await;
    let base = world.base().await;
    let file = world
        .upload("on-call-faq.md", &sample("on-call-faq.md"), Some(base))
        .await;
    world.work().await;
    let before = (world.file(&file).await, world.document(base, &file).await);
    let events = world.events().await;
    // As after a worker that committed and died before it could say so.
    for (kind, payload) in [
        (PROCESS_JOB, json!({ "file": file })),
        (INDEX_JOB, json!({ "knowledge_base": base, "file": file })),
    ] {
        let job = NewJob::new(world.tenant.org(), kind, Lane::Files, payload);
        world
            .store
            .commit(Commit::new(world.tenant).job(job))
            .await
            .expect("committed");
    }
    let delivered = world.work().await;
    assert_eq!(delivered.len(), 2);
    assert!(
        world
            .jobs(&delivered)
            .await
            .iter()
            .all(|job| job.state == JobState::Done)
    );
    assert_eq!(
        (world.file(&file).await, world.document(base, &file).await),
        before
    );
    assert_eq!(world.events().await, events);
}

#[tokio::test]
async fn a_payload_that_is_none_is_rejected() {
    let world = World::new().await;
    for kind in [PROCESS_JOB, INDEX_JOB, "document.unindex", "file.purge"] {
        let job = NewJob::new(world.tenant.org(), kind, Lane::Files, json!({ "file": 7 }));
        world
            .store
            .commit(Commit::new(world.tenant).job(job))
            .await
            .expect("committed");
    }
    let delivered = world.work().await;
    let jobs = world.jobs(&delivered).await;
    assert_eq!(jobs.len(), 4);
    for job in jobs {
        assert_eq!(job.state, JobState::Dead, "{job:?}");
        assert_eq!(job.error.expect("an error").code, "payload_unreadable");
    }
}
